"""An ONNX file, held to the network by onnxruntime."""

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from torch.torch_version import TorchVersion

from effsearch.errors import ExportError
from effsearch.exports.torch_files import about
from effsearch.network.weights import Weights

TOLERANCE = 1e-4  # the largest difference of logits, relative to the largest logit


def write_onnx(weights: Weights, folder: Path, out: Path) -> tuple[tuple[str, ...], str]:
    """Writes network.onnx (input "image", output "logits", any batch); raises ExportError if it does not agree."""
    name, side = "network.onnx", weights.architecture.resolution
    network, path = weights.network(), folder / name
    model = _converted(network, side)
    for key, value in about(weights).items():
        model.metadata_props.add(key=key, value=value if isinstance(value, str) else json.dumps(value))
    onnx.save(model, path)
    images = torch.randn(3, 3, side, side, generator=torch.Generator().manual_seed(0))
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    with torch.inference_mode():
        wanted = network(images).numpy()
    got = session.run(["logits"], {"image": images.numpy()})[0]
    off = float(np.abs(got - wanted).max() / max(1e-6, float(np.abs(wanted).max())))
    if off > TOLERANCE:
        raise ExportError(f"the ONNX file gives other logits than the network (by {off:.1e})")
    usage = f"import onnxruntime\nsession = onnxruntime.InferenceSession({str(out / name)!r})\n"
    usage += f'logits = session.run(["logits"], {{"image": images}})[0]  # images: float32 (N, 3, {side}, {side})'
    return (name,), usage


def _converted(network: torch.nn.Module, side: int) -> onnx.ModelProto:
    # The newer converter of torch 2.6 does not know the batch norm of today's onnxscript (onnxscript#2651).
    newer = TorchVersion(torch.__version__) >= "2.7"
    options: dict[str, Any] = {"input_names": ["image"], "output_names": ["logits"], "dynamo": newer, "verbose": False}
    if newer:
        options["dynamic_shapes"] = ({0: torch.export.Dim("batch")},)
    else:
        options["dynamic_axes"] = {"image": {0: "batch"}, "logits": {0: "batch"}}
    with tempfile.TemporaryDirectory() as temporary:
        file = Path(temporary) / "network.onnx"
        torch.onnx.export(network, (torch.zeros(2, 3, side, side),), str(file), **options)
        return onnx.load(file)

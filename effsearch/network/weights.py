"""Reads the weights of torchvision's networks."""

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from effsearch.architecture import Architecture
from effsearch.errors import WeightsError
from effsearch.network.build import build

Names = Iterator[tuple[str, str]]
"""Our name and torchvision's of each convolution and norm whose names differ."""


def from_torchvision(architecture: Architecture, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Renames a state dict of torchvision's EfficientNet, MobileNetV2 or ResNet to one for `build(architecture)`.

    Raises WeightsError where it lacks a tensor, has one too many, or one of another shape. torchvision trains B5 and
    larger with a batch norm epsilon of 0.001, where ours is 0.00001, so the logits of those differ a little.
    """
    names: dict[str, str] = {}
    if "conv1.weight" in weights:
        names |= _resnet(architecture)
    elif "features.1.conv.0.0.weight" in weights:
        names |= _mobilenet_v2(architecture)
    classes = len(next((weights[key] for key in ("classifier.1.bias", "fc.bias") if key in weights), ()))
    theirs, renamed = dict(weights), {}
    with torch.device("meta"):
        wanted = build(architecture, max(1, classes)).state_dict()
    for ours, tensor in wanted.items():
        module, _, field = ours.rpartition(".")
        name = f"{names.get(module, module)}.{field}"
        if name not in theirs or theirs[name].shape != tensor.shape:
            got = f"of shape {tuple(theirs[name].shape)}" if name in theirs else "missing"
            raise WeightsError(f"{name} must be of shape {tuple(tensor.shape)} to be {ours}, but is {got}")
        renamed[ours] = theirs.pop(name)
    if theirs:
        raise WeightsError(f"the architecture has no place for {min(theirs)}")
    return renamed


def _resnet(architecture: Architecture) -> Names:
    yield from (("features.0.0", "conv1"), ("features.0.1", "bn1"), ("classifier.1", "fc"))
    for ours, stage, layer in _blocks(architecture):
        theirs = f"layer{stage}.{layer}"
        for part in range(3):
            yield f"{ours}.block.{part}.0", f"{theirs}.conv{part + 1}"
            yield f"{ours}.block.{part}.1", f"{theirs}.bn{part + 1}"
        for part in range(2):
            yield f"{ours}.projection.{part}", f"{theirs}.downsample.{part}"


def _mobilenet_v2(architecture: Architecture) -> Names:
    """Their blocks are numbered throughout, and the projection's convolution and norm have no module of their own."""
    number = 0
    for number, (ours, stage, _) in enumerate(_blocks(architecture), 1):
        theirs, last = f"features.{number}.conv", len(architecture.stages[stage - 1].parts) - 1
        for part in range(last):
            yield f"{ours}.block.{part}.0", f"{theirs}.{part}.0"
            yield f"{ours}.block.{part}.1", f"{theirs}.{part}.1"
        yield f"{ours}.block.{last}.0", f"{theirs}.{last}"
        yield f"{ours}.block.{last}.1", f"{theirs}.{last + 1}"
    for part in range(2):
        yield f"features.{len(architecture.stages) + 1}.{part}", f"features.{number + 1}.{part}"


def _blocks(architecture: Architecture) -> Iterator[tuple[str, int, int]]:
    """The name of each block with the number of its stage, from 1, and of its layer, from 0."""
    for stage, row in enumerate(architecture.stages, 1):
        for layer in range(row.layers):
            yield f"features.{stage}.{layer}", stage, layer

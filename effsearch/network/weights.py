"""Weights files: safetensors with the notation and classes in the metadata. Also loads weights made by torchvision."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from effsearch.architecture import Architecture, parse
from effsearch.errors import NotationError, WeightsError
from effsearch.network.build import Network, build

LARGEST_STATE_DICT = 8 << 30  # bytes


@dataclass(frozen=True)
class Weights:
    """What a weights file holds; `trained` is a sentence on how it was trained, empty for initial weights."""

    architecture: Architecture
    classes: tuple[str, ...]
    tensors: Mapping[str, Tensor]
    trained: str = ""

    def network(self) -> Network:
        """The network with these weights, in evaluation mode."""
        made = build(self.architecture, len(self.classes), dropout=0.0, drop_path=0.0)
        made.load_state_dict(dict(self.tensors))
        return made.eval()


def untrained(architecture: Architecture, classes: int, seed: int = 0) -> Weights:
    """Random initial weights; the classes are named "0", "1", and so on."""
    torch.manual_seed(seed)
    return Weights(architecture, tuple(map(str, range(classes))), build(architecture, classes).state_dict())


def pack_weights(network: Network, architecture: Architecture, classes: Sequence[str], trained: str = "") -> bytes:
    """The contents of a weights file, as bytes."""
    tensors = {name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()}
    about = {"notation": architecture.notation, "classes": json.dumps(list(classes)), "trained": trained}
    return save(tensors, metadata={"format": "pt", **about})


def read_weights(path: Path) -> Weights:
    """Reads a weights file; raises WeightsError if it is none, or if the tensors do not fit its notation."""
    try:
        with safe_open(path, framework="pt") as file:
            about = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it has no other iterator
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"{path} is not a safetensors file: {error}") from None
    try:
        architecture = parse(about["notation"])
        classes = tuple(str(name) for name in json.loads(about["classes"]))
    except (KeyError, ValueError, TypeError, RecursionError, NotationError) as error:
        raise WeightsError(f"{path} does not say which network its weights are of: {error}") from None
    check_fit(architecture, len(classes), tensors, str(path))
    return Weights(architecture, classes, tensors, about.get("trained", ""))


def _expected(architecture: Architecture, classes: int) -> dict[str, Tensor]:
    """The network's state dict on the meta device: names and shapes without values."""
    with torch.device("meta"):
        return build(architecture, max(1, classes)).state_dict()


def check_fit(architecture: Architecture, classes: int, tensors: Mapping[str, Tensor], where: str) -> None:
    """Raises WeightsError that names a tensor that is missing, has the wrong shape, or is not in the network."""
    expected = _expected(architecture, classes)
    for name, tensor in expected.items():
        if name not in tensors or tensors[name].shape != tensor.shape:
            got = f"of shape {tuple(tensors[name].shape)}" if name in tensors else "missing"
            raise WeightsError(f"{where}: {name} must be of shape {tuple(tensor.shape)}, but is {got}")
    if more := tensors.keys() - expected.keys():
        raise WeightsError(f"{where}: the network has no place for {min(more)}")


def load(path: str | Path) -> Network:
    """The network of a weights file, in evaluation mode; raises WeightsError."""
    return read_weights(Path(path)).network()


def read_tensors(path: Path) -> Mapping[str, Tensor]:
    """The tensors of a file of weights, or of a state dict saved by torch; raises WeightsError."""
    return read_weights(path).tensors if path.suffix == ".safetensors" else read_state_dict(path)


@dataclass(frozen=True)
class Start:
    """Tensors that a network begins from, and what messages call them; with `partial` those that fit are enough."""

    tensors: Mapping[str, Tensor]
    name: str
    partial: bool = False

    def load_into(self, network: Network, architecture: Architecture) -> str:
        """Loads the tensors; raises WeightsError where they do not fit. Returns what was taken, for a message.

        A classifier for other classes is left as it is initialised.
        """
        own = network.state_dict()
        taken = self.taken(architecture, own)
        network.load_state_dict(own | taken)
        if self.partial:
            mine = {name: parameter.numel() for name, parameter in network.named_parameters()}
            share = sum(mine.get(name, 0) for name in taken) / sum(mine.values())
            return f"{100 * share:.0f} % of the parameters ({len(taken)} of {len(own)} tensors); the rest is new"
        return "with its classifier" if taken.keys() >= {*_classifier(own)} else "with a new classifier"

    def taken(self, architecture: Architecture, own: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The tensors that go into a network with these of its `own`; raises WeightsError."""
        fits = {name for name, value in self.tensors.items() if name in own and value.shape == own[name].shape}
        if self.partial:
            if not fits:
                raise WeightsError(f"{self.name}: no tensor has the name and the shape of one of the network's")
            return {name: self.tensors[name] for name in fits}
        others = {name: own[name] for name in _classifier(own)} if not fits.issuperset(_classifier(own)) else {}
        check_fit(architecture, len(own["classifier.1.bias"]), {**self.tensors, **others}, self.name)
        return {name: value for name, value in self.tensors.items() if name not in others}

    def check(self, architecture: Architecture, classes: int) -> None:
        """Raises WeightsError where the tensors do not fit a network of that many classes."""
        self.taken(architecture, _expected(architecture, classes))


def _classifier(tensors: Mapping[str, Tensor]) -> list[str]:
    return [name for name in tensors if name.startswith("classifier.")]


def read_state_dict(path: Path) -> Mapping[str, Tensor]:
    """A state dict saved by torch, read without running code of it; raises WeightsError."""
    try:
        too_large = path.stat().st_size > LARGEST_STATE_DICT
        found = None if too_large else torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # For a wrong file torch raises errors of any type.
        cause = next(iter(str(error).splitlines()), type(error).__name__)
        raise WeightsError(f"{path} cannot be read as weights: {cause}") from None
    if too_large:
        raise WeightsError(f"{path} is larger than {LARGEST_STATE_DICT >> 30} GiB")
    if not isinstance(found, Mapping) or not all(isinstance(value, Tensor) for value in found.values()):
        raise WeightsError(f"{path} holds no state dict")
    return found


def translated(architecture: Architecture, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Renames a state dict of torchvision's EfficientNet, MobileNetV2 or ResNet, or of efficientnet_lite_pytorch.

    Raises WeightsError unless it fits. Logits of B5 and larger differ a little from torchvision's, whose batch norms
    have another epsilon.
    """
    pairs = next((pairs for key, pairs in NAMED_BY.items() if key in weights), None)
    names = dict(pairs(architecture)) if pairs else {}  # their name of each module of ours, where they differ
    classes = len(next((weights[key] for key in ("classifier.1.bias", "fc.bias", "_fc.bias") if key in weights), ()))
    theirs, renamed = dict(weights), {}
    for ours, tensor in _expected(architecture, classes).items():
        module, _, field = ours.rpartition(".")
        name = f"{names.get(module, module)}.{field}"
        if name not in theirs or theirs[name].shape != tensor.shape:
            got = f"of shape {tuple(theirs[name].shape)}" if name in theirs else "missing"
            raise WeightsError(f"{name} must be of shape {tuple(tensor.shape)} to be {ours}, but is {got}")
        renamed[ours] = theirs.pop(name)
    if theirs:
        raise WeightsError(f"the architecture has no place for {min(theirs)}")
    return renamed


def _resnet(architecture: Architecture) -> Iterator[tuple[str, str]]:
    """The modules that torchvision's ResNet names differently: our name and its own."""
    yield from (("features.0.0", "conv1"), ("features.0.1", "bn1"), ("classifier.1", "fc"))
    for ours, stage, layer in _blocks(architecture):
        theirs = f"layer{stage}.{layer}"
        for part in range(3):
            yield f"{ours}.block.{part}.0", f"{theirs}.conv{part + 1}"
            yield f"{ours}.block.{part}.1", f"{theirs}.bn{part + 1}"
        for part in range(2):
            yield f"{ours}.projection.{part}", f"{theirs}.downsample.{part}"


def _mobilenet_v2(architecture: Architecture) -> Iterator[tuple[str, str]]:
    """The same for MobileNetV2, which numbers blocks across stages and does not nest a block's last convolution."""
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


def _lite(architecture: Architecture) -> Iterator[tuple[str, str]]:
    """The same for efficientnet_lite_pytorch, which numbers blocks across stages and names their convolutions."""
    last = f"features.{len(architecture.stages) + 1}"
    yield from (("features.0.0", "_conv_stem"), ("features.0.1", "_bn0"), ("classifier.1", "_fc"))
    yield from ((f"{last}.0", "_conv_head"), (f"{last}.1", "_bn1"))
    for number, (ours, stage, _) in enumerate(_blocks(architecture)):
        parts = ("_expand_conv", "_depthwise_conv", "_project_conv")[-len(architecture.stages[stage - 1].parts) :]
        for place, convolution in enumerate(parts):
            yield f"{ours}.block.{place}.0", f"_blocks.{number}.{convolution}"
            yield f"{ours}.block.{place}.1", f"_blocks.{number}._bn{place + 3 - len(parts)}"


def _blocks(architecture: Architecture) -> Iterator[tuple[str, int, int]]:
    """Our name of each block, the number of its stage (from 1), and its number in the stage (from 0)."""
    for stage, row in enumerate(architecture.stages, 1):
        for layer in range(row.layers):
            yield f"features.{stage}.{layer}", stage, layer


# How modules are named by a tensor that only state dicts of that library have.
NAMED_BY = {"conv1.weight": _resnet, "features.1.conv.0.0.weight": _mobilenet_v2, "_conv_stem.weight": _lite}

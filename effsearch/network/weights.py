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


def start_from(network: Network, architecture: Architecture, path: Path) -> str:
    """Loads a weights file, or a state dict saved by torch, into `network`; raises WeightsError if it does not fit.

    A classifier for other classes is left as it is initialised. Returns which it was, for a message.
    """
    tensors = dict(read_weights(path).tensors if path.suffix == ".safetensors" else _read_state_dict(path))
    own = network.state_dict()
    classifier = [name for name in own if name.startswith("classifier.")]
    fits = all(name in tensors and tensors[name].shape == own[name].shape for name in classifier)
    if not fits:
        tensors |= {name: own[name] for name in classifier}
    check_fit(architecture, len(own["classifier.1.bias"]), tensors, str(path))
    network.load_state_dict(tensors)
    return "with its classifier" if fits else "with a new classifier"


def _read_state_dict(path: Path) -> Mapping[str, Tensor]:
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


def from_torchvision(architecture: Architecture, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Renames a state dict of torchvision's EfficientNet, MobileNetV2 or ResNet; raises WeightsError unless it fits.

    Logits of B5 and larger differ a little from torchvision's, whose batch norms have another epsilon.
    """
    pairs = _resnet if "conv1.weight" in weights else _mobilenet_v2 if "features.1.conv.0.0.weight" in weights else None
    names = dict(pairs(architecture)) if pairs else {}  # torchvision's name of each module of ours, where they differ
    classes = len(next((weights[key] for key in ("classifier.1.bias", "fc.bias") if key in weights), ()))
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


def _blocks(architecture: Architecture) -> Iterator[tuple[str, int, int]]:
    """Our name of each block, the number of its stage (from 1), and its number in the stage (from 0)."""
    for stage, row in enumerate(architecture.stages, 1):
        for layer in range(row.layers):
            yield f"features.{stage}.{layer}", stage, layer

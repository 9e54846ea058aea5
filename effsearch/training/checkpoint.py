"""The state of a training between two epochs, as the bytes of a safetensors file."""

import math
import zlib
from collections.abc import Iterable
from dataclasses import astuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn
from torch.optim import Optimizer

from effsearch.training import CorruptCheckpoint, Epoch
from effsearch.training.average import Average
from effsearch.training.best import Best

_SUM = "check.sum"


def pack(
    network: nn.Module,
    average: Average,
    optimizer: Optimizer,
    generator: torch.Generator,
    history: Iterable[Epoch],
    best: Best | None = None,
) -> bytes:
    """The whole state of a training, from which it continues with the same results."""
    tensors = {f"network.{name}": value for name, value in network.state_dict().items()}
    tensors |= {f"average.{name}": value for name, value in average.state_dict().items()}
    tensors |= {f"best.{name}": value for name, value in (best.state if best else {}).items()}
    for index, parameter in enumerate(_parameters(optimizer)):
        tensors |= {f"optimizer.{index}.{name}": value for name, value in optimizer.state[parameter].items()}
    tensors["random.own"] = generator.get_state()
    tensors["random.cpu"] = torch.get_rng_state()
    if generator.device.type == "cuda":
        tensors["random.cuda"] = torch.cuda.get_rng_state(generator.device)
    rows = [[math.nan if value is None else value for value in astuple(epoch)] for epoch in history]
    tensors["history"] = torch.tensor(rows, dtype=torch.float64)
    whole = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    return save(whole | {_SUM: torch.tensor(_sum(whole))})


def unpack(
    state: bytes,
    network: nn.Module,
    average: Average,
    optimizer: Optimizer,
    generator: torch.Generator,
    best: Best | None = None,
) -> list[Epoch]:
    """Restores the packed state of a training, and returns its epochs; raises CorruptCheckpoint."""
    try:
        tensors = _load(state)
        network.load_state_dict(_part(tensors, "network."))
        average.load_state_dict(_part(tensors, "average."))
        if best is not None:
            best.load(_part(tensors, "best."))
        for index, parameter in enumerate(_parameters(optimizer)):
            for name, value in _part(tensors, f"optimizer.{index}.").items():
                # In the parameter's memory format and device; optimizers keep a count of steps on the CPU.
                like = parameter if value.shape == parameter.shape and value.ndim else value
                optimizer.state[parameter][name] = torch.empty_like(like).copy_(value)
        history = _epochs(tensors["history"])
        torch.set_rng_state(tensors["random.cpu"])
        if ("random.cuda" in tensors) != (generator.device.type == "cuda"):
            # Another kind of device has another generator: augmentation and dropout draw other random numbers.
            generator.manual_seed(generator.initial_seed() + len(history))
            return history
        generator.set_state(tensors["random.own"])
        if "random.cuda" in tensors:
            torch.cuda.set_rng_state(tensors["random.cuda"], generator.device)
    except (KeyError, RuntimeError, TypeError) as error:  # the state of another network, or not of a training
        raise CorruptCheckpoint(f"not the state of this training: {error}") from None
    return history


def history_of(state: bytes) -> list[Epoch]:
    """The epochs of a packed training; raises CorruptCheckpoint."""
    try:
        return _epochs(_load(state)["history"])
    except (KeyError, RuntimeError, TypeError, ValueError) as error:
        raise CorruptCheckpoint(f"not the state of a training: {error}") from None


def _load(state: bytes) -> dict[str, Tensor]:
    try:
        tensors = load(state)
    except (SafetensorError, ValueError, TypeError) as error:
        raise CorruptCheckpoint(f"not the state of a training: {error}") from None
    kept = tensors.pop(_SUM, None)
    if kept is None or int(kept) != _sum(tensors):
        raise CorruptCheckpoint("the state of a training is corrupt: its checksum is another")
    return tensors


def _sum(tensors: dict[str, Tensor]) -> int:
    """CRC-32 of all names and values."""
    total = 0
    for name, values in sorted(tensors.items()):
        total = zlib.crc32(name.encode(), total)
        total = zlib.crc32(values.reshape(-1).view(torch.uint8).numpy().data, total)
    return total


def _epochs(rows: Tensor) -> list[Epoch]:
    return [Epoch(int(row[0]), row[1], _known(row[2]), row[3], *map(_known, row[4:])) for row in rows.tolist()]


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value


def _parameters(optimizer: Optimizer) -> list[Tensor]:
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}

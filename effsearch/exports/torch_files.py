"""Our own file of weights with their notation, and a torch.export program, which loads without effsearch."""

import json
from pathlib import Path

import torch

from effsearch.files import write_atomically
from effsearch.network.weights import Weights, pack_weights


def write_weights(weights: Weights, folder: Path, out: Path) -> tuple[tuple[str, ...], str]:
    """Writes weights.safetensors into `folder`, which will be `out`."""
    name = "weights.safetensors"
    packed = pack_weights(weights.network(), weights.architecture, weights.classes, weights.trained)
    write_atomically(folder / name, packed)
    return (name,), f"from effsearch.network import load\nnetwork = load({str(out / name)!r})"


def write_program(weights: Weights, folder: Path, out: Path) -> tuple[tuple[str, ...], str]:
    """Writes network.pt2, which takes a batch of any size; its extra file about.json describes the input."""
    name, side = "network.pt2", weights.architecture.resolution
    example = (torch.zeros(2, 3, side, side),)
    program = torch.export.export(weights.network(), example, dynamic_shapes=({0: torch.export.Dim("batch")},))
    torch.export.save(program, folder / name, extra_files={"about.json": json.dumps(about(weights))})
    return (name,), f"import torch\nnetwork = torch.export.load({str(out / name)!r}).module()"


def about(weights: Weights) -> dict[str, object]:
    """Notation, class names and the normalisation of the input: (rgb / 255 - mean) / std, N x 3 x H x W."""
    normalisation = weights.architecture.normalisation
    return {
        "notation": weights.architecture.notation,
        "classes": list(weights.classes),
        "resolution": weights.architecture.resolution,
        "mean": [value / 255 for value in normalisation.mean],
        "std": [value / 255 for value in normalisation.std],
        "trained": weights.trained,
    }

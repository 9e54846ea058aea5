"""Our own file: weights with their notation."""

from pathlib import Path

from effsearch.files import write_atomically
from effsearch.network.file import Weights, pack_weights


def write(weights: Weights, folder: Path, out: Path) -> tuple[tuple[str, ...], str]:
    """Writes weights.safetensors into `folder`, which will be `out`."""
    name = "weights.safetensors"
    packed = pack_weights(weights.network(), weights.architecture, weights.classes, weights.trained)
    write_atomically(folder / name, packed)
    return (name,), f"from effsearch.network import load\nnetwork = load({str(out / name)!r})"

"""Our own file: weights with their notation."""

from pathlib import Path

from effsearch.network.file import Weights, pack_weights
from effsearch.runs.files import write_atomically


def write(weights: Weights, out: Path) -> tuple[tuple[Path, ...], str]:
    """Writes weights.safetensors."""
    path = out / "weights.safetensors"
    packed = pack_weights(weights.network(), weights.architecture, weights.classes, weights.trained)
    write_atomically(path, packed)
    return (path,), f"from effsearch.network import load\nnetwork = load({str(path)!r})"

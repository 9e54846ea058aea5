"""Trained networks, as a user names them: by a file of weights, or by a run of `effsearch train`."""

from pathlib import Path

from effsearch.errors import WeightsError
from effsearch.network.weights import Weights, read_weights

WEIGHTS = "weights.safetensors"  # in the folder of a run of train that has ended


def weights_file(text: str, results: Path) -> Path | None:
    """The file of weights that is named, as itself or by a run of train that has ended; None if there is none."""
    paths = (Path(text), results / text / WEIGHTS, Path(text) / WEIGHTS)
    return next((path for path in paths if path.suffix == ".safetensors" and path.is_file()), None)


def trained(text: str, results: Path) -> tuple[Weights, str]:
    """The network that is named, and a short name for it; raises WeightsError."""
    if (file := weights_file(text, results)) is None:
        raise WeightsError(f"no weights {text[:80]!r}; give a .safetensors file, or a run of effsearch train")
    return read_weights(file), file.parent.name if file.name == WEIGHTS else file.stem

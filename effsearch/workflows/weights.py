"""Trained networks, as a user names them: by a file of weights, a run of `effsearch train`, or as `imagenet`."""

import hashlib
from dataclasses import replace
from pathlib import Path

from effsearch.architecture import Architecture
from effsearch.errors import QuantityError, RunError, WeightsError
from effsearch.network.pretrained import pretrained
from effsearch.network.weights import Start, Weights, read_tensors, read_weights
from effsearch.runs.folder import find
from effsearch.runs.settings import VerifySettings
from effsearch.runs.transfer_settings import IMAGENET
from effsearch.text import sanitize
from effsearch.workflows.request import is_file, resolve

WEIGHTS = "weights.safetensors"  # in the folder of a run of train that has ended


def weights_file(text: str, results: Path) -> Path | None:
    """The file of weights that is named, as itself or by a run of train that has ended; None if there is none.

    RUN:NAME is a network of a run of verify.
    """
    run, _, name = text.rpartition(":")
    verified = [file for network, file in verified_weights(run, results).items() if network == name]
    paths = (Path(text), results / text / WEIGHTS, Path(text) / WEIGHTS, *verified)
    return next((path for path in paths if path.suffix == ".safetensors" and is_file(str(path))), None)


def verified_weights(run: str, results: Path) -> dict[str, Path]:
    """The files of weights that a run of verify has kept, by the names of its networks; of anything else none."""
    try:
        found = find(results, run)
    except RunError:
        return {}
    if found.kind != "verify":
        return {}
    settings = found.settings(VerifySettings)
    keys = [network.architecture.key for network in settings.networks]
    files = {name: found.weights(key, settings.seed) for name, key in zip(settings.names, keys, strict=True)}
    return {name: file for name, file in files.items() if file.is_file()}


def trained(text: str, results: Path, weights: str | None = None) -> tuple[Weights, str]:
    """The network that is named, and a short name for it; raises WeightsError.

    Where `weights` is imagenet, what has no weights of its own is an architecture with those.
    """
    if weights not in (None, IMAGENET):
        raise WeightsError(f"--weights must be {IMAGENET} here, got {str(weights)[:80]!r}")
    if (file := weights_file(text, results)) is not None:
        name = file.stem if file == Path(text) else text.rpartition(":")[2]
        return read_weights(file), file.parent.name if file.name == WEIGHTS else name
    if weights is not None:
        architecture, name = resolve(text, results)
        return pretrained(architecture), name
    raise WeightsError(
        f"no weights {text[:80]!r}; give a .safetensors file, a run of effsearch train, RUN:NAME of a run of effsearch "
        f"verify, or an architecture with --weights {IMAGENET}"
    )


def at_resolution(weights: Weights, resolution: int | None) -> Weights:
    """The same network for images of another resolution (px), if one is given."""
    if resolution is None:
        return weights
    return replace(weights, architecture=replace(weights.architecture, resolution=resolution))


def how_trained(weights: Weights) -> str:
    """One line on the training of a network."""
    return f"trained for {sanitize(weights.trained)}" if weights.trained else "NOT TRAINED: its weights are random"


def start_of(
    weights: str | Path | None, partial: bool, architecture: Architecture, results: Path
) -> tuple[Start | None, str]:
    """What a training begins from, and imagenet or the hash of its file; None and an empty text for fresh weights.

    Raises QuantityError for a file that cannot be read, and WeightsError for one that holds no weights.
    """
    if weights is None:
        if partial:
            raise QuantityError("--partial takes what fits of --weights; give them too")
        return None, ""
    if weights == IMAGENET:
        return Start(pretrained(architecture).tensors, "ImageNet's weights", partial), IMAGENET
    path = weights_file(str(weights), results) or Path(weights)
    try:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    except OSError as error:
        raise QuantityError(f"--weights {weights} cannot be read: {error.strerror or error}") from None
    return Start(read_tensors(path), str(path), partial), digest

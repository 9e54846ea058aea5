"""What a trained network says of image files."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from effsearch.data.photographs import decode_photographs, find_photographs
from effsearch.data.sources import Skipped, skipped_message
from effsearch.errors import DataError, QuantityError
from effsearch.evaluation.devices import choose_device
from effsearch.evaluation.hardware import enough_memory
from effsearch.evaluation.predictions import predict
from effsearch.evaluation.scores import Prediction
from effsearch.network.weights import Weights
from effsearch.text import sanitize
from effsearch.workflows.common import Listener
from effsearch.workflows.weights import trained


@dataclass(frozen=True)
class Predicted:
    """Predictions of images by the network `weights`, which is called `name` and was given its own resolution (px)."""

    weights: Weights
    name: str
    rows: list[Prediction]

    def captions(self) -> list[str]:
        """What the numbers are, and of which network."""
        return [
            f"%: probability by the softmax of {sanitize(self.name)}, at {self.weights.architecture.resolution} px; "
            f"{len(self.weights.classes):,} classes",
            how_trained(self.weights),
        ]


def how_trained(weights: Weights) -> str:
    """One line on the training of a network."""
    return f"trained for {sanitize(weights.trained)}" if weights.trained else "NOT TRAINED: its weights are random"


def at_resolution(weights: Weights, resolution: int | None) -> Weights:
    """The same network for images of another resolution (px), if one is given."""
    if resolution is None:
        return weights
    return replace(weights, architecture=replace(weights.architecture, resolution=resolution))


def predict_images(
    text: str,
    places: Sequence[str],
    listener: Listener,
    *,
    top: int = 5,
    pretrained: str | None = None,
    resolution: int | None = None,
    device: str | None = None,
    results: Path = Path("results"),
) -> Predicted:
    """Classifies image files and those in folders, each by its `top` most likely classes, by the network of `trained`.

    Images of folders that cannot be read are left out, and named in a note; raises EffsearchError where a file that is
    named is no image.
    """
    if not 1 <= top <= 1000:
        raise QuantityError(f"--top must be from 1 to 1,000, got {top}")
    photographs = find_photographs(places)
    weights, name = trained(text, results, pretrained)
    weights = at_resolution(weights, resolution)
    side = weights.architecture.resolution
    names, skipped, rows = [each.path for each in photographs], list[Skipped](), list[Prediction]()
    with listener.busy("classifying") as told, enough_memory(side):
        decoded = decode_photographs(photographs, side, skipped)
        for row in predict(weights, names, decoded, choose_device(device), top):
            rows.append(row)
            told(f"classified {len(rows):,} of {len(names):,} images")
    if not rows:
        raise DataError(f"no image can be read; {skipped_message(skipped)}")
    if skipped:
        listener.note(skipped_message(skipped), "yellow")
    return Predicted(weights, name, rows)

"""What a trained network says of image files."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from effsearch.data.photographs import decode_photographs, find_photographs
from effsearch.data.sources import Skipped, skipped_message
from effsearch.errors import DataError
from effsearch.evaluation.devices import choose_device
from effsearch.evaluation.hardware import enough_memory
from effsearch.evaluation.predictions import predict
from effsearch.evaluation.scores import Prediction
from effsearch.limits import check_range
from effsearch.network.weights import Weights
from effsearch.text import sanitize
from effsearch.workflows.common import Listener
from effsearch.workflows.weights import at_resolution, how_trained, trained


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
    check_range("--top", top, 1, 1000)
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

"""How well a network classifies a split: accuracies, likelihood, calibration, what it confuses. Needs no torch."""

import base64
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from statistics import NormalDist
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

from effsearch.data.imageset import Labels, Pixels, Split

FIVE = 5
FIVE_FROM = 10  # number of classes from which top-5 accuracy is computed
BINS = 15  # of confidence, as in 1706.04599
WORST = 12  # images that are kept
THUMBNAIL = 96  # px, their largest side
NORMAL = NormalDist().inv_cdf(0.975)  # standard errors to the end of a 95 % interval

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Prediction:
    """The most likely classes of an image with their probabilities (fractions), the first the likeliest."""

    image: str
    classes: tuple[str, ...]
    probabilities: tuple[float, ...]


class Answers(NamedTuple):
    """Of images: labels (N,), the most likely classes (N, K), their probabilities (N, K), log-probability of the label.

    All are in the order of the images, and K is 5, or the number of classes.
    """

    labels: Labels
    classes: Labels
    probabilities: Floats
    of_label: Floats


class Interval(NamedTuple):
    """The ends of a 95 % interval."""

    low: float
    high: float


def wilson(right: int, count: int) -> Interval:
    """Wilson's 95 % interval of a share, as fractions, which holds its level for few images and shares near 0 and 1."""
    share, square = right / count, NORMAL**2 / count
    middle = (share + square / 2) / (1 + square)
    half = NORMAL * math.sqrt(share * (1 - share) / count + square / (4 * count)) / (1 + square)
    return Interval(min(share, max(0.0, middle - half)), max(share, min(1.0, middle + half)))  # Rounding aside.


def calibration_error(confidences: Floats, right: npt.NDArray[np.bool_]) -> float:
    """The expected calibration error, a fraction: the mean distance of confidence and accuracy.

    Over 15 bins of confidence of equal width, weighted by the images in each (1706.04599, equation 3).
    """
    bins = np.clip(np.ceil(confidences * BINS).astype(np.int64) - 1, 0, BINS - 1)
    gaps = np.bincount(bins, right, BINS) - np.bincount(bins, confidences, BINS)
    return float(np.abs(gaps).sum() / len(right))


class Confused(NamedTuple):
    """How many images of the class `truth` were taken for `prediction`, by the numbers of both classes."""

    truth: int
    prediction: int
    images: int


@dataclass(frozen=True)
class WorstImage:
    """An image whose class got little probability: the class by its number, what was predicted, both probabilities.

    `pixels` are RGB of `side` x `side`, as base64: without a format, so that nobody has to decode a stranger's file.
    """

    truth: int
    prediction: int
    probability: float
    of_truth: float
    side: int
    pixels: str

    def image(self) -> Image.Image:
        """The picture; raises ValueError where the pixels are not as many as are said."""
        if not 1 <= self.side <= THUMBNAIL:
            raise ValueError(f"side must be from 1 to {THUMBNAIL} px, got {self.side}")
        data = base64.b64decode(self.pixels, validate=True)
        if len(data) != 3 * self.side**2:
            raise ValueError(f"an image of {self.side} px has {3 * self.side**2} bytes, got {len(data)}")
        return Image.frombytes("RGB", (self.side, self.side), data)


@dataclass(frozen=True)
class ClassScore:
    """Of a class: its images, those classified right, and the class that others were taken for most often, if any."""

    name: str
    images: int
    right: int
    confused_with: str
    confused: int

    @property
    def interval(self) -> Interval:
        """Of the share of images that are classified right."""
        return wilson(self.right, self.images)


@dataclass(frozen=True)
class Scores:
    """How a network classifies the images of a split of a set.

    `confusion` are the pairs of true and predicted class that occur; `top5` is the number of images whose class is
    among the five likeliest, from ten classes up. `loss` is the mean negative log-likelihood (nats), `loss_half` half
    of its 95 % interval (normal), `calibration_error` a fraction. Raises ValueError for numbers that cannot be.
    """

    data: str
    split: str
    resolution: int
    classes: tuple[str, ...]
    confusion: tuple[Confused, ...]
    top5: int | None
    loss: float
    loss_half: float
    calibration_error: float
    worst: tuple[WorstImage, ...] = ()

    def __post_init__(self) -> None:
        pairs: list[Confused | WorstImage] = [*self.confusion, *self.worst]
        if any(number not in range(len(self.classes)) for each in pairs for number in (each.truth, each.prediction)):
            raise ValueError(f"classes have numbers below {len(self.classes)}")
        if not self.confusion or any(pair.images < 1 for pair in self.confusion):
            raise ValueError("confusion must have pairs of classes with at least one image each")
        if self.top5 is not None and not self.right <= self.top5 <= self.images:
            raise ValueError(f"top5 must be from {self.right} to {self.images} images, got {self.top5}")
        if not (0 <= self.loss < math.inf and 0 <= self.loss_half < math.inf):
            raise ValueError(f"the loss must not be below 0, got {self.loss} +- {self.loss_half}")
        shares = [share for each in self.worst for share in (each.probability, each.of_truth)]
        if not all(0 <= share <= 1 for share in (self.calibration_error, *shares)):
            raise ValueError("probabilities and the calibration error must be from 0 to 1")
        for each in self.worst:
            each.image()

    @cached_property
    def images(self) -> int:
        return sum(pair.images for pair in self.confusion)

    @cached_property
    def right(self) -> int:
        """Images whose class is the most likely."""
        return sum(pair.images for pair in self.confusion if pair.truth == pair.prediction)

    @cached_property
    def mistakes(self) -> list[Confused]:
        """The pairs of two classes, the most frequent first."""
        wrong = [pair for pair in self.confusion if pair.truth != pair.prediction]
        return sorted(wrong, key=lambda pair: (-pair.images, pair.truth, pair.prediction))

    @cached_property
    def totals(self) -> Mapping[int, int]:
        """The images of each class that has some, by its number."""
        totals = Counter[int]()
        for truth, _, images in self.confusion:
            totals[truth] += images
        return dict(sorted(totals.items()))

    @cached_property
    def by_class(self) -> list[ClassScore]:
        """The score of each class that has images."""
        wrong = {pair.truth: pair for pair in reversed(self.mistakes)}  # The first of a class stays.
        right = {pair.truth: pair.images for pair in self.confusion if pair.truth == pair.prediction}
        found = []
        for number, images in self.totals.items():
            pair = wrong.get(number)
            others = ("", 0) if pair is None else (self.classes[pair.prediction], pair.images)
            found.append(ClassScore(self.classes[number], images, right.get(number, 0), *others))
        return found

    def matrix(self, numbers: Sequence[int]) -> list[list[int]]:
        """The images of each class of `numbers` (rows) that were taken for each of them (columns)."""
        counts = {(pair.truth, pair.prediction): pair.images for pair in self.confusion}
        return [[counts.get((truth, prediction), 0) for prediction in numbers] for truth in numbers]

    def shares(self) -> dict[str, float]:
        """top1, and top5 from ten classes up, as fractions, and the number of images."""
        top5 = {} if self.top5 is None else {"top5": self.top5 / self.images}
        return {"top1": self.right / self.images, **top5, "images": self.images}

    def to_document(self) -> dict[str, Any]:
        """For JSON: what convert() reads, and besides the shares with their intervals, and the classes' accuracies."""
        counts = {"top1": self.right} | ({} if self.top5 is None else {"top5": self.top5})
        shares = {
            name: {"share": count / self.images, **wilson(count, self.images)._asdict()}
            for name, count in counts.items()
        }
        return {
            "data": self.data,
            "split": self.split,
            "resolution": self.resolution,
            "images": self.images,
            "accuracy": shares,
            "top5": self.top5,
            "loss": self.loss,
            "loss_half": self.loss_half,
            "calibration_error": self.calibration_error,
            "classes": list(self.classes),
            "by_class": [asdict(each) | each.interval._asdict() for each in self.by_class],
            "confusion": [list(pair) for pair in self.confusion],
            "worst": [asdict(each) for each in self.worst],
        }


def score(answers: Answers, split: Split, classes: Sequence[str], data: str, name: str, resolution: int) -> Scores:
    """The scores of what a network said of the images of a split that is named `name`, of the set `data`."""
    labels, found, probabilities, of_label = answers
    hits = found == labels[:, None]
    pairs = Counter(zip(labels.tolist(), found[:, 0].tolist(), strict=True))
    losses = -of_label
    spread = float(losses.std(ddof=1)) if len(losses) > 1 else 0.0
    return Scores(
        data,
        name,
        resolution,
        tuple(classes),
        tuple(Confused(*pair, images) for pair, images in sorted(pairs.items())),
        int(hits.any(1).sum()) if len(classes) >= FIVE_FROM else None,
        max(0.0, float(losses.mean())),
        NORMAL * spread / math.sqrt(len(losses)),
        calibration_error(probabilities[:, 0], hits[:, 0]),
        _worst(answers, split),
    )


def _worst(answers: Answers, split: Split) -> tuple[WorstImage, ...]:
    order = np.argsort(answers.of_label, kind="stable")[:WORST]
    return tuple(
        WorstImage(
            int(answers.labels[place]),
            int(answers.classes[place, 0]),
            min(1.0, float(answers.probabilities[place, 0])),
            min(1.0, math.exp(answers.of_label[place])),
            *_thumbnail(image),
        )
        for place, image in zip(order, split.images(order), strict=True)
    )


def _thumbnail(pixels: Pixels) -> tuple[int, str]:
    image = Image.fromarray(pixels)
    image.thumbnail((THUMBNAIL, THUMBNAIL))
    return image.width, base64.b64encode(image.tobytes()).decode()

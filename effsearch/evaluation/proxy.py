"""A cheap training that ranks architectures as a full one would, and the seconds that it takes."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Self

from effsearch.architecture import MOST_CHANNELS, Architecture
from effsearch.errors import QuantityError, listed
from effsearch.scaling import AXES, SIZES, round_channels, widen
from effsearch.space import Space
from effsearch.training.recipe import Recipe


@dataclass(frozen=True)
class Proxy:
    """A training with fewer pixels, channels, images and epochs (EcoNAS, 2001.01233).

    `resolution` in px; `width` multiplies all channels, rounded to multiples of `divisor` (so small that networks
    which differ stay different); `train_images` and `validation_images` are at most how many are used, since a number
    fixes the time of a trial where a share would not. Raises QuantityError for a value out of range.
    """

    name: str
    resolution: int
    width: float
    epochs: int
    train_images: int
    validation_images: int
    divisor: int = 2
    recipe: Recipe = field(default_factory=Recipe)

    def __post_init__(self) -> None:
        if not 8 <= self.resolution <= 2048:
            raise QuantityError(f"the proxy's resolution must be from 8 to 2048 px, got {self.resolution}")
        if not 0.05 <= self.width <= 4:
            raise QuantityError(f"the proxy's width must be from 0.05 to 4, got {self.width:g}")
        if not 1 <= self.epochs <= 10_000:
            raise QuantityError(f"the proxy's epochs must be from 1 to 10,000, got {self.epochs}")
        if self.train_images < self.recipe.batch:
            raise QuantityError(
                f"the proxy's images must be at least {self.recipe.batch}, a batch, got {self.train_images}"
            )
        if self.validation_images < 1:
            raise QuantityError(f"the proxy's validation images must be at least 1, got {self.validation_images}")

    def scaled(self, resolution: float) -> "Proxy":
        """The same with the resolution times a factor, in whole px."""
        return replace(self, resolution=max(8, round(self.resolution * resolution)))

    def limited(self, images: tuple[int, int] | None) -> "Proxy":
        """The same for a set of so many training and validation images (None: unknown), of which it uses no more."""
        if images is None:
            return self
        train = max(self.recipe.batch, min(self.train_images, images[0]))
        return replace(self, train_images=train, validation_images=min(self.validation_images, images[1]))

    def longer(self, times: int, images: tuple[int, int] | None) -> "Proxy":
        """The same for `times` as many images seen, of a set as in `limited`.

        They are more images, as far as the set has some, rather than more epochs of the same.
        """
        if images is None:
            return replace(self, epochs=self.epochs * times)
        used = self.limited(images).train_images
        train = max(used, min(images[0], used * times))
        return replace(self, train_images=train, epochs=max(self.epochs, round(self.epochs * times * used / train)))

    def shrink(self, architecture: Architecture) -> Architecture:
        """The network that is trained in place of `architecture`; raises NotationError for too many channels."""
        return replace(widen(architecture, self.width, self.divisor), resolution=self.resolution)

    def check(self, space: Space) -> None:
        """Raises QuantityError if an architecture of `space` would be widened beyond what may be built."""
        fields = [field.name for field in space.fields if field.name.endswith("channels")]
        most = max(max(space.choices[name]) for name in fields)
        if (channels := round_channels(most * self.width, self.divisor)) > MOST_CHANNELS:
            raise QuantityError(
                f"the proxy's width {self.width:g} makes {channels:,} of the {most:,} channels in space {space.name}; "
                f"at most {MOST_CHANNELS:,} may be built"
            )


TIMED = ("baseline", *AXES)  # whose speed is measured for a forecast: the baseline, and it grown along each axis
OVERHEAD = 1.0  # seconds of a training besides its steps: reading, building, writing


@dataclass(frozen=True)
class Speed:
    """Seconds an image in training and in validation."""

    train: float
    validate: float

    def slower(self, factor: float) -> Self:
        """The same for trainings that take so many times as long."""
        return replace(self, train=factor * self.train, validate=factor * self.validate)


@dataclass(frozen=True)
class Forecast:
    """Predicts seconds of trainings: `train` and `validate` are those of an image for the baseline.

    They grow with the depth, width and resolution of a network to the `powers` of these axes.
    """

    baseline: Architecture
    train: float
    validate: float
    powers: Mapping[str, float]

    @classmethod
    def of(cls, timed: Mapping[str, tuple[Architecture, float, float]]) -> "Forecast":
        """From the architecture and its training and validation seconds an image, for each of TIMED."""
        baseline, train, validate = timed["baseline"]
        powers = {}
        for axis in AXES:
            architecture, seconds, _ = timed[axis]
            growth = _growth(architecture, baseline)[axis]
            powers[axis] = math.log(seconds / train) / math.log(growth) if growth > 1 else 0.0
        return cls(baseline, train, validate, powers)

    def slower(self, factor: float) -> Self:
        """The same for trainings that take so many times as long."""
        return replace(self, train=factor * self.train, validate=factor * self.validate)

    def seconds(self, architecture: Architecture, proxy: Proxy, epochs: int) -> float:
        """Seconds of a training of `epochs` epochs that is validated once, at its end."""
        growth = _growth(architecture, self.baseline)
        factor = math.exp(sum(self.powers[axis] * math.log(growth[axis]) for axis in AXES))
        images = epochs * proxy.train_images * self.train + proxy.validation_images * self.validate
        return factor * images + OVERHEAD


def _growth(architecture: Architecture, baseline: Architecture) -> dict[str, float]:
    return {axis: getattr(architecture, size) / getattr(baseline, size) for axis, (size, _) in SIZES.items()}


# At 48 px the sides of all maps divide well, so that trainings are faster than at 40 px (docs/proxy.md).
QUICK = Proxy("quick", resolution=48, width=0.25, epochs=4, train_images=4000, validation_images=4000)
STANDARD = Proxy("standard", resolution=48, width=0.25, epochs=4, train_images=10_000, validation_images=4000)
LARGE = Proxy("large", resolution=64, width=0.5, epochs=5, train_images=20_000, validation_images=10_000)
FULL = Proxy("full", resolution=96, width=1, epochs=10, train_images=50_000, validation_images=10_000)

PROXIES = {proxy.name: proxy for proxy in (QUICK, STANDARD, LARGE, FULL)}  # the cheapest first
AUTO = "auto"  # the largest preset with which a search fits into its time


@dataclass(frozen=True)
class Fidelity:
    """Kendall tau of one training by a proxy with a long one, and its 95 % interval, over networks of equal FLOPs."""

    data: str
    networks: int
    tau: float
    low: float
    high: float

    def __str__(self) -> str:
        interval = f"95 % interval {self.low:.2f} to {self.high:.2f}"
        return f"{self.tau:.2f} on {self.data} ({interval}, {self.networks} networks)"


# With 160,000 images at 48 px, as `python benchmarks/proxies.py report` prints it; other presets were not measured.
FIDELITY = {
    "quick": (Fidelity("CIFAR-10", 34, 0.61, 0.48, 0.73), Fidelity("scenes", 34, 0.37, 0.12, 0.59)),
    "standard": (Fidelity("CIFAR-10", 34, 0.60, 0.41, 0.76), Fidelity("scenes", 34, 0.54, 0.33, 0.71)),
}


def fidelity_line(proxy: Proxy) -> str:
    """How well one training by a proxy ranks networks, as far as it was measured."""
    found = FIDELITY.get(proxy.name, ()) if proxy == PROXIES.get(proxy.name) else ()
    if not found:
        return (
            "how well it ranks networks as a long training does was not measured; effsearch verify does so afterwards"
        )
    taus = " and ".join(map(str, found))
    return f"one training by {proxy.name} ranks networks of equal FLOPs as a long one does with Kendall tau {taus}"


def find_proxy(name: str) -> Proxy:
    """The preset of that name; raises QuantityError."""
    if name not in PROXIES:
        raise QuantityError(f"--proxy must be one of {listed([AUTO, *PROXIES])}, got {name!r}")
    return PROXIES[name]

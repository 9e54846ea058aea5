"""A cheap training that ranks architectures as a full one would."""

from dataclasses import dataclass, field, replace

from effsearch.architecture import Architecture
from effsearch.scaling import widen
from effsearch.training.recipe import Recipe


@dataclass(frozen=True)
class Proxy:
    """A training with fewer pixels, channels, images and epochs (EcoNAS, 2001.01233).

    `resolution` in px; `width` multiplies all channels, rounded to multiples of `divisor`; `train_images` and
    `validation_images` are at most how many are used, since a number fixes the time of a trial where a share would not.
    """

    name: str
    resolution: int
    width: float
    epochs: int
    train_images: int
    validation_images: int
    divisor: int = 4
    recipe: Recipe = field(default_factory=Recipe)

    def shrink(self, architecture: Architecture) -> Architecture:
        """The network that is trained in place of `architecture`."""
        return replace(widen(architecture, self.width, self.divisor), resolution=self.resolution)


QUICK = Proxy("quick", resolution=32, width=0.35, epochs=4, train_images=3000, validation_images=1500)
STANDARD = Proxy("standard", resolution=48, width=0.35, epochs=8, train_images=5000, validation_images=2000)

PROXIES = {proxy.name: proxy for proxy in (QUICK, STANDARD)}

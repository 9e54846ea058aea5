"""The settings of a run that transfers networks to image sets."""

from dataclasses import dataclass
from functools import cached_property

from effsearch.architecture import Architecture, parse
from effsearch.costs import Cost, cost
from effsearch.errors import QuantityError, listed
from effsearch.limits import SEEDS, check_range
from effsearch.reward import Reward
from effsearch.training.recipe import Recipe

IMAGENET, SCRATCH = "imagenet", "scratch"  # what a network may begin from, besides a file of weights


@dataclass(frozen=True)
class TransferNetwork:
    """A network that is transferred: what tables call it, and the words by which it was asked for.

    It begins from `weights`: imagenet, scratch (fresh ones), or the hash of a file.
    """

    name: str
    notation: str
    weights: str
    asked: str

    def __post_init__(self) -> None:
        self.architecture  # noqa: B018 - checks it

    @cached_property
    def architecture(self) -> Architecture:
        return parse(self.notation)


@dataclass(frozen=True)
class TransferSet:
    """An image set: what tables call it, where it is, the hash of its images, and the numbers of its parts.

    `test` is 0 where it has no images of its own to test on: then validation is all that is known.
    """

    name: str
    data: str
    digest: str
    classes: int
    train: int
    validation: int
    test: int = 0


@dataclass(frozen=True)
class TransferSettings:
    """The transfer of networks to image sets: all of a network is trained, or with `linear` a classifier alone.

    Of each set at most `train_images` are used; trainings are under `seed` and the seeds after it. Parameters are
    compared with those of the network that is called `reference`.
    """

    networks: tuple[TransferNetwork, ...]
    sets: tuple[TransferSet, ...]
    recipe: Recipe
    epochs: int
    reference: str
    linear: bool = False
    train_images: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        check_range("--epochs", self.epochs, 1, 100_000)
        check_range("--seed", self.seed, *SEEDS)
        for what, names in (("networks", self.network_names), ("image sets", [each.name for each in self.sets])):
            if twice := next((name for name in names if names.count(name) > 1), None):
                raise QuantityError(f"two {what} are called {twice}: name each once")
            if not names:
                raise QuantityError(f"transfer needs {what}, got none")
        if self.reference not in self.network_names:
            allowed = listed(self.network_names)
            raise QuantityError(f"--reference must be one of the networks, {allowed}; got {self.reference!r:.80}")

    @staticmethod
    def key(network: TransferNetwork, images: TransferSet) -> str:
        """What identifies a network on an image set in a run."""
        return f"{network.name}-on-{images.name}"

    @staticmethod
    def cost(network: TransferNetwork, images: TransferSet) -> Cost:
        """What a network costs with a classifier of the set's classes."""
        return cost(network.architecture, classes=max(2, images.classes))

    @property
    def network_names(self) -> list[str]:
        return [network.name for network in self.networks]

    @property
    def score(self) -> Reward:
        """Accuracy alone: no network costs more than its T."""
        return Reward(max(cost(network.architecture).flops for network in self.networks), "hard")

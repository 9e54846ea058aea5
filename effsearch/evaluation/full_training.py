"""The full training of one network, by the same loop as the proxy."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from effsearch.architecture import Architecture
from effsearch.costs import cost
from effsearch.data import ImageSet, Split
from effsearch.evaluation.devices import given_back
from effsearch.network import Network, build
from effsearch.network.weights import start_from
from effsearch.training import Epoch, Recipe
from effsearch.training.batches import Batches
from effsearch.training.loop import accuracy, images_at_once, train

FIVE_FROM = 10  # number of classes from which top-5 accuracy is computed


@dataclass(frozen=True)
class Whole:
    """A full training, at the resolution of the architecture; `device` is cpu or cuda."""

    architecture: Architecture
    recipe: Recipe
    epochs: int
    seed: int
    device: str = "cpu"


@dataclass(frozen=True)
class TrainedNetwork:
    """The averaged network that was validated, `at_once` images at a time."""

    network: Network
    at_once: int


def train_whole(
    whole: Whole,
    images: ImageSet,
    *,
    weights: Path | None = None,
    state: bytes | None = None,
    keep: Callable[[bytes], None] | None = None,
    on_epoch: Callable[[Epoch], None] | None = None,
    on_step: Callable[[int, int], None] | None = None,
    note: Callable[[str], Any] = lambda text: None,
    accumulation: int = 1,
) -> TrainedNetwork:
    """Trains from fresh weights, from a file of weights, or on from a checkpoint; see `training.loop.train`.

    Raises WeightsError for a file that does not fit, Diverged, ContextLost, and whatever running out of memory raises.
    """

    @given_back(whole.device)
    def run() -> TrainedNetwork:
        recipe, architecture = whole.recipe, whole.architecture
        torch.manual_seed(whole.seed)
        classes, dropout = len(images.classes), recipe.dropout_for(cost(architecture).params)
        network = build(architecture, classes, dropout=dropout, drop_path=recipe.drop_path, zero_init=recipe.zero_init)
        if weights is not None and state is None:
            note(f"from {weights}, {start_from(network, architecture, weights)}")
        trained = train(
            network,
            images,
            recipe,
            resolution=architecture.resolution,
            epochs=whole.epochs,
            seed=whole.seed,
            device=torch.device(whole.device),
            every_epoch=True,
            on_epoch=on_epoch,
            on_step=on_step,
            keep=keep,
            checkpoint=state,
            accumulation=accumulation,
        )
        assert isinstance(trained.network, Network)
        return TrainedNetwork(trained.network, images_at_once(recipe, accumulation))

    return run()


def score(trained: TrainedNetwork, split: Split, whole: Whole) -> dict[str, float]:
    """top1, and top5 from ten classes up, as fractions, and the number of images."""
    tops = (1, 5) if len(trained.network.state_dict()["classifier.1.bias"]) >= FIVE_FROM else (1,)
    images, side = Batches(split, torch.device(whole.device)), whole.architecture.resolution
    found = {f"top{top}": accuracy(trained.network, images, side, trained.at_once, top) for top in tops}
    return found | {"images": len(split)}

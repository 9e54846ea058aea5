"""The proxy training and the full training of a network, by the same loop."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from effsearch.architecture import Architecture
from effsearch.costs import cost
from effsearch.data import ImageSet
from effsearch.evaluation import Evaluation
from effsearch.evaluation.devices import check_device, given_back
from effsearch.evaluation.hardware import watchdog
from effsearch.evaluation.proxy import Proxy
from effsearch.network import Network, build
from effsearch.network.weights import Start, pack_weights
from effsearch.text import counted
from effsearch.training import Epoch, Recipe, best_epoch
from effsearch.training.loop import OnStep, images_at_once, train


def train_by_proxy(
    architecture: Architecture,
    images: ImageSet,
    proxy: Proxy,
    *,
    seed: int,
    device: str,
    until: int | None,
    checkpoint: bytes | None,
    accumulation: int,
    keep_weights: bool,
) -> Evaluation:
    """Trains and validates one architecture; see ProxyTraining."""
    check_device(device)
    start, recipe, shrunk = time.perf_counter(), proxy.recipe, proxy.shrink(architecture)

    @given_back(device)
    def run() -> Evaluation:
        with watchdog() as beat:
            trained = train(
                _initialised(shrunk, images, recipe, recipe.dropout or 0.0, seed),
                images,
                recipe,
                resolution=proxy.resolution,
                epochs=proxy.epochs,
                seed=seed,
                device=torch.device(device),
                until=until,
                checkpoint=checkpoint,
                accumulation=accumulation,
                on_step=beat,
            )
        reached, history, seconds = trained.history[-1].accuracy, tuple(trained.history), time.perf_counter() - start
        assert reached is not None
        assert isinstance(trained.network, Network)
        how = f"{counted(len(history), 'epoch')} of {counted(len(images.train), 'image')} of {images.name}"
        weights = pack_weights(trained.network, shrunk, images.classes, how) if keep_weights else None
        return Evaluation(reached, len(history), seconds, history, trained.checkpoint, weights=weights)

    return run()


@dataclass(frozen=True)
class Whole:
    """A full training, at the resolution of the architecture; `device` is cpu or cuda.

    With `patience` it ends that many epochs after the best one, whose network it is then.
    """

    architecture: Architecture
    recipe: Recipe
    epochs: int
    seed: int
    device: str = "cpu"
    patience: int | None = None


@dataclass(frozen=True)
class TrainedNetwork:
    """The averaged network that was validated, `at_once` images at a time, and how many epochs it was trained for."""

    network: Network
    at_once: int
    epochs: int


def train_whole(
    whole: Whole,
    images: ImageSet,
    *,
    start: Start | None = None,
    state: bytes | None = None,
    keep: Callable[[bytes], None] | None = None,
    on_epoch: Callable[[Epoch], None] | None = None,
    on_step: OnStep | None = None,
    note: Callable[[str], Any] = lambda text: None,
    accumulation: int = 1,
    every_epoch: bool = True,
) -> TrainedNetwork:
    """Trains from fresh weights, from those of `start`, or on from a checkpoint; see `training.loop.train`.

    Raises WeightsError for weights that do not fit, Diverged, ContextLost, and what running out of memory raises.
    """

    @given_back(whole.device)
    def run() -> TrainedNetwork:
        recipe, architecture = whole.recipe, whole.architecture
        dropout = recipe.dropout_for(cost(architecture).params)
        network = _initialised(architecture, images, recipe, dropout, whole.seed)
        if start is not None and state is None:
            note(f"from {start.name}, {start.load_into(network, architecture)}")
        trained = train(
            network,
            images,
            recipe,
            resolution=architecture.resolution,
            epochs=whole.epochs,
            seed=whole.seed,
            device=torch.device(whole.device),
            every_epoch=every_epoch,
            on_epoch=on_epoch,
            on_step=on_step,
            keep=keep,
            checkpoint=state,
            accumulation=accumulation,
            patience=whole.patience,
        )
        assert isinstance(trained.network, Network)
        epochs = (
            len(trained.history)
            if whole.patience is None
            else best_epoch([epoch.accuracy for epoch in trained.history])
        )
        return TrainedNetwork(trained.network, images_at_once(recipe, accumulation), epochs)

    return run()


def _initialised(architecture: Architecture, images: ImageSet, recipe: Recipe, dropout: float, seed: int) -> Network:
    torch.manual_seed(seed)
    classes, zero_init = len(images.classes), recipe.zero_init
    return build(architecture, classes, dropout=dropout, drop_path=recipe.drop_path, zero_init=zero_init)

"""The proxy training and the full training of a network, by the same loop."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from effsearch.architecture import Architecture
from effsearch.costs import cost
from effsearch.data import ImageSet, load, subset
from effsearch.evaluation import Evaluation
from effsearch.evaluation.devices import check_device, given_back
from effsearch.evaluation.hardware import watchdog
from effsearch.evaluation.proxy import Proxy
from effsearch.network import Network, build
from effsearch.network.weights import Start
from effsearch.training import Epoch, Recipe, best_epoch
from effsearch.training.loop import OnStep, images_at_once, train


@dataclass(frozen=True)
class ProxyTraining:
    """A proxy training on the packed image set in `folder`; a value, so that it can be sent to a worker.

    `split_seed` gives the validation split and the images used, the same for all candidates; `device` is cpu or cuda.
    With `baseline_resolution` (px) the proxy's resolution is scaled by that of a network over it. The gradient of a
    batch is accumulated from `accumulation` parts.
    """

    proxy: Proxy
    folder: Path
    split_seed: int = 0
    device: str = "cpu"
    baseline_resolution: int | None = None
    accumulation: int = 1

    def __call__(
        self, architecture: Architecture, seed: int, until: int | None = None, checkpoint: bytes | None = None
    ) -> Evaluation:
        """Trains and validates one architecture, `until` an epoch if given, on from a checkpoint if given.

        Raises Diverged, CorruptCheckpoint, ContextLost, and ExecutorError where there is no GPU to train on.
        """
        with watchdog() as beat, given_back(self.device):
            return self._train(architecture, seed, until, checkpoint, beat)

    def with_accumulation(self, count: int) -> "ProxyTraining":
        """The same with each batch in `count` parts, which take less memory."""
        return replace(self, accumulation=count)

    @property
    def folders(self) -> tuple[Path, ...]:
        return (self.folder,)

    def with_folders(self, folders: Sequence[Path]) -> "ProxyTraining":
        """The same with the image set in another place."""
        return replace(self, folder=folders[0])

    def _train(
        self, architecture: Architecture, seed: int, until: int | None, checkpoint: bytes | None, on_step: OnStep
    ) -> Evaluation:
        check_device(self.device)
        start = time.perf_counter()
        proxy = self.proxy_for(architecture)
        images = load(self.folder, split_seed=self.split_seed)
        training = subset(images.train, proxy.train_images, self.split_seed)
        validation = subset(images.validation, proxy.validation_images, self.split_seed)
        images = replace(images, train=training, validation=validation)
        recipe, shrunk = proxy.recipe, proxy.shrink(architecture)
        trained = train(
            _initialised(shrunk, images, recipe, recipe.dropout or 0.0, seed),
            images,
            recipe,
            resolution=proxy.resolution,
            epochs=proxy.epochs,
            seed=seed,
            device=torch.device(self.device),
            until=until,
            checkpoint=checkpoint,
            accumulation=self.accumulation,
            on_step=on_step,
        )
        reached, history = trained.history[-1].accuracy, tuple(trained.history)
        assert reached is not None
        return Evaluation(reached, len(history), time.perf_counter() - start, history, trained.checkpoint)

    def proxy_for(self, architecture: Architecture) -> Proxy:
        """The proxy at its resolution for an architecture."""
        if self.baseline_resolution is None:
            return self.proxy
        return self.proxy.scaled(architecture.resolution / self.baseline_resolution)


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
            every_epoch=True,
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

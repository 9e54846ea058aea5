"""Evaluates an architecture by a proxy training."""

import time
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from effsearch.architecture import Architecture
from effsearch.data import load, subset
from effsearch.evaluation import Evaluation
from effsearch.evaluation.devices import check_device, given_back
from effsearch.evaluation.hardware import Watchdog
from effsearch.evaluation.proxy import Proxy
from effsearch.network import build
from effsearch.training.loop import train


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
        with Watchdog() as watchdog, given_back(self.device):
            return self._train(architecture, seed, until, checkpoint, watchdog)

    def with_accumulation(self, count: int) -> "ProxyTraining":
        """The same with each batch in `count` parts, which take less memory."""
        return replace(self, accumulation=count)

    def _train(
        self, architecture: Architecture, seed: int, until: int | None, checkpoint: bytes | None, watchdog: Watchdog
    ) -> Evaluation:
        check_device(self.device)
        start = time.perf_counter()
        proxy = self.proxy_for(architecture)
        images = load(self.folder, split_seed=self.split_seed)
        training = subset(images.train, proxy.train_images, self.split_seed)
        validation = subset(images.validation, proxy.validation_images, self.split_seed)
        images = replace(images, train=training, validation=validation)
        torch.manual_seed(seed)
        recipe, shrunk, classes = proxy.recipe, proxy.shrink(architecture), len(images.classes)
        dropout = recipe.dropout or 0.0
        network = build(shrunk, classes, dropout=dropout, drop_path=recipe.drop_path, zero_init=recipe.zero_init)
        trained = train(
            network,
            images,
            recipe,
            resolution=proxy.resolution,
            epochs=proxy.epochs,
            seed=seed,
            device=torch.device(self.device),
            until=until,
            checkpoint=checkpoint,
            accumulation=self.accumulation,
            on_step=watchdog.beat,
        )
        reached, history = trained.history[-1].accuracy, tuple(trained.history)
        assert reached is not None
        return Evaluation(reached, len(history), time.perf_counter() - start, history, trained.checkpoint)

    def proxy_for(self, architecture: Architecture) -> Proxy:
        """The proxy at its resolution for an architecture."""
        if self.baseline_resolution is None:
            return self.proxy
        return self.proxy.scaled(architecture.resolution / self.baseline_resolution)

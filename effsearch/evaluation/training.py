"""Evaluates an architecture by a proxy training."""

import time
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from effsearch.architecture import Architecture
from effsearch.data import load, subset
from effsearch.evaluation.evaluation import Evaluation
from effsearch.evaluation.proxy import Proxy
from effsearch.network import build
from effsearch.training.loop import train


@dataclass(frozen=True)
class ProxyTraining:
    """A proxy training on the packed image set in `folder`; a value, so that it can be sent to a worker.

    `split_seed` gives the validation split and the images used, the same for all candidates; `device` is cpu or cuda.
    """

    proxy: Proxy
    folder: Path
    split_seed: int = 0
    device: str = "cpu"

    def __call__(self, architecture: Architecture, seed: int) -> Evaluation:
        """Trains and validates one architecture; raises Diverged."""
        start = time.perf_counter()
        proxy = self.proxy
        images = load(self.folder, split_seed=self.split_seed)
        images = replace(
            images,
            train=subset(images.train, proxy.train_images, self.split_seed),
            validation=subset(images.validation, proxy.validation_images, self.split_seed),
        )
        torch.manual_seed(seed)
        network = build(
            proxy.shrink(architecture),
            len(images.classes),
            dropout=proxy.recipe.dropout,
            drop_path=proxy.recipe.drop_path,
            zero_init=proxy.recipe.zero_init,
        )
        history, _ = train(
            network,
            images,
            proxy.recipe,
            resolution=proxy.resolution,
            epochs=proxy.epochs,
            seed=seed,
            device=torch.device(self.device),
        )
        reached = history[-1].accuracy
        assert reached is not None
        return Evaluation(reached, proxy.epochs, time.perf_counter() - start, tuple(history))

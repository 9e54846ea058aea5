"""How fast proxy trainings are on this machine, from a few steps of each network by the loop that will train it."""

import time
from contextlib import suppress
from dataclasses import dataclass, replace
from statistics import median

import numpy as np
import torch

from effsearch.architecture import Architecture
from effsearch.data import ImageSet, Split
from effsearch.evaluation.proxy import Proxy
from effsearch.network import build
from effsearch.processes import keep_freed_memory
from effsearch.training.loop import accuracy, images_at_once, train
from effsearch.training.recipe import Recipe

STEPS, EPOCHS, SECONDS = 3, 10, 0.8
"""Steps of an epoch, and epochs of which the first is not timed: fewer where they have taken so many seconds."""


@dataclass(frozen=True)
class Speed:
    """Seconds for each image in training and in validation."""

    train: float
    validate: float


class _EnoughError(Exception):
    """The timed steps suffice."""


def measure(networks: list[tuple[Architecture, Proxy]], classes: int, cuda: bool) -> list[Speed]:
    """The speed of each network at the resolution of its proxy, on one CPU thread or the first GPU."""
    if not cuda:
        torch.set_num_threads(1)
        keep_freed_memory()
    device = torch.device("cuda" if cuda else "cpu")
    return [_measure(architecture, proxy, classes, device) for architecture, proxy in networks]


def _measure(architecture: Architecture, proxy: Proxy, classes: int, device: torch.device) -> Speed:
    network = build(proxy.shrink(architecture), classes, drop_path=proxy.recipe.drop_path)
    images = _noise(STEPS * proxy.recipe.batch, proxy.resolution, classes)
    looks: list[float] = []
    started = time.perf_counter()

    def on_step(step: int, steps: int) -> None:
        # The loop looks at the loss after the first step of an epoch and after its last, and a GPU has then done both.
        looks.append(time.perf_counter())
        if len(looks) >= 4 and len(looks) % 2 == 0 and looks[-1] - started > SECONDS:
            raise _EnoughError

    # At no rate to speak of: labels at random are nothing to learn, and a loss that diverges would end the measurement.
    recipe, side = replace(proxy.recipe, rate=1e-8), proxy.resolution
    with suppress(_EnoughError):
        train(network, images, recipe, resolution=side, epochs=EPOCHS, seed=0, device=device, on_step=on_step)
    steps = [(last - first) / (STEPS - 1) for first, last in zip(looks[2::2], looks[3::2], strict=True)]
    return Speed(median(steps) / proxy.recipe.batch, _validation(network, images.train, recipe, side, device))


def _validation(network: torch.nn.Module, split: Split, recipe: Recipe, resolution: int, device: torch.device) -> float:
    """Seconds an image, the faster of two looks: the first one warms up."""
    times = []
    for _ in range(2):
        start = time.perf_counter()
        accuracy(network, split, resolution, device, images_at_once(recipe))
        times.append(time.perf_counter() - start)
    return min(times) / len(split)


def _noise(count: int, side: int, classes: int) -> ImageSet:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (count, side, side, 3), dtype=np.uint8)
    whole = Split(pixels, np.arange(count), np.arange(count) % classes)
    one = replace(whole, rows=whole.rows[:1], labels=whole.labels[:1])
    return ImageSet("noise", tuple(map(str, range(classes))), side, "", True, whole, one)

"""A worker trains networks for days: its memory, and that of its device, must not grow with their number."""

import os
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from effsearch.data import Augmentation, prepare
from effsearch.evaluation import Proxy
from effsearch.evaluation.proxy_training import ProxyTraining
from effsearch.executors.local import LocalExecutor
from effsearch.space import load
from effsearch.training import Recipe

WARM, TRAININGS = 20, 100
HOST_MIB = 48
"""What the host's memory may grow by after the first trainings: blocks of other sizes than before, kept by malloc."""

DEVICE_MIB = 1
RECIPE = Recipe(batch=8, augmentation=Augmentation(crop="pad"))
PROXY = Proxy("small", resolution=16, width=0.5, epochs=1, train_images=16, validation_images=4, recipe=RECIPE)
SPACE = load("tiny")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten images of noise in each of two classes, packed."""
    root, rng = tmp_path_factory.mktemp("noise"), np.random.default_rng(0)
    for index in range(20):
        place = root / "images" / "train" / ("a", "b")[index % 2] / f"{index}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (16, 16, 3), np.uint8)).save(place)
    return prepare(root / "images", 16, cache=root / "cache")


def host_mib() -> float:
    """What this process has in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def device_mib() -> float:
    """What is allocated on this process's device."""
    return torch.cuda.memory_reserved() / 2**20


def growth(training: ProxyTraining, slot: int | None, used) -> float:
    """How much more is in use after TRAININGS different networks than after the first WARM, in one worker."""
    rng = random.Random(0)
    executor = LocalExecutor([slot])
    try:
        found = []
        for number in range(1, TRAININGS + 1):
            network = SPACE.decode(SPACE.sample(rng))
            executor.submit(training, network, number).result(timeout=120)
            if number in (WARM, TRAININGS):
                found.append(executor.submit(used).result(timeout=60))
        return found[1] - found[0]
    finally:
        executor.stop()


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="only Linux tells what a process has in memory")
def test_a_hundred_trainings_do_not_grow_the_host_s_memory(folder):
    assert growth(ProxyTraining(PROXY, folder), None, host_mib) < HOST_MIB


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_hundred_trainings_do_not_grow_the_device_s_memory(folder):
    # Three epochs of two steps: the later ones are replayed as a graph.
    training = ProxyTraining(replace(PROXY, epochs=3), folder, device="cuda")
    assert growth(training, 0, device_mib) < DEVICE_MIB

"""How long a network takes to answer, the memory that needs, and how fast its proxy training is."""

import re
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

import numpy as np
import torch
from torch import Tensor

from effsearch.architecture import Architecture
from effsearch.data import ImageSet, Split
from effsearch.evaluation.hardware import keep_freed_memory, send
from effsearch.evaluation.proxy import Proxy
from effsearch.network import build
from effsearch.training.loop import accuracy, images_at_once, precision, train
from effsearch.training.recipe import Recipe

WARM_UP_SECONDS, WARM_UP_RUNS = 0.5, 5
"""Runs that are not timed: for so long, and at least so many."""

MOST_RUNS, LEAST_RUNS = 300, 20

GPU_REST_SECONDS = 0.5
"""What a GPU may still have to do for a process that rests."""

_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


@dataclass(frozen=True)
class Latency:
    """Seconds from a batch to its logits over `runs` runs: their median and 90th percentile.

    `memory` is the peak in bytes that weights and activations added to the process (on a GPU: to what torch has
    allocated there), or None where the system does not tell.
    """

    median: float
    p90: float
    runs: int
    memory: int | None


def measure_latency(
    architecture: Architecture,
    device: str = "cpu",
    batch: int = 1,
    threads: int = 1,
    resolution: int | None = None,
    classes: int = 1000,
    seconds: float = 3.0,
) -> Latency:
    """The latency of a network with random weights in evaluation mode, in memory order channels-last.

    On a CPU in float32 with so many threads, on a GPU in bf16 if it has that. Runs for `seconds`, but 20 to 300 times.
    """
    where = torch.device(device)
    if where.type == "cpu":
        torch.set_num_threads(threads)
    memory = _Peak(where)
    side = resolution or architecture.resolution
    network = build(architecture, classes).eval().to(where, memory_format=torch.channels_last)  # type: ignore[call-overload]
    x = torch.randn(batch, 3, side, side, device=where).to(memory_format=torch.channels_last)
    with torch.inference_mode(), precision(where):
        times = _times(lambda: network(x), where, seconds)
    p90 = sorted(times)[int(0.9 * (len(times) - 1) + 0.5)]
    return Latency(median(times), p90, len(times), memory.since())


def measure_alone(
    beside: Sequence[int],
    architecture: Architecture,
    device: str,
    batch: int,
    threads: int,
    resolution: int | None,
    classes: int,
    seconds: float,
) -> Latency:
    """The same, while the processes `beside` are made to rest; to be called in a process that does nothing else.

    This process wakes them, also where the one that asked has died meanwhile: what rests would otherwise stay.
    """
    # Ctrl-C reaches every process of the terminal: the one that asked decides what becomes of this.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        send(beside, signal.SIGSTOP)
        if device == "cuda" and beside:
            time.sleep(GPU_REST_SECONDS)
        return measure_latency(architecture, device, batch, threads, resolution, classes, seconds)
    finally:
        send(beside, signal.SIGCONT)


def _times(run: Callable[[], Tensor], device: torch.device, seconds: float) -> list[float]:
    def once() -> float:
        start = time.perf_counter()
        run()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return time.perf_counter() - start

    warm: list[float] = []
    while sum(warm) < WARM_UP_SECONDS or len(warm) < WARM_UP_RUNS:
        warm.append(once())
    times: list[float] = []
    while len(times) < LEAST_RUNS or (sum(times) < seconds and len(times) < MOST_RUNS):
        times.append(once())
    return times


class _Peak:
    """How far memory rises above what it is now."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
            self.start: int | None = torch.cuda.memory_allocated(device)
        else:
            self.start = _resident("VmRSS") if _forget_peak() else None

    def since(self) -> int | None:
        if self.start is None:
            return None
        if self.device.type == "cuda":
            return torch.cuda.max_memory_allocated(self.device) - self.start
        peak = _resident("VmHWM")
        return None if peak is None else max(0, peak - self.start)


def _forget_peak() -> bool:
    """Linux keeps the highest resident size of a process until it is told to forget it; others do not tell."""
    try:
        _CLEAR.write_text("5", encoding="ascii")
    except OSError:
        return False
    return True


def _resident(field: str) -> int | None:
    try:
        found = re.search(rf"^{field}:\s+(\d+) kB", _STATUS.read_text(encoding="ascii"), re.MULTILINE)
    except OSError:
        return None
    return int(found[1]) * 1024 if found else None


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

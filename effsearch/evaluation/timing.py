"""The latency of a network, the memory that it needs, and the speed of its proxy training."""

import re
import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from torch import Tensor

from effsearch.architecture import Architecture
from effsearch.data import ImageSet, Split
from effsearch.evaluation.hardware import keep_freed_memory, send
from effsearch.evaluation.proxy import Proxy, Speed
from effsearch.network import build
from effsearch.training.batches import Batches
from effsearch.training.loop import images_at_once, train, validate
from effsearch.training.precision import precision

WARM_UP_SECONDS, WARM_UP_RUNS = 0.5, 5  # the least duration and number of runs before those that are timed
MOST_RUNS, LEAST_RUNS = 300, 20
GPU_REST_SECONDS = 0.5  # time for a GPU to finish what a stopped process has queued there
_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


@dataclass(frozen=True)
class Latency:
    """Median and 90th percentile of the seconds of a forward pass over `runs` runs.

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
    """The latency of a network with random weights in evaluation mode, in channels-last memory format.

    On a CPU in float32 with `threads`, on a GPU in bf16 if it has that. Runs for `seconds`, but 20 to 300 times.
    """
    where = torch.device(device)
    if where.type == "cpu":
        torch.set_num_threads(threads)
    peak = _peak_memory(where)
    side = resolution or architecture.resolution
    network = build(architecture, classes).eval().to(where, memory_format=torch.channels_last)  # type: ignore[call-overload]
    x = torch.randn(batch, 3, side, side, device=where).to(memory_format=torch.channels_last)
    with torch.inference_mode(), precision(where):
        times = _times(lambda: network(x), where, seconds)
    p90 = sorted(times)[int(0.9 * (len(times) - 1) + 0.5)]
    return Latency(median(times), p90, len(times), peak())


def measure_alone(beside: Sequence[int], architecture: Architecture, device: str, *arguments: Any) -> Latency:
    """`measure_latency` while the processes `beside` are stopped; to be called in a process of its own.

    This process continues them even if its parent has died meanwhile: they would otherwise stay stopped.
    """
    # Ctrl-C reaches every process of the terminal: the parent decides when this one ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        send(beside, signal.SIGSTOP)
        if device == "cuda" and beside:
            time.sleep(GPU_REST_SECONDS)
        return measure_latency(architecture, device, *arguments)
    finally:
        send(beside, signal.SIGCONT)


def _times(run: Callable[[], Tensor], device: torch.device, seconds: float) -> list[float]:
    def repeat(least: int, most: int, seconds: float) -> list[float]:
        times: list[float] = []
        while len(times) < least or (sum(times) < seconds and len(times) < most):
            start = time.perf_counter()
            run()
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            times.append(time.perf_counter() - start)
        return times

    repeat(WARM_UP_RUNS, sys.maxsize, WARM_UP_SECONDS)
    return repeat(LEAST_RUNS, MOST_RUNS, seconds)


def _peak_memory(device: torch.device) -> Callable[[], int | None]:
    """Gives a function that reads the peak of allocated memory since now, above what is allocated now, in bytes."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        allocated = torch.cuda.memory_allocated(device)
        return lambda: torch.cuda.max_memory_allocated(device) - allocated
    try:
        _CLEAR.write_text("5", encoding="ascii")  # Resets the peak that Linux keeps; other systems keep none.
        resident, _ = _resident("VmRSS"), _resident("VmHWM")
        return lambda: max(0, _resident("VmHWM") - resident)
    except OSError:
        return lambda: None


def _resident(field: str) -> int:
    found = re.search(rf"^{field}:\s+(\d+) kB", _STATUS.read_text(encoding="ascii"), re.MULTILINE)
    if found is None:
        raise OSError(f"{_STATUS} has no {field}")
    return int(found[1]) * 1024


STEPS, EPOCHS, SECONDS = 3, 10, 0.8
"""Steps of an epoch, epochs (the first is not timed), and the seconds after which no more are begun."""


class _EnoughError(Exception):
    """Ends a training once enough steps are timed."""


def measure(networks: list[tuple[Architecture, Proxy]], classes: int, cuda: bool) -> list[Speed]:
    """The speed of the proxy training of each network, on one CPU thread or the first GPU."""
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
        # The loop reads the loss after the first and the last step of an epoch, which waits for the GPU.
        looks.append(time.perf_counter())
        if len(looks) >= 4 and len(looks) % 2 == 0 and looks[-1] - started > SECONDS:
            raise _EnoughError

    # A tiny learning rate, since random labels cannot be learnt and a loss that diverges would end the measurement.
    recipe, side = replace(proxy.recipe, rate=1e-8), proxy.resolution
    with suppress(_EnoughError):
        train(network, images, recipe, resolution=side, epochs=EPOCHS, seed=0, device=device, on_step=on_step)
    steps = [(last - first) / (STEPS - 1) for first, last in zip(looks[2::2], looks[3::2], strict=True)]
    validations = []
    for _ in range(2):  # The first one warms up.
        start = time.perf_counter()
        validate(network, Batches(images.train, device), side, images_at_once(recipe))
        validations.append(time.perf_counter() - start)
    return Speed(median(steps) / proxy.recipe.batch, min(validations) / len(images.train))


def _noise(count: int, side: int, classes: int) -> ImageSet:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (count, side, side, 3), dtype=np.uint8)
    whole = Split(pixels, np.arange(count), np.arange(count) % classes)
    one = replace(whole, rows=whole.rows[:1], labels=whole.labels[:1])
    return ImageSet("noise", tuple(map(str, range(classes))), side, "", True, whole, one)

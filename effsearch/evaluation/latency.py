"""How long a network takes to answer, and how much memory that needs: what FLOPs do not tell."""

import re
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import torch
from torch import Tensor

from effsearch.architecture import Architecture
from effsearch.network import build
from effsearch.processes import send
from effsearch.training.loop import precision

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

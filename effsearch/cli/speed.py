"""What this machine can do, asked of another process so that torch need not be imported for a plan."""

from collections.abc import Callable, Mapping
from typing import Any

from effsearch.architecture import Architecture
from effsearch.evaluation import Proxy
from effsearch.quantities import counted
from effsearch.runs.executor import MOST_WORKERS, cores
from effsearch.search.forecast import Forecast

CLASSES = 16
"""Of the networks that are timed: the classifier hardly counts."""


def slots_on(gpus: int, workers: int | None) -> list[int | None]:
    """What each worker is pinned to: GPUs in turn, or a CPU thread."""
    if gpus:
        return [worker % gpus for worker in range(workers or gpus)]
    return [None] * (workers or min(cores(), MOST_WORKERS))


def describe_slots(slots: list[int | None]) -> str:
    """The workers, and what each has."""
    return f"{counted(len(slots), 'worker')} (one {'CPU thread' if slots[0] is None else 'GPU'} each)"


def measure(
    ask: Callable[..., Any], baseline: Architecture, timed: Mapping[str, Architecture], proxy: Proxy, gpus: int
) -> Forecast:
    """The speed of the baseline and of a network grown along each axis, by the names of `forecast.TIMED`."""
    networks = [(network, proxy.scaled(network.resolution / baseline.resolution)) for network in timed.values()]
    speeds = ask("effsearch.evaluation.speed", "measure", networks, CLASSES, bool(gpus))
    return Forecast.of(
        {name: (timed[name], speed.train, speed.validate) for name, speed in zip(timed, speeds, strict=True)}
    )

"""What this machine can do, asked of another process so that torch need not be imported for a plan."""

from collections.abc import Callable, Mapping
from typing import Any

from effsearch.architecture import Architecture
from effsearch.errors import ExecutorError
from effsearch.evaluation import Proxy
from effsearch.evaluation.hardware import first_line, loses_context, out_of_memory
from effsearch.search.forecast import Forecast

CLASSES = 16
"""Of the networks that are timed: the classifier hardly counts."""


def measure(
    ask: Callable[..., Any], baseline: Architecture, timed: Mapping[str, Architecture], proxy: Proxy, gpu: bool
) -> Forecast:
    """The speed of the baseline and of a network grown along each axis, by the names of `forecast.TIMED`."""
    networks = [(network, proxy.scaled(network.resolution / baseline.resolution)) for network in timed.values()]
    try:
        speeds = ask("effsearch.evaluation.timing", "measure", networks, CLASSES, gpu)
    except (RuntimeError, MemoryError) as error:
        if not (out_of_memory(error) or loses_context(error)):
            raise
        raise ExecutorError(
            f"the speed of a few networks cannot be measured: {first_line(error)}; if memory is too small, give a "
            "smaller --proxy-width or --proxy-resolution"
        ) from None
    return Forecast.of(
        {name: (timed[name], speed.train, speed.validate) for name, speed in zip(timed, speeds, strict=True)}
    )

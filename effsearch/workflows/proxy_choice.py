"""The proxy of a run that is left to its time: the largest preset with which what is planned fits into it."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Generic, Protocol, Self, TypeVar

from effsearch.evaluation import PROXIES, QUICK, STANDARD, Proxy
from effsearch.evaluation.devices import gpus
from effsearch.text import format_duration
from effsearch.workflows.request import Request

MARGIN = 0.85  # share of the time that may be planned: trainings side by side are slower than one alone
HOUR = 3600.0  # the time in which a run is planned to end that is given no time limit


class Speed(Protocol):
    """How fast this machine trains."""

    def slower(self, factor: float) -> Self: ...


S = TypeVar("S", bound=Speed)


@dataclass(frozen=True)
class Choice(Generic[S]):
    """A proxy and the speed of its trainings; where it was left to the time, also the next larger that did not fit.

    That one is `beyond`, with the seconds that it takes at least.
    """

    proxy: Proxy
    speed: S
    beyond: tuple[Proxy, float] | None = None


def default_proxy() -> Proxy:
    """The preset where the time does not decide."""
    return STANDARD if gpus() else QUICK


def choose(
    request: Request, budget: float, measure: Callable[[Proxy], S], seconds: Callable[[Proxy, S], float]
) -> Choice[S]:
    """The proxy that is asked for, or the largest preset that fits into `budget` seconds, or else the smallest.

    `measure` gives the speed of trainings by a proxy, and `seconds` what is planned takes with it at a speed.
    """
    if not request.leaves_proxy:
        proxy = request.proxy_from(default_proxy())
        return Choice(proxy, measure(proxy))
    first, *larger = (replace(preset, **request.changes) for preset in PROXIES.values())
    chosen = Choice(first, measure(first))
    for proxy in larger:
        factor = _cost(proxy) / _cost(chosen.proxy)
        same = _shape(proxy) == _shape(chosen.proxy)
        speed = chosen.speed if same else chosen.speed.slower(max(1.0, factor))
        if not same and seconds(proxy, speed) <= MARGIN * budget:  # What cannot fit need not be measured.
            speed = measure(proxy)
        if (took := seconds(proxy, speed)) > MARGIN * budget:
            return replace(chosen, beyond=(proxy, took))
        chosen = Choice(proxy, speed)
    return chosen


def _shape(proxy: Proxy) -> tuple[int, float, int]:
    """What the seconds of an image depend on."""
    return proxy.resolution, proxy.width, proxy.recipe.batch


def _cost(proxy: Proxy) -> float:
    """Grows with the seconds of an image no faster than these do."""
    return proxy.resolution**2 * proxy.width


def why_proxy(proxy: Proxy, seconds: float, budget: float, beyond: tuple[Proxy, float] | None) -> str:
    """Why a proxy that was left to the time is what it is, as the end of a sentence."""
    given = format_duration(budget)
    chosen = f"; {proxy.name} is the largest proxy with which it fits into {given}"
    if seconds > budget:
        chosen = f"; {proxy.name} is the smallest proxy, and takes longer than {given}"
    return f"{chosen} ({beyond[0].name} takes {format_duration(beyond[1])} or more)" if beyond else chosen

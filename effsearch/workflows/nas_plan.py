"""What a search for a network is to train, and how long that may take; with what proxy, if that is left to the time."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from statistics import mean

from effsearch.architecture import parse
from effsearch.data import count_images
from effsearch.engine.plan import most_further
from effsearch.engine.posterior import DECIDED
from effsearch.engine.rungs import PROMOTION_ETA
from effsearch.engine.search_problems import NasProblem
from effsearch.evaluation import QUICK, Proxy
from effsearch.evaluation.devices import gpus
from effsearch.evaluation.proxy import Speed, fidelity_line
from effsearch.runs.settings import NasSettings
from effsearch.space import Space
from effsearch.text import counted, format_duration
from effsearch.workflows.common import Listener
from effsearch.workflows.machine import speeds_of, workers_here
from effsearch.workflows.proxy_choice import HOUR, MARGIN, Choice, choose, default_proxy, why_proxy
from effsearch.workflows.request import SearchRequest

LEAST, MOST = 20, 60  # networks of a search whose proxy is left to the time
TRIALS = {"quick": LEAST, "prior": 200, "function": 50}  # networks of a search by preset or evaluator; else MOST
ON_A_CPU = 600.0  # seconds of a search on a CPU that is given no time limit
TIMED = 3  # networks whose speed is measured for a plan


@dataclass(frozen=True)
class Plan:
    """The settings of a search, how many networks it trains, and the seconds that this may take (None: not measured).

    Where the proxy was left to the time, that is `budget` seconds; those of a larger one, `beyond`, do not fit into it.
    """

    settings: NasSettings
    trials: int
    seconds: float | None = None
    budget: float | None = None
    beyond: tuple[Proxy, float] | None = None


def default_trials(request: SearchRequest, settings: NasSettings) -> int:
    """How many networks are trained where the proxy was not left to the time."""
    kind = settings.proxy.name if settings.evaluator == "training" else settings.evaluator
    return request.trials or TRIALS.get(kind, MOST)


@dataclass(frozen=True)
class Planner:
    """Plans a search of a space; `settings_by` gives its settings with a preset, and raises EffsearchError."""

    request: SearchRequest
    space: Space
    settings_by: Callable[[Proxy], NasSettings]
    listener: Listener

    def plan(self, measure: bool) -> Plan:
        """The plan as far as it is known without a measurement, or where one is needed or asked for with its time."""
        settings = self.settings_by(default_proxy())
        trials = default_trials(self.request, settings)
        if settings.evaluator != "training":
            return Plan(settings, trials)
        self.images  # noqa: B018 - finds a wrong --data before anything is measured
        if self.request.leaves_proxy:
            return self._largest(self.request.seconds or (HOUR if gpus() else ON_A_CPU))
        return Plan(settings, trials, self._seconds(settings, self._speed(settings.proxy), trials) if measure else None)

    @cached_property
    def images(self) -> tuple[int, int] | None:
        return count_images(self.settings_by(default_proxy()).data)

    def _largest(self, budget: float) -> Plan:
        """By the largest preset with which the search of the fewest networks fits into the time."""

        def seconds(proxy: Proxy, speed: Speed) -> float:
            return self._seconds(self.settings_by(proxy), speed, self.request.trials or LEAST)

        return self._fitting(choose(self.request, budget, self._speed, seconds), budget)

    def _fitting(self, choice: Choice[Speed], budget: float) -> Plan:
        """With as many networks as fit into the time, or with the fewest."""
        settings = self.settings_by(choice.proxy)
        for trials in self._counts(settings.proxy):
            seconds = self._seconds(settings, choice.speed, trials)
            if seconds <= MARGIN * budget:
                break
        return Plan(settings, trials, seconds, budget, choice.beyond)

    def _counts(self, proxy: Proxy) -> Sequence[int]:
        """The numbers of networks that may be trained, the largest first.

        Without a time limit the smallest preset trains the fewest: nobody has said that there is time for more.
        """
        if self.request.trials is not None:
            return [self.request.trials]
        return [LEAST] if proxy.name == QUICK.name and self.request.seconds is None else range(MOST, LEAST - 1, -1)

    def _seconds(self, settings: NasSettings, speed: Speed, trials: int) -> float:
        used = replace(settings, proxy=settings.proxy.limited(self.images))
        workers = workers_here(self.request.workers)[0] if self.request.cluster is None else self.request.workers or 1
        return NasProblem(self.space, used, trials).planned_seconds(speed.train, speed.validate, workers)

    def _speed(self, proxy: Proxy) -> Speed:
        """The mean speed of a few networks."""
        networks = NasProblem(self.space, self.settings_by(proxy), LEAST).sample(TIMED)
        found = speeds_of([(parse(candidate.notation), proxy) for candidate in networks], self.listener)
        return Speed(mean(speed.train for speed in found), mean(speed.validate for speed in found))


def announce(plan: Plan, problem: NasProblem, where: str, listener: Listener) -> None:
    """Says what is trained on `where`, how long that may take, and why by this proxy."""
    settings = plan.settings
    if settings.rungs:
        steps = ", ".join(map(str, settings.rungs[:-1]))
        listener.note(f"rungs: after {steps} of {settings.proxy.epochs} epochs the best 1 in {PROMOTION_ETA} go on")
    listener.note(fidelity_line(settings.proxy))
    then = f", then B0 under {counted(settings.repeats, 'seed')}" if "b0" in problem.known else ""
    if further := most_further(settings, plan.trials):
        then += f", and up to {further} more trainings until one is the best with {100 * DECIDED:.0f} %"
    listener.note(f"{counted(plan.trials, 'architecture')} on {where}{then}")
    if plan.seconds is not None:
        why = "" if plan.budget is None else why_proxy(settings.proxy, plan.seconds, plan.budget, plan.beyond)
        listener.note(f"about {format_duration(plan.seconds)} in all, from a short measurement{why}", "bold")

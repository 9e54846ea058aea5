"""What a search for a network is to train, and how long that may take; with what proxy, if that is left to the time."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from statistics import mean

from effsearch.architecture import parse
from effsearch.data import count_images
from effsearch.engine.plan import most_further
from effsearch.engine.posterior import DECIDED
from effsearch.engine.rungs import PROMOTION_ETA
from effsearch.engine.search_problems import NasProblem
from effsearch.evaluation import PROXIES, QUICK, STANDARD, Proxy
from effsearch.evaluation.devices import gpus
from effsearch.evaluation.timing import Speed
from effsearch.runs.settings import NasSettings
from effsearch.space import Space
from effsearch.text import counted, format_duration
from effsearch.workflows.common import Listener
from effsearch.workflows.machine import speeds_of, workers_here
from effsearch.workflows.request import SearchRequest

TRIALS = {"quick": 24, "prior": 200, "function": 50}  # networks of a search by preset or evaluator; else MOST
LEAST, MOST = 24, 60  # networks of a search whose proxy is left to the time
BUDGETS = {"cpu": 600.0, "cuda": 3600.0}  # seconds of a search that is given no time limit
MARGIN = 0.85  # share of the time that may be planned: trainings side by side are slower than one alone
FORECAST = 3  # networks whose speed is measured for a plan
Shape = tuple[int, float, int]  # what the speed of a training depends on: px, channels, images of a batch


@dataclass(frozen=True)
class Plan:
    """The settings of a search, how many networks it trains, and the seconds that this may take (None: not measured).

    Where the proxy was left to the time, that is `budget` seconds, in which the plan `beyond` does not fit.
    """

    settings: NasSettings
    trials: int
    seconds: float | None = None
    budget: float | None = None
    beyond: "Plan | None" = None

    @property
    def fits(self) -> bool:
        return self.seconds is None or self.budget is None or self.seconds <= MARGIN * self.budget


def default_proxy() -> Proxy:
    """The preset where nothing is measured."""
    return STANDARD if gpus() else QUICK


def default_trials(request: SearchRequest, settings: NasSettings) -> int:
    """How many networks are trained where the proxy was not left to the time."""
    kind = settings.proxy.name if settings.evaluator == "training" else settings.evaluator
    return request.trials or TRIALS.get(kind, MOST)


@dataclass
class Planner:
    """Plans a search of a space; `settings_by` gives its settings with a preset, and raises EffsearchError."""

    request: SearchRequest
    space: Space
    settings_by: Callable[[Proxy], NasSettings]
    listener: Listener
    speeds: dict[Shape, Speed] = field(default_factory=dict)

    def plan(self, measure: bool) -> Plan:
        """The plan as far as it is known without a measurement, or where one is needed or asked for with its time."""
        settings = self.settings_by(default_proxy())
        trials = default_trials(self.request, settings)
        if settings.evaluator != "training":
            return Plan(settings, trials)
        self.images = count_images(settings.data)  # Finds a wrong --data before anything is measured.
        if self.request.leaves_proxy:
            return self._largest()
        return Plan(settings, trials, self._seconds(settings, trials, self._speed(settings)) if measure else None)

    def _largest(self) -> Plan:
        """By the largest preset with which the search fits into the time, or else by the smallest."""
        presets = list(PROXIES.values())
        chosen = self._by(presets[0], self._counts(first=True))
        for preset in presets[1:]:
            least = self._at_least(preset, chosen.settings)
            larger = self._by(preset, self._counts()) if least.fits else least
            if not larger.fits:
                return replace(chosen, beyond=larger)
            chosen = larger
        return chosen

    def _counts(self, first: bool = False) -> Sequence[int]:
        """The numbers of networks that may be trained, the largest first.

        Without a time limit the smallest preset trains the fewest: nobody has said that there is time for more.
        """
        if self.request.trials is not None:
            return [self.request.trials]
        return [LEAST] if first and self.request.seconds is None else range(MOST, LEAST - 1, -1)

    def _by(self, preset: Proxy, counts: Sequence[int]) -> Plan:
        """The plan with as many networks as fit, or with the fewest."""
        settings = self.settings_by(preset)
        speed = self._speed(settings)
        plans = (self._within(settings, trials, speed) for trials in counts)
        return next((plan for plan in plans if plan.fits), None) or self._within(settings, counts[-1], speed)

    def _at_least(self, preset: Proxy, smaller: NasSettings) -> Plan:
        """The plan with the fewest networks at a speed that this preset cannot exceed: so none need be measured."""
        settings, speed = self.settings_by(preset), self._speed(smaller)
        sides, widths = (getattr(settings.proxy, n) / getattr(smaller.proxy, n) for n in ("resolution", "width"))
        factor = max(1.0, sides**2 * widths)
        slower = Speed(factor * speed.train, factor * speed.validate)
        return self._within(settings, self._counts()[-1], slower)

    def _within(self, settings: NasSettings, trials: int, speed: Speed) -> Plan:
        budget = self.request.seconds or BUDGETS["cuda" if gpus() else "cpu"]
        return Plan(settings, trials, self._seconds(settings, trials, speed), budget)

    def _seconds(self, settings: NasSettings, trials: int, speed: Speed) -> float:
        proxy = settings.proxy if self.images is None else settings.proxy.limited(*self.images)
        problem = NasProblem(self.space, replace(settings, proxy=proxy), trials)
        return problem.planned_seconds(speed.train, speed.validate, self._at_once())

    def _speed(self, settings: NasSettings) -> Speed:
        """The mean speed of a few networks, measured once for presets that differ in images and epochs alone."""
        proxy = settings.proxy
        shape = proxy.resolution, proxy.width, proxy.recipe.batch
        if shape not in self.speeds:
            networks = NasProblem(self.space, settings, LEAST).sample(FORECAST)
            found = speeds_of([(parse(candidate.notation), proxy) for candidate in networks], self.listener)
            self.speeds[shape] = Speed(mean(s.train for s in found), mean(s.validate for s in found))
        return self.speeds[shape]

    def _at_once(self) -> int:
        """Trainings at full speed at a time; of a cluster it is not known how many it has, nor how fast they are."""
        return workers_here(self.request.workers)[0] if self.request.cluster is None else self.request.workers or 1


def announce(plan: Plan, problem: NasProblem, where: str, listener: Listener) -> None:
    """Says what is trained on `where`, how long that may take, and why by this proxy."""
    settings = plan.settings
    if settings.rungs:
        steps = ", ".join(map(str, settings.rungs[:-1]))
        listener.note(f"rungs: after {steps} of {settings.proxy.epochs} epochs the best 1 in {PROMOTION_ETA} go on")
    then = f", then B0 under {counted(settings.repeats, 'seed')}" if "b0" in problem.known else ""
    if further := most_further(settings, plan.trials):
        then += f", and up to {further} more trainings until one is the best with {100 * DECIDED:.0f} %"
    listener.note(f"{counted(plan.trials, 'architecture')} on {where}{then}")
    if plan.seconds is not None:
        listener.note(f"about {format_duration(plan.seconds)} in all, from a short measurement{_why(plan)}", "bold")


def _why(plan: Plan) -> str:
    """Why the proxy is what it is, where it was left to the time."""
    if plan.budget is None:
        return ""
    given, name, larger = format_duration(plan.budget), plan.settings.proxy.name, plan.beyond
    chosen = f"; {name} is the largest proxy with which it fits into {given}"
    if not plan.fits:
        chosen = f"; {name} is the smallest proxy, and takes longer than {given}"
    if larger is None or larger.seconds is None:
        return chosen
    return f"{chosen} ({larger.settings.proxy.name} takes {format_duration(larger.seconds)} or more)"

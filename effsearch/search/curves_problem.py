"""Figures 3 and 4 of the paper, as a problem for the driver: every network of every curve under every seed."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from statistics import median
from typing import Any

from optuna.distributions import BaseDistribution, FloatDistribution
from optuna.samplers import BaseSampler, RandomSampler

from effsearch.architecture import Architecture, parse
from effsearch.axis_curves import AXES, POINTS, Curve, one_axis, width_under
from effsearch.cost import cost
from effsearch.errors import EffsearchError, QuantityError, RunError
from effsearch.evaluation.proxy import Proxy
from effsearch.reward import Reward
from effsearch.runs.records import Candidate, Record
from effsearch.runs.settings import differences, read_proxy
from effsearch.scaling import AS_PUBLISHED, Coefficients, Multipliers, grow
from effsearch.search.forecast import Forecast
from effsearch.search.retries import given_up, train_all
from effsearch.search.steps import Clock, Done, Outlook, Propose, Step, Wait


@dataclass(frozen=True)
class CurvesSettings:
    """Everything that gives a trial its meaning: a run is continued only under equal settings.

    `points` are growths of FLOPs; `under` adds width under other depths and resolutions. Raises QuantityError.
    """

    baseline: str
    name: str
    data: str
    proxy: Proxy
    axes: tuple[str, ...] = AXES
    under: bool = True
    points: tuple[float, ...] = POINTS
    repeats: int = 2
    exponent: float = -0.07
    classes: int = 1000
    seed: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.repeats <= 100:
            raise QuantityError(f"--repeats must be from 1 to 100, got {self.repeats}")
        if not 0 <= self.seed < 2**31:
            raise QuantityError(f"the seed must be a whole number from 0 to {2**31 - 1}, got {self.seed}")
        self.curves  # noqa: B018 - checks axes and points

    @cached_property
    def architecture(self) -> Architecture:
        """The baseline."""
        return parse(self.baseline)

    @property
    def curves(self) -> list[Curve]:
        """What is drawn."""
        return one_axis(self.axes, self.points) + (width_under(self.points) if self.under else [])

    @property
    def seeds(self) -> range:
        """The training seeds, the same for all networks."""
        return range(self.seed, self.seed + self.repeats)

    @property
    def score(self) -> Reward:
        """Accuracy at the FLOPs of the baseline."""
        return Reward(cost(self.architecture, classes=self.classes).flops, "soft", self.exponent)

    def networks(self) -> dict[str, tuple[Architecture, Multipliers]]:
        """The distinct networks of all curves, by key."""
        found: dict[str, tuple[Architecture, Multipliers]] = {}
        for curve in self.curves:
            for by in curve.points:
                network = grow(self.architecture, by, AS_PUBLISHED)
                found.setdefault(network.key, (network, by))
        return found

    def to_dict(self) -> dict[str, Any]:
        """For run.toml; the reward and what it aims at stand there too, for whoever reads it."""
        about = {"target": self.score.target, "reward": "soft", "resolution": self.architecture.resolution}
        return asdict(self) | {"axes": list(self.axes), "points": list(self.points)} | about

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "CurvesSettings":
        """Reads what `to_dict` wrote; raises RunError for anything else."""
        try:
            known = {name: value for name, value in values.items() if name in cls.__dataclass_fields__}
            lists = {name: tuple(known[name]) for name in ("axes", "points")}
            return cls(**{**known, **lists, "proxy": read_proxy(known["proxy"])})
        except (KeyError, TypeError, ValueError, EffsearchError) as error:
            raise RunError(f"the settings in run.toml cannot be read: {error}") from None

    def differences(self, other: "CurvesSettings") -> list[str]:
        """What differs, as 'name is A, not B'."""
        return differences(self.to_dict(), other.to_dict())


@dataclass
class CurvesProblem:
    """Trains every network under every seed, seed by seed."""

    settings: CurvesSettings
    proposer: str = "curve"
    distributions: Mapping[str, BaseDistribution] = field(init=False)

    def __post_init__(self) -> None:
        self.distributions = {name: FloatDistribution(1, 100) for name in ("alpha", "beta", "gamma")}
        self.candidates = [self._candidate(network, by) for network, by in self.settings.networks().values()]

    @property
    def score(self) -> Reward:
        return self.settings.score

    def first(self) -> Iterable[Candidate]:
        return ()

    def sampler(self, proposals: int) -> BaseSampler:
        return RandomSampler(self.settings.seed)  # Never asked: every training is known beforehand.

    def next_step(self, records: Sequence[Record], clock: Clock) -> Step:
        if any(record.state == "queued" for record in records):
            return Propose()
        broken = given_up(records)
        if broken is not None:
            return Wait() if clock.pending else Done(broken)
        return train_all(self.candidates, records, self.settings.seeds, self.settings.proxy.epochs)

    def params(self, candidate: Candidate) -> dict[str, Any]:
        assert candidate.coefficients is not None
        return asdict(candidate.coefficients)

    def candidate(self, params: Mapping[str, Any]) -> Candidate:
        found = Coefficients(**params)
        return self._candidate(grow(self.settings.architecture, found.at(1)), found.at(1))

    def outlook(self, records: Sequence[Record], workers: int) -> Outlook:
        """Trainings done, of those that are planned, and the time left at their median."""
        planned = len(self.candidates) * self.settings.repeats
        times = [record.seconds or 0.0 for record in records if record.state == "complete"]
        left = (planned - len(times)) * median(times) / workers if times else None
        return Outlook(f"{len(times)}/{planned} trainings", left)

    def planned_seconds(self, forecast: Forecast, workers: int) -> float:
        """Of all trainings together on so many workers."""
        proxy = self.settings.proxy
        once = sum(forecast.seconds(network, proxy, proxy.epochs) for network, _ in self.settings.networks().values())
        return self.settings.repeats * once / workers

    def _candidate(self, network: Architecture, by: Multipliers) -> Candidate:
        settings = self.settings
        total = cost(network, classes=settings.classes)
        grown = Coefficients(by.depth, by.width, by.resolution)
        name = f"d={by.depth:.3g} w={by.width:.3g} r={by.resolution:.3g}"
        epochs = settings.proxy.epochs
        return Candidate(network.key, network.notation, total.flops, total.params, settings.seed, name, epochs, grown)

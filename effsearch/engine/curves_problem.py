"""Figures 3 and 4 of the paper, as a problem for the driver: every network of every curve under every seed."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from optuna.distributions import FloatDistribution
from optuna.samplers import BaseSampler, RandomSampler

from effsearch.architecture import Architecture
from effsearch.costs import cost
from effsearch.engine.problem import Clock, Outlook, Problem, Step
from effsearch.engine.retries import queued_or_given_up, train_all
from effsearch.evaluation.proxy import Forecast
from effsearch.runs.records import Candidate, RecordIndex
from effsearch.runs.settings import CurvesSettings
from effsearch.scaling import Multipliers, grow


@dataclass
class CurvesProblem(Problem):
    """Trains every network under every seed, seed by seed."""

    settings: CurvesSettings

    def __post_init__(self) -> None:
        self.score, self.proposer = self.settings.score, "curve"
        self.distributions = {name: FloatDistribution(1, 100) for name in ("depth", "width", "resolution")}
        self.candidates = [self._candidate(network, by) for network, by in self.settings.networks().values()]

    def sampler(self, proposals: int) -> BaseSampler:
        return RandomSampler(self.settings.seed)  # Never asked: every training is known beforehand.

    def next_step(self, records: RecordIndex, clock: Clock) -> Step:
        return queued_or_given_up(records) or train_all(self.candidates, records, self.settings)

    def params(self, candidate: Candidate) -> dict[str, Any]:
        assert candidate.multipliers is not None
        return asdict(candidate.multipliers)

    def candidate(self, params: Mapping[str, Any]) -> Candidate:
        by = Multipliers(**params)
        return self._candidate(grow(self.settings.architecture, by), by)

    def outlook(self, records: RecordIndex, workers: int) -> Outlook:
        planned = len(self.candidates) * self.settings.repeats
        times = [record.seconds or 0.0 for record in records if record.state == "complete"]
        return Outlook.of(f"{len(times)}/{planned} trainings", planned - len(times), times, workers)

    def planned_seconds(self, forecast: Forecast, workers: int) -> float:
        """Seconds of all trainings together on that many workers."""
        proxy = self.settings.proxy
        once = sum(forecast.seconds(network, proxy, proxy.epochs) for network, _ in self.settings.networks().values())
        return self.settings.repeats * once / workers

    def _candidate(self, network: Architecture, by: Multipliers) -> Candidate:
        total = cost(network, classes=self.settings.classes)
        name = f"d={by.depth:.3g} w={by.width:.3g} r={by.resolution:.3g}"
        costs = (network.key, network.notation, total.flops, total.params)
        return Candidate(*costs, self.settings.seed, name, self.settings.proxy.epochs, multipliers=by)

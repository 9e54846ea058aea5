"""Long trainings of networks that a search found and of those that they are compared with, as a problem."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from optuna.distributions import CategoricalDistribution
from optuna.samplers import BaseSampler, RandomSampler

from effsearch.costs import cost
from effsearch.engine.problem import Clock, Outlook, Problem, Step
from effsearch.engine.retries import queued_or_given_up, train_all
from effsearch.evaluation.proxy import OVERHEAD
from effsearch.runs.records import Candidate, RecordIndex
from effsearch.runs.settings import VerifiedNetwork, VerifySettings

NETWORK = "network"  # the one decision of the study: which network is trained, by its key


@dataclass
class VerifyProblem(Problem):
    """Trains every network under `repeats` seeds, seed by seed, so that those that were finished are always paired."""

    settings: VerifySettings
    repeats: int

    def __post_init__(self) -> None:
        self.score, self.proposer = self.settings.score, "verify"
        self.candidates = [self._candidate(network) for network in self.settings.networks]
        self.by_key = {candidate.key: candidate for candidate in self.candidates}
        self.distributions = {NETWORK: CategoricalDistribution(list(self.by_key))}

    @property
    def seeds(self) -> range:
        return range(self.settings.seed, self.settings.seed + self.repeats)

    def sampler(self, proposals: int) -> BaseSampler:
        return RandomSampler(self.settings.seed)  # Never asked: every training is known beforehand.

    def next_step(self, records: RecordIndex, clock: Clock) -> Step:
        epochs = self.settings.proxy.epochs
        return queued_or_given_up(records) or train_all(self.candidates, records, self.seeds, epochs)

    def params(self, candidate: Candidate) -> dict[str, Any]:
        return {NETWORK: candidate.key}

    def candidate(self, params: Mapping[str, Any]) -> Candidate:
        return self.by_key[params[NETWORK]]

    def outlook(self, records: RecordIndex, workers: int) -> Outlook:
        times = [record.seconds or 0.0 for record in records if record.state == "complete"]
        planned = max(len(times), len(self.candidates) * self.repeats)
        return Outlook.of(f"{len(times)}/{planned} trainings", planned - len(times), times, workers)

    def planned_seconds(self, train: float, validate: float, workers: int) -> float:
        """Seconds of all trainings on that many workers, from seconds an image in training and in validation."""
        proxy = self.settings.proxy
        images = proxy.epochs * proxy.train_images * train + proxy.validation_images * validate
        return len(self.candidates) * self.repeats * (images + OVERHEAD) / workers

    def _candidate(self, network: VerifiedNetwork) -> Candidate:
        settings, found = self.settings, network.architecture
        total = cost(found, classes=settings.classes)
        costs = (found.key, found.notation, total.flops, total.params)
        return Candidate(*costs, settings.seed, network.role, settings.proxy.epochs)

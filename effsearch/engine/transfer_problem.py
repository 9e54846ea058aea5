"""Trainings of several networks on several image sets, as a problem."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from optuna.distributions import CategoricalDistribution
from optuna.samplers import BaseSampler, RandomSampler

from effsearch.engine.problem import Clock, Outlook, Problem, Step
from effsearch.engine.retries import queued_or_given_up, train_all
from effsearch.evaluation.fine_tuning import Transfer
from effsearch.network.weights import Start
from effsearch.runs.records import Candidate, RecordIndex
from effsearch.runs.transfer_settings import TransferNetwork, TransferSet, TransferSettings

TRANSFER = "transfer"  # the one decision of the study: which network is trained on which set, by their key


@dataclass
class TransferProblem(Problem):
    """Trains every network on every set under `repeats` seeds, seed by seed, from what each of `starts` holds."""

    settings: TransferSettings
    repeats: int
    starts: Sequence[Start | None]

    def __post_init__(self) -> None:
        self.score, self.proposer = self.settings.score, "transfer"
        pairs = [(network, images) for images in self.settings.sets for network in self.settings.networks]
        self.pairs = {self.settings.key(*pair): pair for pair in pairs}
        self.candidates = [self._candidate(*pair) for pair in pairs]
        self.distributions = {TRANSFER: CategoricalDistribution(list(self.pairs))}

    @property
    def seeds(self) -> range:
        return range(self.settings.seed, self.settings.seed + self.repeats)

    def sampler(self, proposals: int) -> BaseSampler:
        return RandomSampler(self.settings.seed)  # Never asked: every training is known beforehand.

    def next_step(self, records: RecordIndex, clock: Clock) -> Step:
        return queued_or_given_up(records) or train_all(self.candidates, records, self.seeds, None)

    def params(self, candidate: Candidate) -> dict[str, Any]:
        return {TRANSFER: candidate.key}

    def candidate(self, params: Mapping[str, Any]) -> Candidate:
        return next(candidate for candidate in self.candidates if candidate.key == params[TRANSFER])

    def task(self, candidate: Candidate) -> Transfer:
        network, images = self.pairs[candidate.key]
        start = self.starts[self.settings.networks.index(network)]
        return Transfer(network.architecture, start, self.settings.sets.index(images))

    def outlook(self, records: RecordIndex, workers: int) -> Outlook:
        times = [record.seconds or 0.0 for record in records if record.state == "complete"]
        planned = max(len(times), len(self.candidates) * self.repeats)
        return Outlook.of(f"{len(times)}/{planned} trainings", planned - len(times), times, workers)

    def _candidate(self, network: TransferNetwork, images: TransferSet) -> Candidate:
        settings, total = self.settings, self.settings.cost(network, images)
        key = settings.key(network, images)
        return Candidate(key, network.notation, total.flops, total.params, settings.seed, network.weights)

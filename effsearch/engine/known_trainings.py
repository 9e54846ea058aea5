"""Problems whose trainings are all known beforehand: some candidates, each under the same seeds."""

from collections.abc import Mapping, Sequence
from typing import Any

from optuna.distributions import CategoricalDistribution
from optuna.samplers import BaseSampler, RandomSampler

from effsearch.engine.problem import Clock, Outlook, Problem, Step
from effsearch.engine.retries import queued_or_given_up, train_all
from effsearch.runs.records import Candidate, RecordIndex


class KnownTrainings(Problem):
    """Trains every candidate under `repeats` seeds from `seed` on, seed by seed, so that what was finished is paired.

    A training pauses after `epochs`, if given. `decision` names the one decision of the study, a candidate's key.
    """

    def __init__(
        self, decision: str, candidates: Sequence[Candidate], seed: int, repeats: int, epochs: int | None = None
    ) -> None:
        self.decision, self.candidates = decision, candidates
        self.seed, self.repeats, self.epochs = seed, repeats, epochs
        self.by_key = {candidate.key: candidate for candidate in candidates}
        self.distributions = {decision: CategoricalDistribution(list(self.by_key))}

    @property
    def seeds(self) -> range:
        return range(self.seed, self.seed + self.repeats)

    def sampler(self, proposals: int) -> BaseSampler:
        return RandomSampler(self.seed)  # Never asked: every training is known beforehand.

    def next_step(self, records: RecordIndex, clock: Clock) -> Step:
        return queued_or_given_up(records) or train_all(self.candidates, records, self.seeds, self.epochs)

    def params(self, candidate: Candidate) -> dict[str, Any]:
        return {self.decision: candidate.key}

    def candidate(self, params: Mapping[str, Any]) -> Candidate:
        return self.by_key[params[self.decision]]

    def outlook(self, records: RecordIndex, workers: int) -> Outlook:
        times = [record.seconds or 0.0 for record in records if record.state == "complete"]
        planned = max(len(times), len(self.candidates) * self.repeats)
        return Outlook.of(f"{len(times)}/{planned} trainings", planned - len(times), times, workers)

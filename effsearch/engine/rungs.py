"""Rungs (epochs, rising) of a search: every network is trained to the first, and the best of each go on to the next.

A grid halves its networks rung by rung (successive halving, 1502.07943). An architecture search does not wait for a
rung to fill: a network goes on once it is among the best 1/PROMOTION_ETA of those that have reached its rung so far
(ASHA, 1810.05934). Unlike there, promotion begins once enough networks are on the first rung: as a sampler improves,
nearly each would be among the best when it comes. Both are pure functions of the records.
"""

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from effsearch.engine.problem import Step, Train, Wait
from effsearch.engine.retries import attempt, is_due
from effsearch.runs.records import Candidate, Record, RecordIndex, epochs_alone
from effsearch.runs.settings import NasSettings

HALVING_ETA = 2  # one in HALVING_ETA candidates of a grid goes on
PROMOTION_ETA = 4  # one in PROMOTION_ETA networks of an architecture search goes on


def halve(
    candidates: Sequence[Candidate], kept: Collection[str], rungs: Sequence[int], records: RecordIndex
) -> tuple[Step | None, Sequence[Candidate]]:
    """The next step of successive halving, or None at its end, and the candidates that go on to the last rung.

    Those `kept`, by key, go on whatever they reached.
    """
    survivors = here = candidates
    for rung in rungs:
        attempts = {each.key: records.attempts((each.key, each.seed, rung)) for each in candidates}
        for candidate in here:
            if is_due(attempts[candidate.key]):
                return Train(replace(attempt(candidate, attempts[candidate.key]), epochs=rung)), here
        if any(record.state == "running" for group in attempts.values() for record in group):
            return Wait(), here
        survivors, here = here, _promoted(here, kept, attempts)
    return None, survivors


def _promoted(
    here: Sequence[Candidate], kept: Collection[str], attempts: Mapping[str, Sequence[Record]]
) -> list[Candidate]:
    """Those that go on to the next rung: what was dropped failed by itself, or is in the worse half.

    One whose worker was lost at every attempt goes on, since that tells nothing of the network.
    """
    tried = [(each.key, record.reward) for each in here for record in attempts[each.key]]
    rewards = {key: reward for key, reward in tried if reward is not None}
    free = [key for key in rewards if key not in kept]
    best = sorted(free, key=lambda key: -rewards[key])[: math.ceil(len(free) / HALVING_ETA)]
    lost = {candidate.key for candidate in here if _is_lost(attempts[candidate.key])}
    return [candidate for candidate in here if candidate.key in {*best, *lost, *kept}]


def _is_lost(group: Sequence[Record]) -> bool:
    return bool(group) and all(record.state == "failed" for record in group) and group[-1].failure_kind == "lost"


@dataclass(frozen=True)
class Promotion:
    """Asynchronous promotion of the networks of a search under its seed; the baseline goes on whatever it reached."""

    records: RecordIndex
    settings: NasSettings
    baseline: Candidate | None

    @property
    def _kept(self) -> str | None:
        return None if self.baseline is None else self.baseline.key

    def next(self) -> Candidate | None:
        """The promotion to begin now, of the highest rung first, or None."""
        for index in reversed(range(len(self.settings.rungs) - 1)):
            best = self._best(index)
            kept = [record for record in best if record.candidate.key == self._kept]
            free = [record for record in best if record.candidate.key != self._kept]
            if (found := next(self._due(kept + free[: len(free) // PROMOTION_ETA], index + 1), None)) is not None:
                return found
        return None

    def fill(self, count: int) -> Candidate | None:
        """The promotion to begin so that `count` networks reach the last rung; None once they did.

        The best of the highest rung are promoted first.
        """
        for index in reversed(range(len(self.settings.rungs) - 1)):
            above = self._begun(index + 1)
            waiting = [record for record in self._best(index) if record.candidate.key not in above]
            # One whose attempts are used up leaves its place to the next.
            found = next(self._due(waiting, index + 1), None)
            if found is not None and count > len(self._hopeful(index + 1) - {self._kept}):
                return found
        return None

    def _hopeful(self, index: int) -> set[str]:
        """The networks on a rung that have not used up their attempts at a higher one."""
        here = self._begun(index)
        if index + 1 == len(self.settings.rungs):
            return here
        above = self._begun(index + 1)
        done = [record for record in self._best(index) if record.candidate.key not in above]
        lost = {record.candidate.key for record in done} - {given.key for given in self._due(done, index + 1)}
        return here & (self._hopeful(index + 1) | here.difference(above)) - lost

    def _best(self, index: int) -> list[Record]:
        """The complete trainings of a rung, the best first."""
        done = [record for record in self._on(index) if record.state == "complete"]
        return sorted(done, key=lambda record: -(record.reward or 0.0))

    def _begun(self, index: int) -> set[str]:
        """The networks that are trained, training or queued for a rung."""
        counted = ("complete", "running", "queued")
        return {record.candidate.key for record in self._on(index) if record.state in counted}

    def _due(self, records: Sequence[Record], index: int) -> Iterator[Candidate]:
        rung = self.settings.rungs[index]
        for record in records:
            group = self.records.attempts((record.candidate.key, self.settings.seed, rung))
            if is_due(group):
                yield replace(attempt(record.candidate, group), epochs=rung)

    def _on(self, index: int) -> Iterator[Record]:
        here = self.settings.seed, self.settings.rungs[index]
        for record in self.records:
            if record.state != "interrupted" and (record.candidate.seed, record.candidate.epochs) == here:
                yield record


def planned_epochs(rungs: Sequence[int], count: int, last: int) -> int:
    """Epochs of `count` candidates together, of whom at least `last` are promoted to the last rung."""
    total, here = 0, count
    for rung in rungs:
        total += here * epochs_alone(rung, rungs)
        here = min(here, max(here // PROMOTION_ETA, last))
    return total

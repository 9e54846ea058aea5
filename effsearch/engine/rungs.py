"""Rungs (epochs, rising) of a search: every candidate is trained to the first, the best of each go on to the next.

A grid halves its candidates rung by rung (successive halving, 1502.07943). An architecture search does not wait for a
rung to fill: a candidate goes on once it is among the best 1/PROMOTION_ETA of those that have reached its rung so far
(ASHA, 1810.05934). Unlike there, promotion begins once enough networks are on the first rung: a sampler finds better
and better ones, so that nearly each would be among the best when it comes. Both are pure functions of the records.
"""

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from effsearch.engine.retries import attempt, is_due
from effsearch.runs.records import Candidate, Record, RecordIndex, epochs_alone

HALVING_ETA = 2  # one in HALVING_ETA candidates of a grid goes on
PROMOTION_ETA = 4  # one in PROMOTION_ETA candidates of an architecture search goes on


@dataclass(frozen=True)
class Halving:
    """Successive halving of candidates, each under its seed; those `kept` go on to the last rung in any case.

    A training whose worker was lost tells nothing of its network: it is tried again, and in the end goes on rather
    than being dropped. One that failed by itself is dropped.
    """

    rungs: tuple[int, ...]
    candidates: tuple[Candidate, ...]
    kept: frozenset[str] = frozenset()

    def next(self, records: RecordIndex) -> Candidate | None:
        """The training to begin now, or None where all that is left is running, or done."""
        here = self.candidates
        for rung in self.rungs:
            attempts = self._attempts(records, rung)
            for candidate in here:
                if is_due(attempts[candidate.key]):
                    return replace(attempt(candidate, attempts[candidate.key]), epochs=rung)
            if any(record.state in ("running", "queued") for group in attempts.values() for record in group):
                return None
            here = self._promoted(here, attempts)
        return None

    def survivors(self, records: RecordIndex) -> list[Candidate]:
        """The candidates of the last rung, if all rungs below are finished."""
        here = self.candidates
        for rung in self.rungs[:-1]:
            here = self._promoted(here, self._attempts(records, rung))
        return list(here)

    def _attempts(self, records: RecordIndex, rung: int) -> dict[str, list[Record]]:
        return {each.key: records.attempts((each.key, each.seed, rung)) for each in self.candidates}

    def _promoted(self, here: Sequence[Candidate], attempts: Mapping[str, Sequence[Record]]) -> tuple[Candidate, ...]:
        tried = [(each.key, record.reward) for each in here for record in attempts[each.key]]
        rewards = {key: reward for key, reward in tried if reward is not None}
        free = [key for key in rewards if key not in self.kept]
        best = sorted(free, key=lambda key: -rewards[key])[: math.ceil(len(free) / HALVING_ETA)]
        lost = {candidate.key for candidate in here if _is_lost(attempts[candidate.key])}
        return tuple(candidate for candidate in here if candidate.key in {*best, *lost, *self.kept})


def _is_lost(group: Sequence[Record]) -> bool:
    return bool(group) and all(record.state == "failed" for record in group) and group[-1].failure_kind == "lost"


def planned_epochs(rungs: Sequence[int], count: int, last: int) -> int:
    """Epochs of `count` candidates together, of whom at least `last` are promoted to the last rung."""
    total, here = 0, count
    for rung in rungs:
        total += here * epochs_alone(rung, rungs)
        here = min(here, max(here // PROMOTION_ETA, last))
    return total


@dataclass(frozen=True)
class Promotion:
    """Asynchronous promotion of the networks of a search under its seed; those `kept` go on whatever they reached."""

    records: RecordIndex
    rungs: tuple[int, ...]
    seed: int
    kept: Collection[str] = ()

    def next(self) -> Candidate | None:
        """The promotion to begin now, of the highest rung first, or None."""
        for index in reversed(range(len(self.rungs) - 1)):
            best = self._best(index)
            kept = [record for record in best if record.candidate.key in self.kept]
            free = [record for record in best if record.candidate.key not in self.kept]
            found = next(self._due(kept + free[: len(free) // PROMOTION_ETA], index + 1), None)
            if found is not None:
                return found
        return None

    def fill(self, count: int) -> Candidate | None:
        """The promotion to begin so that `count` networks reach the last rung; None once they did.

        The best of the highest rung are promoted first.
        """
        for index in reversed(range(len(self.rungs) - 1)):
            above = self._begun(index + 1)
            waiting = [record for record in self._best(index) if record.candidate.key not in above]
            # One whose attempts are used up leaves its place to the next.
            found = next(self._due(waiting, index + 1), None)
            if found is not None and count > len(self._hopeful(index + 1).difference(self.kept)):
                return found
        return None

    def _hopeful(self, index: int) -> set[str]:
        """The networks on a rung that have not used up their attempts at a higher one."""
        here = self._begun(index)
        if index + 1 == len(self.rungs):
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
        for record in records:
            group = self.records.attempts((record.candidate.key, self.seed, self.rungs[index]))
            if is_due(group):
                yield replace(attempt(record.candidate, group), epochs=self.rungs[index])

    def _on(self, index: int) -> Iterator[Record]:
        for record in self.records:
            candidate = record.candidate
            if candidate.seed == self.seed and candidate.epochs == self.rungs[index] and record.state != "interrupted":
                yield record

"""Rungs of a search: all candidates get the first, the best of each go on to the next (ASHA, 1810.05934).

Nobody waits for a rung to fill: a candidate goes on as soon as it is among the best 1/PROMOTION_ETA of those
that have reached its rung so far. Unlike there, that begins once enough networks are on the first rung: a sampler
finds better and better ones, so that nearly each would be among the best when it comes. Pure functions of the records.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace

from effsearch.engine.retries import attempt, is_due
from effsearch.runs.records import Candidate, Record, RecordIndex, epochs_alone

PROMOTION_ETA = 4
"""One in PROMOTION_ETA goes on."""


def planned_epochs(rungs: Sequence[int], count: int, last: int) -> int:
    """Of `count` candidates together, of whom at least `last` reach the last rung."""
    total, here = 0, count
    for rung in rungs:
        total += here * epochs_alone(rung, rungs)
        here = min(here, max(here // PROMOTION_ETA, last))
    return total


@dataclass(frozen=True)
class Promotion:
    """The records of a search under its seed, by rung: who is where, and who goes on.

    Those `kept` go on whatever they reached.
    """

    records: Sequence[Record]
    rungs: tuple[int, ...]
    seed: int
    kept: Collection[str] = ()

    def next(self) -> Candidate | None:
        """Who goes on now, the highest rung first, or None."""
        return next(self._going(), None)

    def _going(self) -> Iterator[Candidate]:
        for index in reversed(range(len(self.rungs) - 1)):
            best = self._best(index)
            kept = [record for record in best if record.candidate.key in self.kept]
            free = [record for record in best if record.candidate.key not in self.kept]
            yield from self._due(kept + free[: len(free) // PROMOTION_ETA], index + 1)

    def fill(self, count: int) -> Candidate | None:
        """Who goes on so that `count` reach the last rung, from the best of the highest rungs; None if they did."""
        for index in reversed(range(len(self.rungs) - 1)):
            above = self._begun(index + 1)
            missing = count - len(self._hopeful(index + 1).difference(self.kept))
            waiting = [record for record in self._best(index) if record.candidate.key not in above]
            # One that can no more be trained leaves its place to the next.
            found = next(self._due(waiting, index + 1), None)
            if missing > 0 and found is not None:
                return found
        return None

    def _hopeful(self, index: int) -> set[str]:
        """The networks that are on a rung and have not failed above it for good."""
        here = self._begun(index)
        if index + 1 == len(self.rungs):
            return here
        done = [record for record in self._best(index) if record.candidate.key not in self._begun(index + 1)]
        lost = {record.candidate.key for record in done} - {given.key for given in self._due(done, index + 1)}
        return here & (self._hopeful(index + 1) | here.difference(self._begun(index + 1))) - lost

    def _best(self, index: int) -> list[Record]:
        """The trainings that reached a rung, the best first."""
        done = [record for record in self._on(index) if record.state == "complete"]
        return sorted(done, key=lambda record: -(record.reward or 0.0))

    def _begun(self, index: int) -> set[str]:
        """The networks that are on a rung, or that it holds a place for."""
        counted = ("complete", "running", "queued")
        return {record.candidate.key for record in self._on(index) if record.state in counted}

    def _due(self, records: Sequence[Record], index: int) -> Iterator[Candidate]:
        known = RecordIndex.of(self.records)
        for record in records:
            group = known.attempts((record.candidate.key, self.seed, self.rungs[index]))
            if is_due(group):
                yield replace(attempt(record.candidate, group), epochs=self.rungs[index])

    def _on(self, index: int) -> Iterator[Record]:
        for record in self.records:
            candidate = record.candidate
            if candidate.seed == self.seed and candidate.epochs == self.rungs[index] and record.state != "interrupted":
                yield record

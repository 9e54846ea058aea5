"""Successive halving (1502.07943): everyone gets a first rung, the better half goes on to the next.

A pure function of the records. A training whose worker was lost says nothing of its network: it is tried again, and in
the end goes on with the others rather than being dropped. One that failed by itself is dropped.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from effsearch.engine.retries import attempt, is_due
from effsearch.runs.records import Candidate, Record, RecordIndex

HALVING_ETA = 2
"""One in HALVING_ETA goes on."""


@dataclass(frozen=True)
class Ladder:
    """Rungs (epochs, rising) that candidates climb, each under its seed; those `kept` climb to the top in any case."""

    rungs: tuple[int, ...]
    candidates: tuple[Candidate, ...]
    kept: frozenset[str] = frozenset()

    def next(self, records: Sequence[Record]) -> Candidate | None:
        """The training to begin now, or None where all that is left is running, or done."""
        here, tried = self.candidates, RecordIndex.of(records)
        for index, epochs in enumerate(self.rungs):
            known = self._on_rung(tried, epochs)
            for candidate in here:
                group = known.get(candidate.key, [])
                if is_due(group):
                    return replace(attempt(candidate, group), epochs=epochs)
            if any(record.state in ("running", "queued") for group in known.values() for record in group):
                return None
            if index + 1 < len(self.rungs):
                here = self._promoted(here, known)
        return None

    def survivors(self, records: Sequence[Record]) -> list[Candidate]:
        """Those that reached the last rung, if all rungs below are finished."""
        here, tried = self.candidates, RecordIndex.of(records)
        for epochs in self.rungs[:-1]:
            here = self._promoted(here, self._on_rung(tried, epochs))
        return list(here)

    def _on_rung(self, tried: RecordIndex, epochs: int) -> dict[str, list[Record]]:
        """The attempts of each candidate under its seed to come to a rung, by key."""
        return {each.key: tried.attempts((each.key, each.seed, epochs)) for each in self.candidates}

    def _promoted(self, here: Sequence[Candidate], known: dict[str, list[Record]]) -> tuple[Candidate, ...]:
        rewards = {
            candidate.key: record.reward
            for candidate in here
            for record in known.get(candidate.key, [])
            if record.reward is not None
        }
        free = [key for key in rewards if key not in self.kept]
        best = sorted(free, key=lambda key: -(rewards[key] or 0.0))[: math.ceil(len(free) / HALVING_ETA)]
        lost = {candidate.key for candidate in here if _is_lost(known.get(candidate.key, []))}
        going = {*best, *lost, *self.kept}
        return tuple(candidate for candidate in here if candidate.key in going)


def _is_lost(group: Sequence[Record]) -> bool:
    return bool(group) and all(record.state == "failed" for record in group) and group[-1].failure_kind == "lost"

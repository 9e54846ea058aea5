"""What a run knows of each training: its candidate, its state, and why it failed."""

import json
from bisect import bisect_left, insort
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from statistics import median
from typing import Any, Literal

from effsearch.runs.folder import Run
from effsearch.runs.schema import convert, read_file
from effsearch.scaling import Coefficients, Multipliers
from effsearch.text import sanitize

State = Literal["complete", "failed", "interrupted", "running", "queued"]
FailureKind = Literal["diverged", "memory", "lost", "hung", "error"]
"""Infinite loss, out of memory, its worker or node died, no answer in time, or another exception."""

PREDICTED = " (predicted)"  # the end of the source of a network that a benchmark table has no row of


@dataclass(frozen=True)
class Candidate:
    """What is trained: an architecture with its cost (`latency` in seconds), a seed, and the `source` that proposed it.

    The training pauses after `epochs`, if given. A baseline was grown by `coefficients` (of phi) or `multipliers`.
    Gradients are accumulated over `accumulation` parts of a batch.
    """

    key: str
    notation: str
    flops: int
    params: int
    seed: int
    source: str
    epochs: int | None = None
    coefficients: Coefficients | None = None
    accumulation: int = 1
    latency: float | None = None
    multipliers: Multipliers | None = None


@dataclass(frozen=True)
class Record:
    """One training; `accuracy` and `reward` are None unless it is complete, `test` where no test was looked at."""

    number: int
    state: State
    candidate: Candidate
    accuracy: float | None = None
    reward: float | None = None
    epochs: int | None = None
    seconds: float | None = None
    reason: str | None = None
    failure_kind: FailureKind | None = None
    finished: datetime | None = None
    test: float | None = None


def epochs_alone(until: int, rungs: Sequence[int]) -> int:
    """The epochs from the rung before to the rung `until`."""
    return until - max((rung for rung in rungs if rung < until), default=0)


TrainingId = tuple[str, int, int | None]  # key, seed and last epoch, the same for all attempts at a training


def training_of(record: Record) -> TrainingId:
    return record.candidate.key, record.candidate.seed, record.candidate.epochs


class RecordIndex(Sequence[Record]):
    """Records in the order of their trials, indexed so that no query of a search step walks through all of them."""

    def __init__(self, records: Iterable[Record] = ()) -> None:
        self._records: dict[int, Record] = {}
        self._states: defaultdict[State, dict[int, Record]] = defaultdict(dict)
        self._keys: defaultdict[tuple[State, int], Counter[str]] = defaultdict(Counter)
        self._proposed: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._attempts: defaultdict[TrainingId, dict[int, Record]] = defaultdict(dict)
        self._failing: set[TrainingId] = set()
        self._seconds: list[float] = []
        self._last: dict[int, int] = {}
        for record in records:
            self.note(record)

    def note(self, record: Record) -> None:
        """Sets the record of a trial, in place of an earlier one."""
        number, before = record.number, self._records.get(record.number)
        late = before is None and self._records and number < next(reversed(self._records))
        if before is not None:
            self._count(before, -1)
        self._records[number] = record
        if late:
            self._records = dict(sorted(self._records.items()))
        self._count(record, 1)
        training = training_of(record)
        attempts = self._attempts[training]
        attempts[number] = record
        if record.state == "interrupted":
            del attempts[number]
        failing = bool(attempts) and all(attempt.state == "failed" for attempt in attempts.values())
        (self._failing.add if failing else self._failing.discard)(training)

    def _count(self, record: Record, change: int) -> None:
        number, candidate, state = record.number, record.candidate, record.state
        counters = [self._keys[state, candidate.seed]]
        if state != "interrupted":
            counters.append(self._proposed[candidate.source.removesuffix(PREDICTED)])
        for counter in counters:
            counter[candidate.key] += change
            if not counter[candidate.key]:
                del counter[candidate.key]
        if change > 0:
            self._states[state][number] = record
            if state == "complete":
                self._last[candidate.seed] = max(number, self._last.get(candidate.seed, number))
            if record.seconds is not None:
                insort(self._seconds, record.seconds)
        else:
            del self._states[state][number]
            if record.seconds is not None:
                del self._seconds[bisect_left(self._seconds, record.seconds)]

    def at(self, number: int) -> Record | None:
        return self._records.get(number)

    def in_state(self, state: State) -> list[Record]:
        """The records of the trials in a state, in the order of their numbers."""
        return [self._states[state][number] for number in sorted(self._states[state])]

    def last_complete(self, seed: int | None = None) -> int | None:
        """The number of the last complete trial, of all or of those under a seed."""
        return max(self._last.values(), default=None) if seed is None else self._last.get(seed)

    def count(self, state: State) -> int:
        return len(self._states[state])

    def keys(self, state: State, seed: int) -> Collection[str]:
        """The keys of the networks that have a record in a state under a seed."""
        return self._keys[state, seed].keys()

    def proposed(self, source: str) -> int:
        """The number of networks of a source, without those that were only interrupted."""
        return len(self._proposed[source])

    def failing(self) -> list[list[Record]]:
        """The attempts at each training whose attempts have all failed, the first begun first."""
        return [self.attempts(training) for training in sorted(self._failing, key=lambda t: min(self._attempts[t]))]

    def attempts(self, training: TrainingId) -> list[Record]:
        """The attempts at a training that were not interrupted, the first begun first."""
        group = self._attempts.get(training, {})
        return [group[number] for number in sorted(group)]

    @property
    def typical(self) -> float:
        """Median seconds of a training, or 0 before the first has ended."""
        return median(self._seconds) if self._seconds else 0.0  # kept sorted, so that this is fast

    def __len__(self) -> int:
        return len(self._records)

    def __iter__(self) -> Iterator[Record]:
        return iter(self._records.values())

    def __getitem__(self, index: Any) -> Any:
        return list(self._records.values())[index]


@dataclass(frozen=True)
class Failure:
    """A training that failed, with reason and stack trace of its last attempt; `epochs` as in a Candidate."""

    key: str
    notation: str
    seed: int
    epochs: int | None
    reason: str
    kind: str
    attempts: int
    traceback: str


def to_json(failures: Sequence[Failure]) -> str:
    return json.dumps([asdict(failure) for failure in failures], indent=1) + "\n"


def read_failures(run: Run) -> list[Failure]:
    """The failed trainings of a run; raises RunError for an invalid file."""
    return read_file(run.failed, lambda text: list(map(_failure, json.loads(text))), [])


def _failure(row: dict[str, Any]) -> Failure:
    found = convert({"kind": row.get("fault"), **row}, Failure)  # fault: as 0.1 wrote it
    # Not the stack trace, whose lines stay: it is only shown as JSON, which escapes control characters.
    shown: dict[str, Any] = {name: sanitize(getattr(found, name)) for name in ("key", "notation", "reason", "kind")}
    return replace(found, **shown)

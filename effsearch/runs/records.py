"""What a run knows of each training: its candidate, its state, and why it failed."""

import json
from bisect import bisect_left, insort
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from statistics import median
from typing import Any, Literal, overload

from effsearch.errors import RunError
from effsearch.runs.folder import Run
from effsearch.runs.schema import convert
from effsearch.scaling import Coefficients, Multipliers
from effsearch.text import sanitize

State = Literal["complete", "failed", "interrupted", "running", "queued"]
FailureKind = Literal["diverged", "memory", "lost", "hung", "error"]
"""Why a training failed: its loss, memory, its worker or node, its time, or an exception in the code."""

CANDIDATE, EVALUATION, FAILURE = "candidate", "evaluation", "failure"  # names of the user attributes of a trial
INTERRUPTED = "interrupted"
PREDICTED = " (predicted)"
"""What a reason may be, and what the source of a network ends with that no table has a row for."""


@dataclass(frozen=True)
class Candidate:
    """What is trained: an architecture with its cost, under a training seed, and who proposed it.

    `latency` is in seconds, where it was measured. `epochs` is where the training stops, if not at its end;
    `coefficients` (of phi) or `multipliers` are what a baseline was grown by. A batch is trained in `accumulation`
    parts, where the whole of it has run out of memory.
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
    """One training: its candidate, its state and what it gave. `reward` and `accuracy` are None unless complete."""

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

    @property
    def diverged(self) -> bool:
        """Whether a training failed for what its network is, not for what befell it."""
        return self.failure_kind == "diverged"


def epochs_alone(until: int, rungs: Sequence[int]) -> int:
    """The epochs of the part of a training that ends on a rung."""
    return until - max((rung for rung in rungs if rung < until), default=0)


TrainingId = tuple[str, int, int | None]  # A network under a seed to so many epochs; it may take several attempts


def training_of(record: Record) -> TrainingId:
    """What was trained in an attempt."""
    return record.candidate.key, record.candidate.seed, record.candidate.epochs


class RecordIndex(Sequence[Record]):
    """Records in the order of their trials: nothing that is asked at every step walks all of them."""

    def __init__(self, records: Iterable[Record] = ()) -> None:
        self._records: dict[int, Record] = {}
        self._states: defaultdict[State, dict[int, Record]] = defaultdict(dict)
        self._keys: defaultdict[tuple[State, int], Counter[str]] = defaultdict(Counter)
        self._proposed: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._attempts: defaultdict[TrainingId, dict[int, Record]] = defaultdict(dict)
        self._failing: set[TrainingId] = set()
        self._seconds: list[float] = []
        self._last: dict[int, int] = {}
        for number, record in enumerate(records):
            self.note(number, record)

    @classmethod
    def of(cls, records: Iterable[Record]) -> "RecordIndex":
        """The same records, if they are not such already; numbered by their order."""
        return records if isinstance(records, cls) else cls(records)

    def note(self, number: int, record: Record) -> None:
        """Takes what is now known of a trial, in place of what was."""
        before = self._records.get(number)
        if before is not None:
            self._count(number, before, -1)
        elif self._records and number < next(reversed(self._records)):
            self._records[number] = record
            self._records = dict(sorted(self._records.items()))
        self._records[number] = record
        self._count(number, record, 1)
        training = training_of(record)
        attempts = self._attempts[training]
        if record.state == "interrupted":
            attempts.pop(number, None)
        else:
            attempts[number] = record
        failing = bool(attempts) and all(attempt.state == "failed" for attempt in attempts.values())
        (self._failing.add if failing else self._failing.discard)(training)

    def _count(self, number: int, record: Record, change: int) -> None:
        candidate, state = record.candidate, record.state
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
        """What is known of a trial."""
        return self._records.get(number)

    def numbered(self, state: State) -> list[tuple[int, Record]]:
        """The records in a state with the numbers of their trials, in that order."""
        return sorted(self._states[state].items(), key=lambda item: item[0])

    def last_complete(self, seed: int | None = None) -> int | None:
        """The last trial that is complete, perhaps of those under a seed."""
        return max(self._last.values(), default=None) if seed is None else self._last.get(seed)

    def count(self, state: State) -> int:
        """How many records are in a state."""
        return len(self._states[state])

    def keys(self, state: State, seed: int) -> Collection[str]:
        """The networks that have a record in a state under a seed."""
        return self._keys[state, seed].keys()

    def proposed(self, source: str) -> int:
        """How many networks are of a source, other than those that were only interrupted."""
        return len(self._proposed[source])

    def failing(self) -> list[list[Record]]:
        """All attempts of each training of which every attempt has failed, the first begun first."""
        return [self.attempts(training) for training in sorted(self._failing, key=lambda t: min(self._attempts[t]))]

    def attempts(self, training: TrainingId) -> list[Record]:
        """All attempts of a training, the first begun first; one that was interrupted is none."""
        group = self._attempts.get(training, {})
        return [group[number] for number in sorted(group)]

    @property
    def typical(self) -> float:
        """Median seconds of a training, or 0 before the first has ended."""
        # Sorted already, which is what takes the time of a median.
        return median(self._seconds) if self._seconds else 0.0

    def __len__(self) -> int:
        return len(self._records)

    def __iter__(self) -> Iterator[Record]:
        return iter(self._records.values())

    @overload
    def __getitem__(self, index: int) -> Record: ...
    @overload
    def __getitem__(self, index: slice) -> list[Record]: ...
    def __getitem__(self, index: int | slice) -> Record | list[Record]:
        return list(self._records.values())[index]


@dataclass(frozen=True)
class Failure:
    """A training that failed, its reason and stack trace those of its last attempt.

    `epochs` is where it was to stop, if not at its end.
    """

    key: str
    notation: str
    seed: int
    epochs: int | None
    reason: str
    kind: str
    attempts: int
    traceback: str


def to_json(failures: Sequence[Failure]) -> str:
    """A list of objects, one a training."""
    return json.dumps([asdict(failure) for failure in failures], indent=1) + "\n"


def read_failures(run: Run) -> list[Failure]:
    """The failed trainings of a run; raises RunError for a file that a run does not write."""
    try:
        rows = json.loads(run.failed.read_text(encoding="utf-8"))
        return [_failure(row) for row in rows]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise RunError(f"{run.failed} cannot be read: {error}") from None


def _failure(row: dict[str, Any]) -> Failure:
    found = convert({"kind": row.get("fault"), **row}, Failure)  # fault: as 0.1 wrote it
    # A stack trace has lines; it is only shown as JSON, which escapes what a terminal would obey.
    shown: dict[str, Any] = {name: sanitize(getattr(found, name)) for name in ("key", "notation", "reason", "kind")}
    return replace(found, **shown)

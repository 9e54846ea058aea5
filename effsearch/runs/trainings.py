"""All trainings of a search, and what is asked of them at every step, kept up to date one by one."""

from bisect import bisect_left, insort
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from statistics import median
from typing import overload

from effsearch.runs.records import PREDICTED, Record, State

Training = tuple[str, int, int | None]
"""A network under a seed to so many epochs; it may take several attempts."""


def training_of(record: Record) -> Training:
    """What was trained in an attempt."""
    return record.candidate.key, record.candidate.seed, record.candidate.epochs


class Trainings(Sequence[Record]):
    """Records in the order of their trials: nothing that is asked at every step walks all of them."""

    def __init__(self, records: Iterable[Record] = ()) -> None:
        self._records: dict[int, Record] = {}
        self._states: defaultdict[State, dict[int, Record]] = defaultdict(dict)
        self._keys: defaultdict[tuple[State, int], Counter[str]] = defaultdict(Counter)
        self._proposed: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._attempts: defaultdict[Training, dict[int, Record]] = defaultdict(dict)
        self._failing: set[Training] = set()
        self._seconds: list[float] = []
        self._last: dict[int, int] = {}
        for number, record in enumerate(records):
            self.note(number, record)

    @classmethod
    def of(cls, records: Iterable[Record]) -> "Trainings":
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

    def attempts(self, training: Training) -> list[Record]:
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

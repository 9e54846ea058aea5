"""A benchmark table: networks trained beforehand, each with its choice for every decision, accuracy and cost."""

import hashlib
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from heapq import nsmallest
from operator import ne

from effsearch.errors import SpaceError
from effsearch.space import Decision, FieldValues, Value, Values, mutated

NEAREST = 32  # neighbours that a row of a pool has


@dataclass(frozen=True, slots=True)
class Entry:
    """One network of a table: its choices as a notation, accuracy (a fraction), FLOPs and parameters.

    `deviation` is the accuracy's standard deviation between trainings; if `predicted`, the table has no such row.
    """

    notation: str
    accuracy: float
    flops: float
    params: float
    deviation: float | None = None
    predicted: bool = False

    @property
    def key(self) -> str:
        """Identifies the network: ten hexadecimal digits of a hash of its notation."""
        return hashlib.sha256(self.notation.encode()).hexdigest()[:10]


@dataclass(frozen=True)
class Quality:
    """How well a measurement is predicted, by leave-one-out cross-validation over `rows` rows.

    `error` is the root mean square error (relative for FLOPs and params), `tau` Kendall's rank correlation.
    """

    measurement: str
    error: float
    tau: float
    rows: int


@dataclass(frozen=True, eq=False)
class Table:
    """All combinations of the choices, or with `pool` only the rows of `entries`: choices in the order of decisions."""

    name: str
    decisions: tuple[Decision, ...]
    entries: Mapping[FieldValues, Entry]
    pool: bool = False
    _near: dict[FieldValues, list[FieldValues]] = field(default_factory=dict, repr=False)

    @property
    def size(self) -> int:
        return len(self.entries)

    @cached_property
    def _rows(self) -> Sequence[FieldValues]:
        return tuple(self.entries)

    @cached_property
    def _names(self) -> tuple[str, ...]:
        return tuple(decision.name for decision in self.decisions)

    def decode(self, values: Mapping[str, Value]) -> Entry:
        """The network with these values; raises SpaceError if the table has none."""
        try:
            return self.entries[tuple(values[name] for name in self._names)]
        except KeyError:
            raise SpaceError(f"table {self.name} has no row {notation(values)}") from None

    def decode_all(self, points: Sequence[Mapping[str, Value]]) -> list[Entry | None]:
        """The network of each point, or None where the table has none."""
        rows = [tuple(point[name] for name in self._names) for point in points]
        if prepare := getattr(self.entries, "prepare", None):  # `engine.completion.Predictions` predicts in batches.
            prepare(rows)
        return [self.entries.get(row) for row in rows]

    def parse(self, text: str) -> Entry:
        """The network of a notation; raises SpaceError if the table has none."""
        return self.decode(self.encode(text))

    def encode(self, text: str) -> Values:
        """The values of a notation; raises SpaceError where it has other decisions or choices than the table."""
        parts = dict(part.partition("=")[::2] for part in text.split(","))
        try:
            return {
                decision.name: next(c for c in decision.choices if spell(c) == parts[spell(decision.name)])
                for decision in self.decisions
            }
        except (KeyError, StopIteration):
            raise SpaceError(f"table {self.name} has no row {text}") from None

    def sample(self, rng: random.Random) -> Values:
        if self.pool:
            return self._values(rng.choice(self._rows))
        return {decision.name: rng.choice(decision.choices) for decision in self.decisions}

    def mutate(self, values: Mapping[str, Value], changes: int, rng: random.Random) -> Values:
        """The values with `changes` decisions changed; in a pool, one of the nearest rows."""
        if self.pool:
            return self._values(rng.choice(self._nearest(values)[: 4 * changes] or self._rows))
        return mutated(self.decisions, values, changes, rng)

    def neighbours(self, values: Mapping[str, Value]) -> Iterator[Values]:
        """All that differ from the values in one decision; in a pool, the nearest rows, nearest first."""
        if self.pool:
            yield from map(self._values, self._nearest(values))
            return
        for decision in self.decisions:
            for choice in decision.choices:
                if choice != values[decision.name]:
                    yield {**values, decision.name: choice}

    def walk(self) -> Iterator[Values]:
        """The values of all networks, one after another."""
        return map(self._values, self.entries)

    def _values(self, row: FieldValues) -> Values:
        return dict(zip(self._names, row, strict=True))

    def _nearest(self, values: Mapping[str, Value]) -> list[FieldValues]:
        """The rows that differ from the values in the fewest decisions."""
        here = tuple(values[name] for name in self._names)
        if here not in self._near:
            others = [row for row in self._rows if row != here]
            self._near[here] = nsmallest(NEAREST, others, key=lambda row: sum(map(ne, here, row)))
        return self._near[here]


def notation(values: Mapping[str, Value]) -> str:
    """The values on one line: kernel=3,layers=2."""
    return ",".join(f"{spell(name)}={spell(value)}" for name, value in values.items())


def spell(value: Value) -> str:
    """A name or a choice as a notation has it, with the separators of a notation escaped."""
    return str(value).replace("%", "%25").replace(",", "%2C").replace("=", "%3D")

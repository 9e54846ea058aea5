"""Reads benchmark tables: CSV or Parquet, a row for each network that was trained."""

import csv
import io
import itertools
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any

import pyarrow
import pyarrow.parquet

from effsearch.benchmark_table import Entry, Table, notation
from effsearch.errors import TableError, listed
from effsearch.space import Decision, FieldValues, Value
from effsearch.text import counted

MEASURED = re.compile(
    r"(^|_)(accuracy|acc|top1|top5|error|loss|m?flops|macs|madds|params|parameters|activations|latency|throughput|fps|"
    r"time|seconds|hours|ms|mb|mj|memory|energy|power|reward|std|sd)(_|$)"
)
"""What a column of measurements is called: accuracy, accuracy_std, train_time_s, throughput_a100, latency_ms."""

# What a column that names its rows is called; where all its values differ it is no decision.
NAMING = re.compile(r"(^|_)(id|index|key|hash|name|arch|notation)(_|$)")

LIMITS = {
    "accuracy": (0.0, 1.0),
    "flops": (1.0, math.inf),
    "params": (0.0, math.inf),
    "accuracy_std": (-math.inf, math.inf),
}
"""The columns of measurements that are read, with the least and the greatest value allowed."""

MOST_CHOICES = 64  # a column with more distinct values than this is no decision


@dataclass(frozen=True)
class Listing:
    """A table as read from a file.

    `combinations` of choices are possible; `others` are the columns that are neither decisions nor used; `repeats`
    counts rows of networks that have an earlier row; their accuracies were averaged.
    """

    table: Table
    combinations: int
    others: tuple[str, ...]
    repeats: int

    @property
    def complete(self) -> bool:
        """Whether every combination has a row."""
        return self.table.size == self.combinations


def read_table(path: Path, measurements: Sequence[str] = ()) -> Listing:
    """Reads a CSV or Parquet file; `measurements` are further columns that are no decisions.

    Accuracy is a fraction; FLOPs and params are counts. Raises TableError that names file, column and row.
    """
    columns = _read_columns(path)
    for name in ("accuracy", "flops", *measurements):
        if name not in columns:
            raise TableError(f"{path}: no column {name}; there are {listed(columns) or 'none'}")
    if (count := len(columns["accuracy"])) < 2:
        raise TableError(f"{path}: a table needs at least 2 rows, got {count}")
    measured = {name: _numbers(path, name, columns[name]) for name in LIMITS if name in columns}
    named = [name for name in columns if name not in measurements and not MEASURED.search(name.lower())]
    values = {name: _values(path, name, columns[name]) for name in named}
    decisions = tuple(
        Decision(name, tuple(sorted(set(column))))
        for name, column in values.items()
        if 2 <= len(set(column)) <= MOST_CHOICES and not (NAMING.search(name.lower()) and len(set(column)) == count)
    )
    if not decisions:
        raise TableError(f"{path}: no column is a decision; of its columns {listed(columns)} none has 2 to 64 values")
    combinations = math.prod(len(decision.choices) for decision in decisions)
    rows = list(zip(*(values[decision.name] for decision in decisions), strict=True))
    entries = _entries(path, decisions, rows, measured, combinations)
    used = {*LIMITS, *(decision.name for decision in decisions)}
    table = Table(path.stem, decisions, entries, pool=len(entries) < combinations)
    return Listing(table, combinations, tuple(name for name in columns if name not in used), count - len(entries))


def to_csv(table: Table) -> str:
    """The rows of a table that lists them, as `read_table` reads them back."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    deviations = any(entry.deviation is not None for entry in table.entries.values())
    measurements = ["accuracy", "flops", "params"] + ["accuracy_std"] * deviations
    writer.writerow([decision.name for decision in table.decisions] + measurements)
    for row, entry in table.entries.items():
        writer.writerow([*row, entry.accuracy, entry.flops, entry.params, *[entry.deviation] * deviations])
    return text.getvalue()


def _entries(
    path: Path,
    decisions: Sequence[Decision],
    rows: Sequence[FieldValues],
    measured: Mapping[str, Sequence[float]],
    combinations: int,
) -> dict[FieldValues, Entry]:
    """One entry a network; raises TableError for duplicates that are no repeats.

    A table of a part of a space may hold trainings of a network under several seeds: equal FLOPs, different
    accuracies. In a table of every combination a repeated row is a mistake.
    """
    accuracy, flops, deviation = measured["accuracy"], measured["flops"], measured.get("accuracy_std")
    params = measured.get("params", [0.0] * len(rows))
    groups: dict[FieldValues, list[int]] = {}
    for index, row in enumerate(rows):
        groups.setdefault(row, []).append(index)
    complete = len(groups) == combinations
    names = [decision.name for decision in decisions]
    entries = {}
    for row, group in groups.items():
        text = notation(dict(zip(names, row, strict=True)))
        for before, index in itertools.pairwise(group):
            if complete or flops[index] != flops[before] or accuracy[index] == accuracy[before]:
                raise TableError(f"{path}: rows {before + 1} and {index + 1} are the same network, {text}")
        first = group[0]
        spread = None if deviation is None else deviation[first]
        entries[row] = Entry(text, mean(accuracy[i] for i in group), flops[first], params[first], spread)
    return entries


def _read_columns(path: Path) -> Mapping[str, Sequence[Any]]:
    try:
        if path.suffix.lower() in (".parquet", ".pq"):
            return dict(pyarrow.parquet.read_table(path).to_pydict())
        with path.open(encoding="utf-8-sig", newline="") as file:
            return _read_csv(path, csv.reader(file, strict=True))
    except FileNotFoundError:
        raise TableError(f"no table {str(path)!r}; give a .csv or .parquet file") from None
    except (OSError, UnicodeDecodeError, csv.Error, pyarrow.ArrowException) as error:
        raise TableError(f"{path}: not a table in CSV or Parquet: {error}") from None


def _read_csv(path: Path, lines: Any) -> dict[str, Sequence[str]]:
    header: list[str] = next(lines, [])
    names = [name.strip() for name in header]
    if len(set(names)) < len(names) or "" in names:
        raise TableError(f"{path}: its first line must name each column once, got {listed(header)[:200]}")
    rows = [line for line in lines if line]
    for index, row in enumerate(rows, 1):
        if len(row) != len(names):
            raise TableError(f"{path}: row {index} has {counted(len(row), 'cell')}, the first line {len(names)}")
    return {name: [row[column].strip() for row in rows] for column, name in enumerate(names)}


def _numbers(path: Path, name: str, cells: Sequence[Any]) -> list[float]:
    numbers, (low, high) = [], LIMITS[name]
    for index, cell in enumerate(cells, 1):
        try:
            number = float(cell)
        except (TypeError, ValueError):
            number = math.nan
        if not math.isfinite(number):
            got = "an empty cell" if cell in ("", None) else repr(cell)
            raise TableError(f"{path}: {name} must be a number, got {got} in row {index}")
        if not low <= number <= high:
            allowed = "a fraction from 0 to 1" if high == 1 else f"at least {low:g}"
            raise TableError(f"{path}: {name} must be {allowed}, got {number:g} in row {index}")
        numbers.append(number)
    return numbers


def _values(path: Path, name: str, cells: Sequence[Any]) -> list[Value]:
    """Whole numbers, or numbers, or texts: what all cells of the column are."""
    for index, cell in enumerate(cells, 1):
        if cell is None or cell == "" or (isinstance(cell, float) and math.isnan(cell)):
            raise TableError(f"{path}: {name} has an empty cell in row {index}")
    for kind in (int, float):
        try:
            numbers: list[Value] = [kind(cell) for cell in cells]
        except (TypeError, ValueError):
            continue
        if kind is float or all(
            isinstance(cell, str) or cell == number for cell, number in zip(cells, numbers, strict=True)
        ):
            return numbers
    return [str(cell) for cell in cells]

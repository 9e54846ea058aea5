"""A ranking as a pandas table: sorted, filtered, written in any format."""

import json
from dataclasses import asdict
from pathlib import Path

import pandas as pd

from effsearch.errors import ReportError, RunError, listed
from effsearch.runs.files import write_atomically
from effsearch.runs.folder import Run
from effsearch.runs.ranking import COLUMNS, Row, read_ranking

BEST_LAST = ("accuracy", "reward", "seeds", "pareto", "tie")
"""Columns in which more is better: sorted from the top."""

GROWTH = ("alpha", "beta", "gamma")
"""Columns that only a run which grows a baseline has."""

SUFFIXES = (".csv", ".json", ".parquet")


def read(run: Run) -> list[Row]:
    """The ranking of a run; raises RunError where there is none yet, or not one."""
    if not run.ranking.exists():
        raise RunError(f"run {run.name} has no ranking yet")
    return read_ranking(run.ranking)


def select(rows: list[Row], top: int | None = None, sort: str = "rank", pareto: bool = False) -> list[Row]:
    """The rows on the Pareto front, or all, by a column (unknown values last), the first `top`; raises ReportError."""
    if sort not in COLUMNS:
        raise ReportError(f"cannot sort by {sort!r}; columns are {listed(COLUMNS)}")
    chosen = [row for row in rows if row.pareto] if pareto else rows
    known = [row for row in chosen if getattr(row, sort) is not None]
    unknown = [row for row in chosen if getattr(row, sort) is None]
    known.sort(key=lambda row: getattr(row, sort), reverse=sort in BEST_LAST)
    return (known + unknown)[:top]


def frame(rows: list[Row]) -> pd.DataFrame:
    """One line an architecture, with whole numbers that may be missing."""
    table = pd.DataFrame([asdict(row) for row in rows], columns=list(COLUMNS))
    if table[list(GROWTH)].isna().all(axis=None):
        table = table.drop(columns=list(GROWTH))
    return table.astype({"rank": "Int64", "epochs": "Int64", "flops": "int64", "params": "int64"})


def to_json(rows: list[Row]) -> str:
    """A list of objects, one a row; what is not known is null."""
    grown = any(row.alpha is not None for row in rows)
    names = [name for name in COLUMNS if grown or name not in GROWTH]
    return json.dumps([{name: getattr(row, name) for name in names} for row in rows], indent=2)


def write(rows: list[Row], path: Path) -> None:
    """Writes CSV, JSON or Parquet, by the suffix; raises ReportError for another, or where it cannot be written."""
    if path.suffix not in SUFFIXES:
        raise ReportError(f"--out takes a file that ends in {listed(SUFFIXES)}, got {str(path)!r}")
    try:
        if path.suffix == ".json":
            write_atomically(path, to_json(rows) + "\n")
        elif path.suffix == ".csv":
            write_atomically(path, frame(rows).to_csv(index=False))
        else:
            write_atomically(path, frame(rows).to_parquet(index=False))
    except OSError as error:
        raise ReportError(f"cannot write {path}: {error.strerror or error}") from None

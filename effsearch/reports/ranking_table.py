"""The ranked table of a run: selected, printed, written in any format, and as the page holds it."""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from scipy import stats

from effsearch.errors import ReportError, RunError, listed
from effsearch.files import write_atomically
from effsearch.reports.text_table import TextTable
from effsearch.reward import NAMES, RATIOS, Measure
from effsearch.runs.folder import Run
from effsearch.runs.ranking import COLUMNS, TIE, Noise, Row, measure_noise, read_ranking
from effsearch.text import counted, format_count

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


def ranking_table(
    rows: Sequence[Row], notation: bool = True, noise: Noise | None = None, measure: Measure = "flops"
) -> TextTable:
    """The ranked table: accuracies in %, their deviations in points, and with `noise` their 95 % intervals.

    A run that grows a baseline has alpha, beta and gamma too, one that measures latency has it in ms. The target is
    of that `measure`.
    """
    grown, timed = (any(getattr(row, name) is not None for row in rows) for name in ("alpha", "latency"))
    headings = ["rank", "reward", "acc %", "+-" if noise else "sd (n)", "FLOPs", RATIOS[measure], "params"]
    headings += [*(["ms"] if timed else []), "epochs", ""]
    headings += ["alpha", "beta", "gamma"] if grown else []
    headings += ["source", "key"] + (["notation"] if notation else [])
    cells = []
    for row in rows:
        cell = _ranking_cells(row, noise, timed)
        cell += tuple("" if v is None else f"{v:.3f}" for v in (row.alpha, row.beta, row.gamma)) if grown else ()
        cells.append((*cell, row.source, row.key, *((row.notation,) if notation else ())))
    align = "rrrrrrr" + ("r" if timed else "") + "rl" + ("rrr" if grown else "") + "ll" + ("l" if notation else "")
    return TextTable(tuple(headings), align, cells)


def _ranking_cells(row: Row, noise: Noise | None, timed: bool) -> tuple[str, ...]:
    marks = ("*" if row.pareto else "") + ("=" if row.tie and row.rank != 1 else "")
    spread = "" if row.accuracy_sd is None else f"{100 * row.accuracy_sd:.1f} ({row.seeds})"
    if noise is not None:
        spread = "" if row.accuracy is None else f"{half_width(row, noise):.1f} ({row.seeds})"
    return (
        "" if row.rank is None else str(row.rank),
        row.state if row.reward is None else f"{row.reward:.4f}",
        "" if row.accuracy is None else f"{100 * row.accuracy:.1f}",
        spread,
        format_count(row.flops),
        f"{row.target_ratio:.2f}",
        format_count(row.params),
        *((("" if row.latency is None else f"{1e3 * row.latency:.3g}"),) if timed else ()),
        "" if row.epochs is None else str(row.epochs),
        marks,
    )


def half_width(row: Row, noise: Noise) -> float:
    """Half of the 95 % interval of a mean over seeds, in points, from the pooled deviation (Student's t)."""
    quantile = float(stats.t.ppf(0.975, noise.freedom))
    return 100 * quantile * noise.sd / math.sqrt(row.seeds)


def noise_line(rows: Sequence[Row]) -> str:
    """How far two seeds of one network are apart, as measured in this run."""
    noise = measure_noise(rows)
    if noise is None:
        return "noise: not measured, since no network was trained under two seeds; small differences mean nothing"
    points = 100 * noise.sd
    pair = TIE * 2**0.5 * points
    basis = f"pooled over {counted(noise.networks, 'network')}, {counted(noise.freedom, 'degree')} of freedom"
    return (
        f"noise: seed sd {points:.1f} points ({basis}); two networks of one seed each must differ by {pair:.1f} points "
        "to count"
    )


def marks(measure: Measure) -> str:
    """What the marks of a ranking say."""
    return (
        f"* on the Pareto front of accuracy and {NAMES[measure]}; "
        f"= tied with rank 1 ({TIE:g} standard errors of the seeds)"
    )


SORTED_BY = {
    "acc %": "accuracy",
    "sd (n)": "accuracy_sd",
    "+-": "seeds",
    "FLOPs": "flops",
    **dict.fromkeys(RATIOS.values(), "target_ratio"),
    "ms": "latency",
    "": "pareto",
}
"""The attribute of a row that a column shows, where its heading is not the attribute's name."""


@dataclass(frozen=True)
class PageRanking:
    """For the page's script; `falling` are the columns whose first click puts the largest on top."""

    headings: Sequence[str]
    align: str
    cells: Sequence[Sequence[str]]
    sort: Sequence[Sequence[Any]]
    falling: Sequence[bool]
    notations: Sequence[str]
    reasons: Sequence[str | None]


def page_ranking(rows: Sequence[Row], noise: Noise | None, measure: Measure = "flops") -> PageRanking:
    """All rows of a ranking and the columns that are not empty; with `noise` intervals in place of deviations."""
    grid = ranking_table(rows, notation=False, noise=noise, measure=measure)
    filled = [column for column in range(len(grid.headings)) if any(line[column] for line in grid.cells)]
    headings = [grid.headings[column] for column in filled]
    names = [SORTED_BY.get(heading, heading) for heading in headings]
    return PageRanking(
        headings=[heading or "marks" for heading in headings],
        align="".join(grid.align[column] for column in filled),
        cells=[[line[column] for column in filled] for line in grid.cells],
        sort=[[getattr(row, name) for row in rows] for name in names],
        falling=[name in BEST_LAST for name in names],
        notations=[row.notation for row in rows],
        reasons=[row.reason for row in rows],
    )

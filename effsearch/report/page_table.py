"""The ranking as the page holds it: cells as they are printed, the values that they sort by, each notation once."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from effsearch.report.ranked import BEST_LAST
from effsearch.report.tables import ranking_grid
from effsearch.reward import RATIOS, Measure
from effsearch.runs.ranking import Noise, Row

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
class RankingTable:
    """For the page's script; `falling` are the columns whose first click puts the largest on top."""

    headings: Sequence[str]
    align: str
    cells: Sequence[Sequence[str]]
    sort: Sequence[Sequence[Any]]
    falling: Sequence[bool]
    notations: Sequence[str]
    reasons: Sequence[str | None]


def ranking_table(rows: Sequence[Row], noise: Noise | None, measure: Measure = "flops") -> RankingTable:
    """All rows of a ranking and the columns that are not empty; with `noise` intervals in place of deviations."""
    grid = ranking_grid(rows, notation=False, noise=noise, measure=measure)
    filled = [column for column in range(len(grid.headings)) if any(line[column] for line in grid.cells)]
    headings = [grid.headings[column] for column in filled]
    names = [SORTED_BY.get(heading, heading) for heading in headings]
    return RankingTable(
        headings=[heading or "marks" for heading in headings],
        align="".join(grid.align[column] for column in filled),
        cells=[[line[column] for column in filled] for line in grid.cells],
        sort=[[getattr(row, name) for row in rows] for name in names],
        falling=[name in BEST_LAST for name in names],
        notations=[row.notation for row in rows],
        reasons=[row.reason for row in rows],
    )

"""The ranked table, and how noisy it is. Every number has its unit in its heading or in a caption."""

from collections.abc import Sequence

from effsearch.quantities import counted, format_count
from effsearch.report.grid import Grid
from effsearch.runs.ranking import TIE, Row, measure_noise


def ranking_grid(rows: Sequence[Row], notation: bool = True) -> Grid:
    """The ranked table: accuracies in %, their deviations in points."""
    headings = ("rank", "reward", "acc %", "sd (n)", "FLOPs", "F/T", "params", "epochs", "", "source", "key")
    cells = [_ranking_cells(row) + ((row.notation,) if notation else ()) for row in rows]
    return Grid(headings + (("notation",) if notation else ()), "rrrrrrrrlll" + ("l" if notation else ""), cells)


def _ranking_cells(row: Row) -> tuple[str, ...]:
    marks = ("*" if row.pareto else "") + ("=" if row.tie and row.rank != 1 else "")
    return (
        "" if row.rank is None else str(row.rank),
        row.state if row.reward is None else f"{row.reward:.4f}",
        "" if row.accuracy is None else f"{100 * row.accuracy:.1f}",
        "" if row.accuracy_sd is None else f"{100 * row.accuracy_sd:.1f} ({row.seeds})",
        format_count(row.flops),
        f"{row.flops_ratio:.2f}",
        format_count(row.params),
        "" if row.epochs is None else str(row.epochs),
        marks,
        row.source,
        row.key,
    )


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


MARKS = f"* on the Pareto front of accuracy and FLOPs; = tied with rank 1 ({TIE:g} standard errors of the seeds)"

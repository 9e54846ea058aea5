"""The ranked table, and how noisy it is. Every number has its unit in its heading or in a caption."""

import math
from collections.abc import Sequence

from scipy import stats

from effsearch.quantities import counted, format_count
from effsearch.report.grid import Grid
from effsearch.reward import NAMES, RATIOS, Measure
from effsearch.runs.ranking import TIE, Noise, Row, measure_noise


def ranking_grid(
    rows: Sequence[Row], notation: bool = True, noise: Noise | None = None, measure: Measure = "flops"
) -> Grid:
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
    return Grid(tuple(headings), align, cells)


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

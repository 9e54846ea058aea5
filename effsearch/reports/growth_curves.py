"""Accuracy against FLOPs as a network grows along one axis at a time: its points, as a table and for curves.csv."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from effsearch.architecture import Architecture
from effsearch.costs import cost
from effsearch.reports.ranking_table import captions, counts_line, interval, noise_line
from effsearch.reports.text_table import Columns, TextTable, cell, console
from effsearch.runs.folder import Run
from effsearch.runs.ranking import Noise, Row, measure_noise
from effsearch.runs.settings import CurvesSettings
from effsearch.scaling import Multipliers, grow
from effsearch.text import format_count

UNDER = "width at"  # what the names of the curves of figure 4 begin with
CURVES_CAPTION = (
    "d, w, r: multipliers of layers, channels, px; F/F0: FLOPs relative to the baseline; gain: on the baseline, in "
    "points of accuracy"
)


@dataclass(frozen=True)
class CurvePoint:
    """A network of a curve: its FLOPs, their ratio to the baseline's, and its row of the ranking if it was trained."""

    curve: str
    by: Multipliers
    architecture: Architecture
    flops: int
    ratio: float
    row: Row | None

    @property
    def accuracy(self) -> float | None:
        return None if self.row is None else self.row.accuracy


def curve_points(settings: CurvesSettings, rows: Sequence[Row]) -> list[CurvePoint]:
    """All points of all curves of a run."""
    known = {row.key: row for row in rows if row.accuracy is not None}
    found = []
    for curve in settings.curves:
        for by in curve.points:
            network = grow(settings.architecture, by)
            flops = cost(network, classes=settings.classes).flops
            ratio = flops / settings.score.target
            found.append(CurvePoint(curve.name, by, network, flops, ratio, known.get(network.key)))
    return found


def curves_table(points: Sequence[CurvePoint], noise: Noise | None) -> TextTable:
    """One line for each point: the multipliers, the network, its cost, its accuracy and the gain on the baseline."""
    base = next((point.accuracy for point in points if point.row and point.by == Multipliers()), None)
    columns: Columns[CurvePoint] = (
        ("curve", "l", lambda point: point.curve),
        ("d", "r", lambda point: f"{point.by.depth:.3g}"),
        ("w", "r", lambda point: f"{point.by.width:.3g}"),
        ("r", "r", lambda point: f"{point.by.resolution:.3g}"),
        ("layers", "r", lambda point: f"{point.architecture.layers}"),
        ("input", "r", lambda point: f"{point.architecture.resolution} px"),
        ("FLOPs", "r", lambda point: format_count(point.flops)),
        ("F/F0", "r", lambda point: f"x {point.ratio:.2f}"),
        ("acc %", "r", lambda point: cell(point.accuracy, ".1f", 100)),
        ("+- (n)", "r", lambda point: interval(point.row, noise)),
        ("gain", "r", lambda point: _gain(point.accuracy, base)),
    )
    trained = any(point.row for point in points)
    return TextTable.of(columns if trained else columns[:-3], points)


def _gain(accuracy: float | None, base: float | None) -> str:
    return "" if accuracy is None or base is None else f"{100 * (accuracy - base):+.1f}"


def curve_records(points: Sequence[CurvePoint]) -> list[dict[str, Any]]:
    """For curves.csv: numbers as they are, accuracies as fractions."""
    return [
        {
            "curve": point.curve,
            "depth": point.by.depth,
            "width": point.by.width,
            "resolution_multiplier": point.by.resolution,
            "resolution": point.architecture.resolution,
            "layers": point.architecture.layers,
            **{name: getattr(point.row, name, None) for name in ("flops", "params", "accuracy", "accuracy_sd")},
            "seeds": 0 if point.row is None else point.row.seeds,
            "notation": point.architecture.notation,
        }
        for point in points
    ]


def print_curves(run: Run, rows: Sequence[Row]) -> None:
    """The table of a run's curves, and the noise between seeds."""
    out, lines = console(), captions(run.manifest())
    points = curve_points(run.settings(CurvesSettings), rows)
    out.print(curves_table(points, measure_noise(rows)).rich(f"{run.name}: {counts_line(rows)}"))
    out.print_dim([lines[0], CURVES_CAPTION, lines[2]])
    out.print(noise_line(rows))

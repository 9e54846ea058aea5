"""The curves of growth as a table and as pictures."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from effsearch.architecture import Architecture
from effsearch.reports.ranking_table import half_width, noise_line
from effsearch.reports.summary import captions, counts_line
from effsearch.reports.text_table import TextTable, console
from effsearch.runs.folder import Run
from effsearch.runs.ranking import Noise, Row, measure_noise
from effsearch.runs.settings import CurvesSettings
from effsearch.scaling import grow
from effsearch.text import format_count

UNDER = "width at"
"""What the names of the curves of figure 4 begin with."""


@dataclass(frozen=True)
class Point:
    """A network of a curve with what was measured of it, or None where it was not trained."""

    curve: str
    depth: float
    width: float
    resolution: float
    architecture: Architecture
    row: Row | None


def points(settings: CurvesSettings, rows: Sequence[Row]) -> list[Point]:
    """All points of all curves of a run."""
    known = {row.key: row for row in rows if row.accuracy is not None}
    found = []
    for curve in settings.curves:
        for by in curve.points:
            network = grow(settings.architecture, by)
            found.append(Point(curve.name, by.depth, by.width, by.resolution, network, known.get(network.key)))
    return found


def curves_table(found: Sequence[Point], noise: Noise | None) -> TextTable:
    """A line a point: the multipliers, the network, its cost, its accuracy and the gain on the baseline."""
    base = next((p.row.accuracy for p in found if p.row and (p.depth, p.width, p.resolution) == (1, 1, 1)), None)
    cells = []
    for point in found:
        row = point.row
        accuracy = None if row is None else row.accuracy
        gain = "" if accuracy is None or base is None else f"{100 * (accuracy - base):+.1f}"
        cells.append(
            (
                point.curve,
                f"{point.depth:.3g}",
                f"{point.width:.3g}",
                f"{point.resolution:.3g}",
                f"{point.architecture.layers}",
                f"{point.architecture.resolution} px",
                "" if row is None else format_count(row.flops),
                "" if row is None else f"x {row.target_ratio:.2f}",
                "" if accuracy is None else f"{100 * accuracy:.1f}",
                "" if row is None or noise is None else f"{half_width(row, noise):.1f} ({row.seeds})",
                gain,
            )
        )
    headings = ("curve", "d", "w", "r", "layers", "input", "FLOPs", "F/F0", "acc %", "+- (n)", "gain")
    return TextTable(headings, "lrrrrrrrrrr", cells)


def panels(found: Sequence[Point]) -> list[tuple[str, list[Point]]]:
    """The points of figure 3 and those of figure 4, each with its title, as far as there are any."""
    one_by_one = [point for point in found if not point.curve.startswith(UNDER)]
    under = [point for point in found if point.curve.startswith(UNDER)]
    named = [("one axis at a time", one_by_one), ("width under other depths and resolutions", under)]
    return [(title, chosen) for title, chosen in named if chosen]


CAPTION = (
    "d, w, r: multipliers of layers, channels, px; F/F0: FLOPs relative to the baseline; gain: on the baseline, in "
    "points of accuracy"
)


def records(found: Sequence[Point]) -> list[dict[str, Any]]:
    """For curves.csv: numbers as they are, accuracies as fractions."""
    return [
        {
            "curve": point.curve,
            "depth": point.depth,
            "width": point.width,
            "resolution_multiplier": point.resolution,
            "resolution": point.architecture.resolution,
            "layers": point.architecture.layers,
            "flops": None if point.row is None else point.row.flops,
            "params": None if point.row is None else point.row.params,
            "accuracy": None if point.row is None else point.row.accuracy,
            "accuracy_sd": None if point.row is None else point.row.accuracy_sd,
            "seeds": 0 if point.row is None else point.row.seeds,
            "notation": point.architecture.notation,
        }
        for point in found
    ]


def print_curves(run: Run, rows: Sequence[Row]) -> None:
    """The table of a run's curves, and how noisy it is."""
    out = console()
    manifest = run.manifest()
    found = points(run.settings(CurvesSettings), rows)
    out.print(curves_table(found, measure_noise(rows)).rich(f"{run.name}: {counts_line(rows)}"))
    for line in (*captions(manifest)[:1], CAPTION, captions(manifest)[2]):
        out.print(line, style="dim")
    out.print(noise_line(rows))

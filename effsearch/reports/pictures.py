"""The pictures of a run for a paper, by kind, as PNG, SVG or PDF."""

import math
from collections.abc import Callable, Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from effsearch.errors import ReportError, RunError, listed
from effsearch.reports import check_suffix, figures as charts, write_report
from effsearch.reports.figures import LIGHT, Chart, Field, Series
from effsearch.reports.growth_curves import curve_points, curve_records
from effsearch.reports.ranking_table import read_rows
from effsearch.reports.surface import surface_chart
from effsearch.reports.trainings import best_so_far, read_metrics
from effsearch.reports.transfer import TransferResult
from effsearch.reports.verification import Verification
from effsearch.runs.folder import Run
from effsearch.runs.history import read_history
from effsearch.runs.ranking import Row, measure_noise
from effsearch.runs.settings import CurvesSettings, GridSettings
from effsearch.runs.surface import fit_surface
from effsearch.text import sanitize

# Inches of a picture in one column of a paper, of a panel of growth curves, and of a surface.
COLUMN, PANEL, SIZE = (3.4, 2.7), (5.2, 4.2), (7.2, 5.0)
DPI = 150
SMALL = 8  # points of text: in a column it is as large as the paper's own small print
POINTS = 0.6  # points of a mark for a px on the page, where figures are larger
# Matplotlib's names of marks.
MARKERS = {"": "", "circle": "o", "circle-open": "o", "square": "s", "diamond": "D", "star": "*", "x": "X"}
MARKERS |= {"triangle-up": "^", "triangle-down": "v", "cross": "P"}
SUFFIXES = (".png", ".svg", ".pdf")
# The first digits of the numbers at a logarithmic axis, by how many times the one end is of the other.
TICKED = ((20, "123456789"), (2000, "125"), (math.inf, "1"))

OF_RUN = {  # the pictures that a run can have, by the command that made it
    "nas": ("pareto", "progress"),
    "grid": ("pareto", "progress", "surface"),
    "curves": ("pareto", "progress", "curves"),
    "train": ("progress",),
    "verify": ("means", "pareto", "progress"),
    "transfer": ("transfer",),
}
# Text stays text in an SVG, so that it can be searched and set in the reader's own font.
matplotlib.rcParams["svg.fonttype"] = "none"


def check_picture(path: Path) -> None:
    """Raises ReportError for a file that is not a picture by its name."""
    check_suffix(path, SUFFIXES)


def save_figure(figure: Figure, path: Path) -> None:
    """Writes a figure, whole or not at all; raises ReportError where it cannot be written."""
    picture = BytesIO()
    figure.savefig(picture, format=path.suffix[1:], dpi=DPI, bbox_inches="tight")
    write_report(path, picture.getvalue())


def figure_of(run: Run, kind: str) -> Figure:
    """The picture of a run; raises ReportError for one that it cannot have, RunError where nothing has finished."""
    if kind not in KINDS:
        raise ReportError(f"--kind must be one of {listed(KINDS)}, got {kind!r}")
    allowed = OF_RUN.get(run.kind, ())
    if kind not in allowed:
        has = listed(allowed) or "no pictures"
        raise ReportError(f"run {run.name} is of effsearch {run.kind or '?'}, which has {has}; got --kind {kind}")
    if run.kind == "train":
        accuracy, loss = charts.training_charts(read_metrics(run))
        return draw([loss, accuracy], COLUMN)
    rows = read_rows(run)
    charts.finished(run, rows)
    return DRAWN[kind](run, rows)


def _pareto(run: Run, rows: Sequence[Row]) -> Figure:
    manifest, done = run.manifest(), charts.finished(run, rows)
    noise = measure_noise(rows) if manifest.trains else None
    return draw([charts.pareto_chart(manifest, done, cost, noise) for cost in charts.measures(done)], COLUMN)


def _progress(run: Run, rows: Sequence[Row]) -> Figure:
    history = read_history(run)
    if history is None:
        raise RunError(f"run {run.name} has no journal, so the order of its trainings is not known")
    return draw([charts.progress_chart(best_so_far(history), run.manifest())], COLUMN)


def _growth_curves(run: Run, rows: Sequence[Row]) -> Figure:
    points = curve_points(run.settings(CurvesSettings), rows)
    return draw(charts.growth_charts(points, measure_noise(rows)), PANEL, titled=True)


def _surface(run: Run, rows: Sequence[Row]) -> Figure:
    settings = run.settings(GridSettings)
    surface = fit_surface(rows, settings.grid.target)
    if surface is None:
        raise RunError(f"run {run.name} has no surface: too few networks trained to the end")
    return draw([surface_chart(surface, rows, settings)], SIZE, titled=True)


def _means(run: Run, rows: Sequence[Row]) -> Figure:
    return draw([charts.verification_chart(Verification.read(run))], PANEL)


def _transfer(run: Run, rows: Sequence[Row]) -> Figure:
    return draw(charts.transfer_charts(TransferResult.read(run)), COLUMN, titled=True)


DRAWN: dict[str, Callable[[Run, Sequence[Row]], Figure]]
DRAWN = {"pareto": _pareto, "progress": _progress, "curves": _growth_curves, "surface": _surface, "means": _means}
DRAWN |= {"transfer": _transfer}
KINDS = tuple(DRAWN)


def write_surface(run: Run, rows: Sequence[Row]) -> list[Path]:
    """Draws surface.png and surface.svg into the run's folder if there is a fit, and returns their paths."""
    try:
        return _save_both(_surface(run, rows), run.path / "surface")
    except RunError:
        return []


def write_curves(run: Run, rows: Sequence[Row]) -> list[Path]:
    """Writes curves.csv, curves.png and curves.svg into the run's folder, and returns their paths."""
    table = pd.DataFrame(curve_records(curve_points(run.settings(CurvesSettings), rows)))
    write_report(run.path / "curves.csv", table.to_csv(index=False))
    return [run.path / "curves.csv", *_save_both(_growth_curves(run, rows), run.path / "curves")]


def _save_both(figure: Figure, stem: Path) -> list[Path]:
    paths = [stem.with_suffix(suffix) for suffix in (".png", ".svg")]
    for path in paths:
        save_figure(figure, path)
    return paths


def draw(
    panels: Sequence[Chart], size: tuple[float, float], titled: bool = False, palette: Mapping[str, str] = LIGHT
) -> Figure:
    """The charts beside one another, each of a size in inches; a legend stands where it differs from the one before."""
    figure = Figure(figsize=(size[0] * len(panels), size[1]), layout="constrained")
    shared, named = len({chart.y for chart in panels}) == 1, set[str]()
    labelled = any(series.labels for chart in panels for series in chart.series)
    row = figure.subplots(1, len(panels), sharey=shared, squeeze=False)[0]
    for number, (axes, chart) in enumerate(zip(row, panels, strict=True)):
        if chart.field is not None:
            _shade(axes, chart.field, chart.caption.replace(": ", ":\n"))
        for layer, series in enumerate(chart.series, 3):
            if series.x:
                _plot(axes, series, chart.field, layer, palette)
        _label(axes, chart, with_y=number == 0 or not shared)
        if titled:
            # A name may have a dollar, with which mathematics would begin.
            axes.set_title(sanitize(chart.title), fontsize=SMALL + 2, parse_math=False)
        before, named = named, {series.name for series in chart.series if series.name}
        if named - before and not labelled:
            axes.legend(fontsize=SMALL - 1, frameon=chart.field is not None)
    if labelled:
        _legend_above(figure)
    return figure


def _legend_above(figure: Figure) -> None:
    """One legend for all panels, outside them, where names need the room."""
    pairs = [zip(*axes.get_legend_handles_labels(), strict=True) for axes in figure.axes]
    handles = {name: handle for of_axes in pairs for handle, name in of_axes}
    style: dict[str, Any] = {"fontsize": SMALL - 1, "frameon": False}
    figure.legend(handles.values(), handles.keys(), loc="outside upper left", ncols=len(handles), **style)


def _label(axes: Any, chart: Chart, with_y: bool) -> None:
    bars = "\nbars: 95 % interval" if any(series.bars for series in chart.series) else ""
    axes.set_xlabel(chart.x, fontsize=SMALL)
    axes.set_ylabel(chart.y + bars if with_y else "", fontsize=SMALL)
    axes.tick_params(which="both", labelsize=SMALL - 1)
    axes.spines[["top", "right"]].set_visible(False)
    if chart.field is None:
        axes.grid(alpha=0.3, linewidth=0.5, which="both")
    if chart.whole:
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if chart.log:
        axes.set_xscale("log")
        axes.tick_params("x", which="both", length=3)  # Numbers stand at both kinds of ticks.
        low, high = axes.get_xlim()
        digits = next(digits for most, digits in TICKED if high <= most * low)
        for put in (axes.xaxis.set_major_formatter, axes.xaxis.set_minor_formatter):
            put(FuncFormatter(lambda value, _: f"{value:g}" if f"{value:e}"[0] in digits else ""))


def _plot(axes: Any, series: Series, field: Field | None, layer: int, palette: Mapping[str, str]) -> None:
    if field is not None and series.values:
        scale = {"c": series.values, "cmap": "viridis", "vmin": field.low, "vmax": field.high}
        area = (POINTS * series.size) ** 2
        axes.scatter(series.x, series.y, area, label=series.name, edgecolors="black", zorder=layer, **scale)
        return
    colour = palette.get(series.colour, series.colour)
    style: dict[str, Any] = {"color": colour, "alpha": series.opacity, "zorder": layer}
    style |= {"marker": MARKERS[series.mark], "markersize": POINTS * series.size, "linewidth": 1.3}
    style["linestyle"] = "-" if series.line else ""
    style["drawstyle"] = "steps-post" if series.line == "steps" else "default"
    style["fillstyle"] = "none" if series.mark == "circle-open" else "full"
    if series.outline:
        edge = style["color"] if series.outline == "panel" else series.outline
        style |= {"markeredgecolor": edge, "markeredgewidth": 0.7}
    axes.errorbar(series.x, series.y, series.bars or None, label=series.name, capsize=2, elinewidth=0.6, **style)


def _shade(axes: Any, field: Field, label: str) -> None:
    target = field.alpha[-1]
    levels = np.linspace(field.low, field.high, 33)
    shade = np.clip(field.shade, field.low, field.high)
    shown = axes.contourf(field.alpha, field.beta, shade, levels, cmap="viridis", alpha=0.9)
    bar = axes.figure.colorbar(shown, ax=axes, ticks=MaxNLocator(6), format="%.1f")
    bar.set_label(label, fontsize=SMALL)
    bar.ax.tick_params(labelsize=SMALL - 1)
    axes.fill(*field.beyond, color="white")
    for gamma in np.arange(1.0, target**0.5, 0.05 if target <= 2.5 else 0.1):
        alpha = np.linspace(1, target / gamma**2, 60)
        beta = np.sqrt(target / gamma**2 / alpha)
        axes.plot(alpha, beta, color="white", linewidth=0.6, alpha=0.7)
        axes.text(1.0, beta[0], f"gamma {gamma:.2f}", fontsize=6, color="white", va="top", ha="left")
    axes.set(xlim=field.spans[0], ylim=field.spans[1])

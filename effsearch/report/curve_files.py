"""The curves of a run as files: CSV, and pictures of figures 3 and 4."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from effsearch.report.curves import Point, panels, points, records
from effsearch.report.picture import save
from effsearch.report.tables import half_width
from effsearch.runs.files import write_atomically
from effsearch.runs.folder import Run
from effsearch.runs.ranking import Noise, Row, measure_noise

PANEL = (5.2, 4.2)


def write_files(run: Run, rows: Sequence[Row]) -> list[Path]:
    """Writes curves.csv, curves.png and curves.svg into the run's folder, and says so."""
    found = points(run.manifest(), rows)
    paths = [run.path / f"curves.{suffix}" for suffix in ("csv", "png", "svg")]
    write_atomically(paths[0], pd.DataFrame(records(found)).to_csv(index=False))
    figure = curves_figure(found, measure_noise(rows))
    for path in paths[1:]:
        save(figure, path)
    return paths


def curves_figure(found: Sequence[Point], noise: Noise | None) -> Figure:
    """Accuracy against FLOPs: one axis at a time, and width under other depths and resolutions."""
    drawn = panels(found)
    figure = Figure(figsize=(PANEL[0] * len(drawn), PANEL[1]), layout="constrained")
    all_axes = figure.subplots(1, len(drawn), sharey=True, squeeze=False)[0]
    for axes, (title, chosen) in zip(all_axes, drawn, strict=True):
        _panel(axes, title, chosen, noise)
    all_axes[0].set_ylabel("validation top-1 (%)" + (", bars: 95 % interval" if noise else ""))
    return figure


def _panel(axes: Any, title: str, found: Sequence[Point], noise: Noise | None) -> None:
    for number, name in enumerate(dict.fromkeys(point.curve for point in found)):
        rows = [(point, point.row) for point in found if point.curve == name and point.row is not None]
        flops = [row.flops / 1e6 for _, row in rows]
        accuracy = [100 * (row.accuracy or 0.0) for _, row in rows]
        bars = None if noise is None else [half_width(row, noise) for _, row in rows]
        marker = "osD^vP"[number % 6]
        axes.errorbar(flops, accuracy, yerr=bars, marker=marker, markersize=5, capsize=2, linewidth=1.3, label=name)
    axes.set(xlabel="FLOPs (millions of multiply-adds)", title=title, xscale="log")
    for put in (axes.xaxis.set_major_formatter, axes.xaxis.set_minor_formatter):
        put(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.tick_params(axis="x", which="both", labelsize=8)
    axes.grid(alpha=0.3, which="both")
    axes.legend(fontsize=8)

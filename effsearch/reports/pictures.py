"""The pictures of a run for a paper, by kind, as PNG, SVG or PDF."""

from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from effsearch.errors import ReportError, RunError, listed
from effsearch.files import write_atomically
from effsearch.reports import ranking_table as ranked
from effsearch.reports.growth_curves import Point, panels, points, records
from effsearch.reports.learning_curves import best_so_far, read_metrics
from effsearch.reports.ranking_table import half_width
from effsearch.reports.scatter import LIGHT, REFERENCES, accuracy_label, axis_of, finished, measures, scatter
from effsearch.reports.surface import Surface, fit, measured, on_constraint
from effsearch.runs.folder import Run
from effsearch.runs.history import read_history
from effsearch.runs.ranking import Noise, Row, measure_noise
from effsearch.runs.settings import CurvesSettings, GridSettings
from effsearch.scaling import PAPER
from effsearch.text import sanitize

SIZE = (7.2, 5.0)
DPI = 150
PICTURES = (".png", ".svg", ".pdf")
SHADE = "reward at equal FLOPs, fitted and (circles) measured: thousandths below the best measured"

# Text stays text in an SVG, so that it can be searched and set in the reader's own font.
matplotlib.rcParams["svg.fonttype"] = "none"


def check_picture(path: Path) -> None:
    """Raises ReportError for a file that is no picture."""
    if path.suffix not in PICTURES:
        raise ReportError(f"--out takes a file that ends in {listed(PICTURES)}, got {str(path)!r}")


def save(figure: Figure, path: Path) -> None:
    """Writes a figure, whole or not at all; raises ReportError where it cannot be written."""
    picture = BytesIO()
    figure.savefig(picture, format=path.suffix[1:], dpi=DPI, bbox_inches="tight")
    try:
        write_atomically(path, picture.getvalue())
    except OSError as error:
        raise ReportError(f"cannot write {path}: {error.strerror or error}") from None


def write_surface(run: Run, rows: Sequence[Row]) -> list[Path]:
    """Draws surface.png and surface.svg into the run's folder, if there is a fit, and says which were written."""
    settings = run.settings(GridSettings)
    surface = fit(rows, measure_noise(rows), settings.grid.target)
    if surface is None:
        return []
    figure = surface_figure(surface, rows, surface_title(settings))
    paths = [run.path / "surface.png", run.path / "surface.svg"]
    for path in paths:
        save(figure, path)
    return paths


def surface_title(settings: GridSettings) -> str:
    """What was grown, how far, and under which constraint."""
    grid = settings.grid
    return f"{settings.name}, phi {grid.phi:g}: alpha * beta^2 * gamma^2 = {grid.target:g}"


def surface_figure(surface: Surface, rows: Sequence[Row], title: str) -> Figure:
    """The fitted reward over alpha and beta, gamma following from the constraint, with what was trained."""
    figure = Figure(figsize=SIZE, layout="constrained")
    axes = figure.subplots()
    triples = on_constraint(surface.target)
    trained = measured(rows)
    ended, best = trained.ended, trained.best
    rewards = [row.reward or 0.0 for row in ended]
    # One scale for what was fitted and what was measured: a flat surface under scattered points looks like one.
    means = surface.mean(triples)
    least, most = 1000 * (min(*rewards, means.min()) - best), 1000 * max(0.0, means.max() - best)
    shade, steps = Normalize(least, most), np.linspace(least, most, 33)
    levels = axes.tricontourf(
        triples[:, 0], triples[:, 1], 1000 * (means - best), levels=steps, cmap="viridis", norm=shade, alpha=0.9
    )
    figure.colorbar(levels, ax=axes, label=SHADE.replace(": ", ":\n"), format="%.0f")
    _gammas(axes, surface.target)
    shades = [1000 * (reward - best) for reward in rewards]
    groups: list[tuple[list[Row], dict[str, Any]]] = [
        (ended, {"c": shades, "cmap": "viridis", "norm": shade, "s": 60, "label": "trained to the end"}),
        (trained.stopped, {"c": "none", "s": 14, "label": "stopped earlier"}),
    ]
    for chosen, style in groups:
        if chosen:
            alphas, betas = [row.alpha or 0.0 for row in chosen], [row.beta or 0.0 for row in chosen]
            axes.scatter(alphas, betas, zorder=3, linewidths=0.7, edgecolors="black", **style)
    axes.scatter(
        surface.optima[:300, 0],
        surface.optima[:300, 1],
        s=5,
        c="red",
        alpha=0.25,
        label="optimum, drawn 300 times",
        zorder=2,
    )
    axes.scatter(
        surface.best.alpha,
        surface.best.beta,
        marker="*",
        s=200,
        c="red",
        edgecolors="black",
        label="optimum of the fit",
        zorder=4,
    )
    axes.scatter(
        PAPER.alpha, PAPER.beta, marker="X", s=80, c="orange", edgecolors="black", label="the paper's", zorder=4
    )
    axes.set(xlabel="alpha (depth)", ylabel="beta (width)")
    # A name may have a dollar, with which mathematics would begin.
    axes.set_title(sanitize(title), parse_math=False)
    axes.set_xlim(1 - 0.03, surface.target + 0.03)
    axes.set_ylim(1 - 0.015, surface.target**0.5 + 0.015)
    axes.legend(fontsize=8, loc="upper right")
    return figure


def _gammas(axes: Any, target: float) -> None:
    """Lines of equal gamma, each with its value."""
    for gamma in np.arange(1.0, target**0.5, 0.05 if target <= 2.5 else 0.1):
        alpha = np.linspace(1, target / gamma**2, 60)
        beta = np.sqrt(target / gamma**2 / alpha)
        axes.plot(alpha, beta, color="white", linewidth=0.6, alpha=0.7)
        axes.text(1.0, beta[0], f"gamma {gamma:.2f}", fontsize=6, color="white", va="top", ha="left")


PANEL = (5.2, 4.2)


def write_files(run: Run, rows: Sequence[Row]) -> list[Path]:
    """Writes curves.csv, curves.png and curves.svg into the run's folder, and says so."""
    found = points(run.settings(CurvesSettings), rows)
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


COLUMN = (3.4, 2.7)
"""Inches of a picture in one column of a paper; text is then as large as the paper's own small print."""

SMALL = 8
STYLE: dict[str, Any] = {"linewidth": 1.3, "markersize": 4}

KINDS = ("pareto", "progress", "curves", "surface")
OF_RUN = {
    "nas": ("pareto", "progress"),
    "grid": ("pareto", "progress", "surface"),
    "curves": ("pareto", "progress", "curves"),
    "train": ("progress",),
}
"""The pictures that a run can have, by the command that made it."""


def figure_of(run: Run, kind: str) -> Figure:
    """The picture of a run; raises ReportError for one that it cannot have, RunError where nothing has finished."""
    if kind not in KINDS:
        raise ReportError(f"--kind must be one of {listed(KINDS)}, got {kind!r}")
    allowed = OF_RUN.get(run.kind, ())
    if kind not in allowed:
        has = listed(allowed) or "no pictures"
        raise ReportError(f"run {run.name} is of effsearch {run.kind or '?'}, which has {has}; got --kind {kind}")
    if run.kind == "train":
        return _learning_curve(run)
    rows = ranked.read(run)
    finished(run, rows)
    drawn: dict[str, Callable[[Run, list[Row]], Figure]] = {
        "pareto": _pareto,
        "progress": _progress,
        "curves": lambda run, rows: curves_figure(points(run.settings(CurvesSettings), rows), measure_noise(rows)),
        "surface": _surface,
    }
    return drawn[kind](run, rows)


def _figure(width: float = 1.0) -> Figure:
    return Figure(figsize=(COLUMN[0] * width, COLUMN[1]), layout="constrained")


def _dress(axes: Any, x: str, y: str, legend: bool = True) -> None:
    axes.set_xlabel(x, fontsize=SMALL)
    axes.set_ylabel(y, fontsize=SMALL)
    axes.tick_params(labelsize=SMALL - 1)
    axes.grid(alpha=0.3, linewidth=0.5)
    axes.spines[["top", "right"]].set_visible(False)
    if legend:
        axes.legend(fontsize=SMALL - 1, frameon=False)


def _pareto(run: Run, rows: list[Row]) -> Figure:
    """Accuracy against each cost that is known, with the Pareto fronts."""
    manifest, done = run.manifest(), finished(run, rows)
    noise = measure_noise(rows) if manifest.trains else None
    costs = measures(done)
    figure = _figure(float(len(costs)))
    panels = figure.subplots(1, len(costs), sharey=True)
    for axes, cost in zip(panels, costs, strict=True):
        scale, title = axis_of(done, cost)
        shown = scatter(done, cost)
        groups: list[tuple[str, list[Row], str, dict[str, Any]]] = [
            ("fewer epochs", shown.shorter, "grey", {"marker": "o", "fillstyle": "none", "linestyle": ""}),
            ("networks", shown.others, "blue", {"marker": "o", "alpha": 0.5, "linestyle": ""}),
            ("Pareto front", shown.front, "vermillion", {"marker": "D"}),
            ("rank 1", [shown.first], "purple", {"marker": "*", "linestyle": "", "markersize": 9}),
        ]
        if shown.reference is not None:
            reference = REFERENCES[shown.reference.source]
            groups.append((reference, [shown.reference], "green", {"marker": "s", "linestyle": "", "markersize": 6}))
        for label, chosen, tone, style in groups:
            x = [getattr(row, cost) / scale for row in chosen]
            y = [100 * (row.accuracy or 0.0) for row in chosen]
            bars = [half_width(row, noise) for row in chosen] if noise and label == "Pareto front" else None
            if chosen:
                axes.errorbar(
                    x, y, yerr=bars, label=label, color=LIGHT[tone], capsize=2, elinewidth=0.6, **(STYLE | style)
                )
        _dress(axes, title, "", legend=cost == "flops")
    bars_are = "\nbars: 95 % interval" if noise else ""
    panels[0].set_ylabel(f"{accuracy_label(manifest)}{bars_are}", fontsize=SMALL)
    return figure


def _progress(run: Run, rows: list[Row]) -> Figure:
    """The reward of each training as they ended, and the best until then."""
    history = read_history(run)
    if history is None:
        raise RunError(f"run {run.name} has no journal, so the order of its trainings is not known")
    steps = best_so_far(history)
    figure = _figure()
    axes = figure.subplots()
    numbers = [step.number for step in steps]
    dots, best = LIGHT["blue"], LIGHT["vermillion"]
    axes.plot(numbers, [step.reward for step in steps], "o", label="one network", markersize=3, color=dots, alpha=0.5)
    axes.plot(numbers, [step.best for step in steps], drawstyle="steps-post", label="best so far", color=best)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    _dress(axes, "networks trained" if run.manifest().trains else "networks looked at", "reward")
    return figure


def _surface(run: Run, rows: list[Row]) -> Figure:
    settings = run.settings(GridSettings)
    surface = fit(rows, measure_noise(rows), settings.grid.target)
    if surface is None:
        raise RunError(f"run {run.name} has no surface: too few networks trained to the end, or none under two seeds")
    return surface_figure(surface, rows, surface_title(settings))


def _learning_curve(run: Run) -> Figure:
    """The training loss and the validation accuracy of one training, epoch by epoch."""
    history = read_metrics(run)
    figure = _figure(2.0)
    loss, accuracy = figure.subplots(1, 2)
    epochs = [line.epoch for line in history]
    loss.plot(epochs, [line.loss for line in history], "o-", color=LIGHT["vermillion"], **STYLE)
    accuracy.plot(epochs, [100 * line.accuracy for line in history], "o-", color=LIGHT["blue"], **STYLE)
    for axes, label in ((loss, "training loss (nats)"), (accuracy, "validation top-1 (%)")):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        _dress(axes, "epoch", label, legend=False)
    return figure

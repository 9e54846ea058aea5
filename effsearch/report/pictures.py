"""The pictures of a run for a paper, by kind: accuracy against cost, the course, the curves, the surface."""

from collections.abc import Callable
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from effsearch.errors import ReportError, RunError, listed
from effsearch.report import ranked
from effsearch.report.coefficients import Grown
from effsearch.report.curve_files import curves_figure
from effsearch.report.curves import points
from effsearch.report.labels import accuracy_label, axis_of, measures
from effsearch.report.palette import LIGHT
from effsearch.report.pareto import REFERENCES, cloud, finished
from effsearch.report.picture import surface_figure, surface_title
from effsearch.report.summary import is_trained
from effsearch.report.surface import fit
from effsearch.report.tables import half_width
from effsearch.report.training import read_metrics
from effsearch.report.trainings import best_so_far
from effsearch.runs.folder import Run
from effsearch.runs.history import read_history
from effsearch.runs.ranking import Row, measure_noise

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
        "curves": lambda run, rows: curves_figure(points(run.manifest(), rows), measure_noise(rows)),
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
    noise = measure_noise(rows) if is_trained(manifest) else None
    costs = measures(done)
    figure = _figure(float(len(costs)))
    panels = figure.subplots(1, len(costs), sharey=True)
    for axes, cost in zip(panels, costs, strict=True):
        scale, title = axis_of(done, cost)
        shown = cloud(done, cost)
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
    _dress(axes, "networks trained" if is_trained(run.manifest()) else "networks looked at", "reward")
    return figure


def _surface(run: Run, rows: list[Row]) -> Figure:
    grown = Grown.of(run.manifest())
    surface = fit(rows, measure_noise(rows), grown.target)
    if surface is None:
        raise RunError(f"run {run.name} has no surface: too few networks trained to the end, or none under two seeds")
    return surface_figure(surface, rows, surface_title(grown))


def _learning_curve(run: Run) -> Figure:
    """The training loss and the validation accuracy of one training, epoch by epoch."""
    history = read_metrics(run)
    figure = _figure(2.0)
    loss, accuracy = figure.subplots(1, 2)
    epochs = [line["epoch"] for line in history]
    loss.plot(epochs, [line["loss"] for line in history], "o-", color=LIGHT["vermillion"], **STYLE)
    accuracy.plot(epochs, [100 * line["accuracy"] for line in history], "o-", color=LIGHT["blue"], **STYLE)
    for axes, label in ((loss, "training loss (nats)"), (accuracy, "validation top-1 (%)")):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        _dress(axes, "epoch", label, legend=False)
    return figure

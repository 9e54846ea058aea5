"""Pictures of a coefficient search, for files: PNG, SVG or PDF by the suffix."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from effsearch.errors import ReportError
from effsearch.report.coefficients import Grown
from effsearch.report.surface import Surface, fit, on_constraint
from effsearch.runs.folder import Run
from effsearch.runs.ranking import Row, measure_noise
from effsearch.scaling import PAPER

SIZE = (7.2, 5.0)
DPI = 150

# Text stays text in an SVG, so that it can be searched and set in the reader's own font.
matplotlib.rcParams["svg.fonttype"] = "none"


def save(figure: Figure, path: Path) -> None:
    """Writes a figure; raises ReportError where it cannot be written."""
    try:
        figure.savefig(path, dpi=DPI, bbox_inches="tight")
    except (OSError, ValueError) as error:
        raise ReportError(f"cannot write {path}: {error}") from None


def write_surface(run: Run, rows: Sequence[Row]) -> list[Path]:
    """Draws surface.png and surface.svg into the run's folder, if there is a fit, and says which were written."""
    grown = Grown.of(run.manifest())
    surface = fit(rows, measure_noise(rows), grown.target)
    if surface is None:
        return []
    title = f"{grown.name}, phi {grown.phi:g}: alpha * beta^2 * gamma^2 = {grown.target:g}"
    figure = surface_figure(surface, rows, title)
    paths = [run.path / "surface.png", run.path / "surface.svg"]
    for path in paths:
        save(figure, path)
    return paths


def surface_figure(surface: Surface, rows: Sequence[Row], title: str) -> Figure:
    """The fitted reward over alpha and beta, gamma following from the constraint, with what was trained."""
    figure = Figure(figsize=SIZE, layout="constrained")
    axes = figure.subplots()
    triples = on_constraint(surface.target)
    long = max(row.epochs or 0 for row in rows)
    grown = [row for row in rows if row.alpha is not None and row.reward is not None and row.source != "baseline"]
    ended = [row for row in grown if row.epochs == long]
    measured = [row.reward or 0.0 for row in ended]
    # One scale for what was fitted and what was measured: a flat surface under scattered points looks like one.
    means, best = surface.mean(triples), max(measured)
    least, most = 1000 * (min(*measured, means.min()) - best), 1000 * max(0.0, means.max() - best)
    shade, steps = Normalize(least, most), np.linspace(least, most, 33)
    levels = axes.tricontourf(
        triples[:, 0], triples[:, 1], 1000 * (means - best), levels=steps, cmap="viridis", norm=shade, alpha=0.9
    )
    label = "reward at equal FLOPs, fitted and (circles) measured:\nthousandths below the best measured"
    figure.colorbar(levels, ax=axes, label=label, format="%.0f")
    _gammas(axes, surface.target)
    shades = [1000 * (reward - best) for reward in measured]
    groups: list[tuple[list[Row], dict[str, Any]]] = [
        (ended, {"c": shades, "cmap": "viridis", "norm": shade, "s": 60, "label": "trained to the end"}),
        ([row for row in grown if row.epochs != long], {"c": "none", "s": 14, "label": "stopped earlier"}),
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
    axes.set(xlabel="alpha (depth)", ylabel="beta (width)", title=title)
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

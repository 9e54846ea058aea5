"""Pictures of a coefficient search, for files: PNG, SVG or PDF by the suffix."""

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from effsearch.errors import ReportError, listed
from effsearch.printable import printable
from effsearch.report.coefficients import Grown
from effsearch.report.surface import Surface, fit, measured, on_constraint
from effsearch.runs.files import write_atomically
from effsearch.runs.folder import Run
from effsearch.runs.ranking import Row, measure_noise
from effsearch.scaling import PAPER

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
    grown = Grown.of(run.manifest())
    surface = fit(rows, measure_noise(rows), grown.target)
    if surface is None:
        return []
    figure = surface_figure(surface, rows, surface_title(grown))
    paths = [run.path / "surface.png", run.path / "surface.svg"]
    for path in paths:
        save(figure, path)
    return paths


def surface_title(grown: Grown) -> str:
    """What was grown, how far, and under which constraint."""
    return f"{grown.name}, phi {grown.phi:g}: alpha * beta^2 * gamma^2 = {grown.target:g}"


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
    axes.set_title(printable(title), parse_math=False)
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

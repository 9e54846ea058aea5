"""The chart of the surface that is fitted to a grid: accuracy at equal FLOPs over alpha and beta."""

from collections.abc import Iterable, Sequence
from dataclasses import astuple
from typing import Any

import numpy as np

from effsearch.reports.figures import Chart, Field, Series
from effsearch.runs.ranking import Row
from effsearch.runs.settings import GridSettings
from effsearch.runs.surface import Surface, triple_of
from effsearch.scaling import PAPER

DRAWS = 200  # draws of the optimum in a figure
SIDE = 81  # values of alpha and of beta at which a figure shades the surface
SHADE = "accuracy at equal FLOPs in %: fitted, and (circles) measured"


def surface_chart(surface: Surface, rows: Sequence[Row], settings: GridSettings) -> Chart:
    """The fitted accuracy over alpha and beta, gamma following from the constraint, with the trained networks."""
    grown = [row for row in rows if row.alpha is not None and row.accuracy is not None and row.source != "baseline"]
    most = max(row.epochs or 0 for row in rows)
    ended, stopped = ([row for row in grown if (row.epochs == most) == whole] for whole in (True, False))
    values = [100 * surface.at_equal_flops(row) for row in ended]
    trained = {"outline": "#111", "values": values, "keys": [row.key for row in ended]}
    series = [
        _at("optimum, drawn", surface.optima[:DRAWS].tolist(), "#ff5a4c", "circle", 5, opacity=0.6),
        _at("stopped earlier", map(triple_of, stopped), "#fff", "circle-open", 5, outline="#111"),
        _at("trained to the end", map(triple_of, ended), "", "circle", 12, **trained),
        _at("optimum of the fit", [astuple(surface.best)], "#ff5a4c", "star", 18, outline="#111"),
        _at("the paper's", [astuple(PAPER)], "#f0a030", "x", 12, outline="#111"),
    ]
    grid, drawn = settings.grid, [each for each in series if each.x]
    title = f"{settings.name}, phi {grid.phi:g}: alpha * beta^2 * gamma^2 = {grid.target:g}"
    return Chart(title, "alpha (depth)", "beta (width)", drawn, SHADE, field=_field(surface, values))


def _at(name: str, triples: Iterable[Sequence[float]], colour: str, mark: str, size: float, **more: Any) -> Series:
    found = list(triples)
    return Series(name, [alpha for alpha, *_ in found], [beta for _, beta, _ in found], colour, mark, size, **more)


def _field(surface: Surface, values: Sequence[float]) -> Field:
    """The fit in %, on one scale with the measured `values`."""
    alphas, betas = np.linspace(1, surface.target, SIDE), np.linspace(1, surface.target**0.5, SIDE)
    alpha, beta = np.meshgrid(alphas, betas)
    gamma = np.sqrt(surface.target / alpha) / beta
    means = surface.mean(np.column_stack([alpha.ravel(), beta.ravel(), gamma.ravel()])).reshape(alpha.shape)
    # A little more than the constraint allows is drawn, and covered, so that the border is a smooth line.
    shade = np.where(gamma >= 0.96, 100 * means, np.nan)
    inside = [*values, *shade[gamma >= 1].tolist()]
    return Field(alphas, betas, shade, min(inside), max(inside), np.sqrt(surface.target / alphas))

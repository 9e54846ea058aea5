"""The reward as a smooth function of alpha, beta and gamma, fitted to what was measured, and where it is highest.

Quadratic in the logarithms, by Bayesian linear regression: the noise between seeds is known, the prior variance of the
terms and the variance of networks off the surface maximise the evidence (Bishop 2006, section 3.5).
"""

from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass
from typing import Any, cast

import numpy as np

from effsearch.reports.figures import Array, Chart, Field, Series
from effsearch.runs.ranking import Noise, Row
from effsearch.runs.settings import GridSettings
from effsearch.scaling import PAPER, Coefficients

LEAST_NETWORKS = 6  # networks below which nothing is fitted
SAMPLES, DRAWS = 2000, 200  # draws from the posterior, and how many of them are drawn in a figure
SIDE = 81  # values of alpha and of beta at which a figure shades the surface
SHADE = "reward at equal FLOPs, fitted and (circles) measured: thousandths below the best measured"

FLAT = 0.8  # share of an axis from which an 80 % interval counts as unknown
STEPS = 50  # of each share of the growth, when the optimum is sought
# Standard deviations of terms and of misfit for which the evidence is computed, in units of the reward.
STRENGTHS = np.geomspace(1e-4, 1.0, 17)
MISFITS = np.geomspace(1e-4, 0.1, 13)


@dataclass(frozen=True)
class Surface:
    """The fit: its optimum, draws of the optimum (N, 3), and the standard deviation of rewards off it (`misfit`)."""

    target: float
    best: Coefficients
    optima: Array
    misfit: float
    networks: int
    weights: Array

    def interval(self, axis: int, level: float = 0.8) -> tuple[float, float]:
        """Where the optimum's alpha, beta or gamma (axis 0, 1, 2) lies with that probability."""
        low, high = np.quantile(self.optima[:, axis], [(1 - level) / 2, (1 + level) / 2])
        return float(low), float(high)

    @property
    def is_flat(self) -> bool:
        """Whether the data do not tell where the optimum is: it may lie nearly anywhere on two axes or more."""
        ends = (self.target, self.target**0.5, self.target**0.5)
        widths = [high - low for low, high in map(self.interval, range(3))]
        return [width / (end - 1) > FLAT for width, end in zip(widths, ends, strict=True)].count(True) >= 2

    def mean(self, triples: Array) -> Array:
        """The expected reward at (N, 3) coefficients."""
        return _features(triples, self.target) @ self.weights


def fit_surface(rows: Sequence[Row], noise: Noise | None, target: float, seed: int = 0) -> Surface | None:
    """Fits the longest trained networks of a ranking, or returns None where there are too few, or no noise is known."""
    done = [row for row in rows if row.reward is not None and row.alpha is not None]
    most = max((row.epochs or 0 for row in done), default=0)
    done = [row for row in done if row.epochs == most]
    if len(done) < LEAST_NETWORKS or noise is None:
        return None
    triples = np.array(list(map(_triple, done)))
    rewards = np.array([row.reward for row in done], dtype=np.float64)
    per_accuracy = np.array([(row.reward or 0) / row.accuracy if row.accuracy else 1.0 for row in done])
    variances = (noise.sd * per_accuracy) ** 2 / np.array([row.seeds for row in done])
    features = _features(triples, target)
    strength, misfit = _most_evident(features, rewards, variances)
    mean, covariance = _posterior(features, rewards, variances + misfit**2, strength)
    surface = on_constraint(target)
    here = _features(surface, target)
    draws = np.random.default_rng(seed).multivariate_normal(mean, covariance, SAMPLES, method="eigh")
    optima, best = surface[np.argmax(here @ draws.T, axis=0)], surface[int(np.argmax(here @ mean))]
    return Surface(target, Coefficients(*best.tolist()), optima, misfit, len(done), mean)


def on_constraint(target: float, steps: int = STEPS) -> Array:
    """Coefficients (N, 3) all over alpha * beta^2 * gamma^2 = target, each at least 1."""
    shares = [(i / steps, j / steps) for i in range(steps + 1) for j in range(steps + 1 - i)]
    depth, width = np.array(shares).T
    logs = np.stack([depth, width / 2, (1 - depth - width) / 2], axis=1) * np.log(target)
    return cast(Array, np.exp(np.clip(logs, 0, None)))


def _features(triples: Array, target: float) -> Array:
    """1, three logarithms as shares of the target's, their squares and products: (N, 10)."""
    x = np.log(triples) * np.array([1, 2, 2]) / np.log(target)
    pairs = [x[:, i] * x[:, j] for i in range(3) for j in range(i, 3)]
    return np.column_stack([np.ones(len(x)), x, *pairs])


def _prior(strength: float) -> Array:
    # The intercept has a wide prior: any reward from 0 to 1 is as likely.
    return np.array([1.0, *[strength**2] * 9])


def _most_evident(features: Array, rewards: Array, variances: Array) -> tuple[float, float]:
    """The strength of the terms and the misfit under which the rewards are most probable."""

    def evidence(strength: float, misfit: float) -> float:
        covariance = (features * _prior(strength)) @ features.T + np.diag(variances + misfit**2)
        _, logdet = np.linalg.slogdet(covariance)
        return float(-0.5 * (logdet + rewards @ np.linalg.solve(covariance, rewards)))

    return max(((float(s), float(m)) for s in STRENGTHS for m in MISFITS), key=lambda pair: evidence(*pair))


def _posterior(features: Array, rewards: Array, variances: Array, strength: float) -> tuple[Array, Array]:
    precision = (features.T / variances) @ features + np.diag(1 / _prior(strength))
    covariance: Array = np.linalg.inv(precision).astype(np.float64)
    return covariance @ (features.T @ (rewards / variances)), covariance


def surface_chart(surface: Surface, rows: Sequence[Row], settings: GridSettings) -> Chart:
    """The fitted reward over alpha and beta, gamma following from the constraint, with the trained networks."""
    grown = [row for row in rows if row.alpha is not None and row.reward is not None and row.source != "baseline"]
    most = max(row.epochs or 0 for row in rows)
    ended, stopped = ([row for row in grown if (row.epochs == most) == whole] for whole in (True, False))
    best = max(row.reward or 0.0 for row in ended)
    values = [1000 * ((row.reward or 0.0) - best) for row in ended]
    trained = {"outline": "#111", "values": values, "keys": [row.key for row in ended]}
    series = [
        _at("optimum, drawn", surface.optima[:DRAWS].tolist(), "#ff5a4c", "circle", 5, opacity=0.6),
        _at("stopped earlier", map(_triple, stopped), "#fff", "circle-open", 5, outline="#111"),
        _at("trained to the end", map(_triple, ended), "", "circle", 12, **trained),
        _at("optimum of the fit", [astuple(surface.best)], "#ff5a4c", "star", 18, outline="#111"),
        _at("the paper's", [astuple(PAPER)], "#f0a030", "x", 12, outline="#111"),
    ]
    grid, drawn = settings.grid, [each for each in series if each.x]
    title = f"{settings.name}, phi {grid.phi:g}: alpha * beta^2 * gamma^2 = {grid.target:g}"
    return Chart(title, "alpha (depth)", "beta (width)", drawn, SHADE, field=_field(surface, best, values))


def _triple(row: Row) -> Sequence[float]:
    return row.alpha or 0.0, row.beta or 0.0, row.gamma or 0.0


def _at(name: str, triples: Iterable[Sequence[float]], colour: str, mark: str, size: float, **more: Any) -> Series:
    found = list(triples)
    return Series(name, [alpha for alpha, *_ in found], [beta for _, beta, _ in found], colour, mark, size, **more)


def _field(surface: Surface, best: float, values: Sequence[float]) -> Field:
    """The fit in thousandths of the reward below the best measured, on one scale with the measured `values`."""
    alphas, betas = np.linspace(1, surface.target, SIDE), np.linspace(1, surface.target**0.5, SIDE)
    alpha, beta = np.meshgrid(alphas, betas)
    gamma = np.sqrt(surface.target / alpha) / beta
    means = surface.mean(np.column_stack([alpha.ravel(), beta.ravel(), gamma.ravel()])).reshape(alpha.shape)
    # A little more than the constraint allows is drawn, and covered, so that the border is a smooth line.
    shade = np.where(gamma >= 0.96, 1000 * (means - best), np.nan)
    inside = [*values, *shade[gamma >= 1].tolist()]
    return Field(alphas, betas, shade, min(inside), max(inside), np.sqrt(surface.target / alphas))

"""Accuracy as a smooth function of alpha, beta and gamma at equal FLOPs, fitted to all trainings of a run.

    accuracy = intercept + quadratic in the shares + slope * log2(FLOPs / T) + misfit + noise / sqrt(seeds)

The shares of the growth are log alpha, 2 log beta and 2 log gamma over the logarithm of the target. Rounding gives the
networks of a grid different FLOPs, so what a doubling of them is worth is fitted too. Bayesian linear regression
(Bishop 2006, section 3.5); its hyperparameters are not set to the most probable ones, which would make intervals too
narrow, but averaged over by their evidence.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import cast

import numpy as np
import numpy.typing as npt
from scipy.special import gammaincinv

from effsearch.runs.ranking import PRIOR_FREEDOM, PRIOR_SD, Row
from effsearch.scaling import Coefficients

Array = npt.NDArray[np.float64]

LEAST_NETWORKS = 6  # networks below which nothing is fitted
SAMPLES = 2000  # draws from the posterior
STEPS = 50  # of each share of the growth, when the optimum is sought
LEVEL = 0.8  # probability of the intervals that are shown and aimed at
TOLD = 1 / 3  # share of its range that the interval of a coefficient may have, where it counts as known
FLAT = 0.8  # share of a range from which an interval counts as unknown

# Standard deviations for which the evidence is computed: of the terms and of misfit, as fractions of accuracy. Those of
# the noise are quantiles of what the spread between seeds leaves open.
STRENGTHS = np.geomspace(0.003, 1.0, 9)
MISFITS = np.geomspace(0.0005, 0.05, 7)
NOISES = 7
SLOPE_SD = 0.05  # prior standard deviation of the accuracy that a doubling of FLOPs brings
TERMS = 9  # of the quadratic besides its intercept


@dataclass(frozen=True)
class Networks:
    """Trained networks: coefficients (N, 3), doublings (N,) of T in FLOPs, mean accuracies (N,) over `seeds` (N,).

    `squares` is the sum of squares of accuracies about the mean of their network, with `freedom` degrees of freedom.
    """

    keys: tuple[str, ...]
    triples: Array
    doublings: Array
    accuracies: Array
    seeds: Array
    squares: float
    freedom: int

    @classmethod
    def of(cls, rows: Sequence[Row]) -> "Networks":
        """The longest trained networks of a ranking; without the baseline, which is not on the constraint."""
        grown = [row for row in rows if row.accuracy is not None and row.alpha is not None and triple_of(row) != ONES]
        most = max((row.epochs or 0 for row in grown), default=0)
        done = [row for row in grown if (row.epochs or 0) == most]
        return cls(
            tuple(row.key for row in done),
            np.array([triple_of(row) for row in done], np.float64).reshape(-1, 3),
            np.log2([row.target_ratio for row in done]),
            np.array([row.accuracy for row in done], np.float64),
            np.array([row.seeds for row in done], np.float64),
            sum((row.accuracy_sd or 0.0) ** 2 * (row.seeds - 1) for row in done),
            sum(row.seeds - 1 for row in done),
        )

    def noise_variances(self) -> Array:
        """Equally likely variances between seeds (NOISES,), by their spread and a weak prior."""
        freedom = self.freedom + PRIOR_FREEDOM
        middles = (np.arange(NOISES) + 0.5) / NOISES
        chi_square = 2 * gammaincinv(freedom / 2, middles)
        return cast(Array, (self.squares + PRIOR_FREEDOM * PRIOR_SD**2) / chi_square)


ONES = (1.0, 1.0, 1.0)


def triple_of(row: Row) -> tuple[float, float, float]:
    """alpha, beta and gamma of a row; 0 where it has none."""
    return row.alpha or 0.0, row.beta or 0.0, row.gamma or 0.0


@dataclass(frozen=True)
class Surface:
    """The fit to `networks`: expected weights (11,), and draws of them (S, 11) and of the optimum (S, 3).

    `misfits` and `noises` (S,) are the variances of networks off the surface and of seeds that each draw assumes.
    """

    target: float
    networks: Networks
    weights: Array
    drawn: Array
    misfits: Array
    noises: Array
    optima: Array

    @cached_property
    def best(self) -> Coefficients:
        """The optimum of the expected surface."""
        surface = on_constraint(self.target)
        return Coefficients(*surface[int(np.argmax(self.mean(surface)))].tolist())

    @property
    def trainings(self) -> int:
        return int(self.networks.seeds.sum())

    @property
    def slope(self) -> float:
        """The accuracy that a doubling of FLOPs is expected to bring."""
        return float(self.weights[-1])

    @property
    def noise(self) -> float:
        """The standard deviation of accuracy between seeds."""
        return float(np.sqrt(self.noises.mean()))

    @property
    def misfit(self) -> float:
        """The standard deviation of networks off the surface."""
        return float(np.sqrt(self.misfits.mean()))

    @property
    def ranges(self) -> Array:
        """How far alpha, beta and gamma (3,) may lie above 1."""
        return np.array([self.target, self.target**0.5, self.target**0.5]) - 1

    def interval(self, axis: int, level: float = LEVEL) -> tuple[float, float]:
        """Where the optimum's alpha, beta or gamma (axis 0, 1, 2) lies with that probability."""
        low, high = np.quantile(self.optima[:, axis], [(1 - level) / 2, (1 + level) / 2])
        return float(low), float(high)

    @cached_property
    def widths(self) -> Array:
        """The intervals of alpha, beta and gamma (3,) as shares of their ranges."""
        return np.array([high - low for low, high in map(self.interval, range(3))]) / self.ranges

    @property
    def is_flat(self) -> bool:
        """Whether the data do not tell where the optimum is: it may lie nearly anywhere on two axes or more."""
        return int((self.widths > FLAT).sum()) >= 2

    @property
    def is_told(self) -> bool:
        """Whether alpha, beta and gamma are each known to a third of their range."""
        return bool((self.widths <= TOLD).all())

    def trainings_needed(self, axis: int) -> int:
        """About how many more trainings would make a coefficient known: intervals shrink with their square root."""
        return max(0, round(self.trainings * ((float(self.widths[axis]) / TOLD) ** 2 - 1)))

    def at_equal_flops(self, row: Row) -> float:
        """The measured accuracy of a row, as it would be at T FLOPs by the slope."""
        return (row.accuracy or 0.0) - self.slope * float(np.log2(row.target_ratio))

    def mean(self, triples: Array) -> Array:
        """The expected accuracy at (N, 3) coefficients and T FLOPs."""
        return features(triples, np.zeros(len(triples)), self.target) @ self.weights

    def accuracies(self, keys: Sequence[str], triples: Array, doublings: Array) -> Array:
        """Draws (N, S) of the accuracies of networks, each with its own misfit, as far as its trainings tell it."""
        smooth = features(triples, doublings, self.target) @ self.drawn.T
        return smooth + self._drawn_misfits(keys)

    def _drawn_misfits(self, keys: Sequence[str]) -> Array:
        trained, place = self.networks, {key: row for row, key in enumerate(self.networks.keys)}
        rows = np.array([place.get(key, -1) for key in keys])
        seeds = np.where(rows < 0, 0.0, trained.seeds[rows])[:, None]
        off = trained.accuracies[:, None] - features(trained.triples, trained.doublings, self.target) @ self.drawn.T
        known = seeds * self.misfits / (seeds * self.misfits + self.noises)
        chance = np.random.default_rng(1).standard_normal((len(keys), len(self.drawn)))
        return cast(Array, known * off[rows] + np.sqrt(self.misfits * (1 - known)) * chance)


def fit_surface(rows: Sequence[Row], target: float, seed: int = 0) -> Surface | None:
    """Fits the longest trained networks of a ranking, or returns None where there are too few."""
    networks = Networks.of(rows)
    if len(networks.keys) < LEAST_NETWORKS:
        return None
    rng = np.random.default_rng(seed)
    fitted = _Mixture.fit(features(networks.triples, networks.doublings, target), networks)
    chosen = rng.choice(len(fitted.share), SAMPLES, p=fitted.share)
    drawn = fitted.draw(chosen, rng)
    surface = on_constraint(target)
    # A draw has no misfit on the constraint: the optimum is that of what is common to all networks.
    heights = features(surface, np.zeros(len(surface)), target) @ drawn.T
    return Surface(
        target,
        networks,
        fitted.share @ fitted.means,
        drawn,
        fitted.misfits[chosen],
        fitted.noises[chosen],
        surface[np.argmax(heights, axis=0)],
    )


@dataclass(frozen=True)
class _Mixture:
    """The posterior for each of H hyperparameters: its share by evidence (H,), means (H, 11), Cholesky factors of the
    precisions (H, 11, 11), and the variances of misfit and noise (H,)."""

    share: Array
    means: Array
    factors: Array
    misfits: Array
    noises: Array

    @classmethod
    def fit(cls, x: Array, networks: Networks) -> "_Mixture":
        """For features (N, 11) of networks and all hyperparameters at once."""
        y = networks.accuracies
        misfits, noises = (each.ravel() for each in np.meshgrid(MISFITS**2, networks.noise_variances()))
        weights = 1 / (misfits[:, None] + noises[:, None] / networks.seeds)  # (Q, N)
        priors = np.array([prior_variances(strength) for strength in STRENGTHS])  # (A, 11)
        information = np.einsum("qn,ni,nj->qij", weights, x, x, optimize=True)
        precisions = information[:, None] + np.einsum("ai,ij->aij", 1 / priors, np.eye(x.shape[1]))
        factors = np.linalg.cholesky(precisions)  # (Q, A, 11, 11)
        projected = np.broadcast_to(((weights * y) @ x)[:, None], factors.shape[:-1])
        means = np.linalg.solve(precisions, projected[..., None])[..., 0]
        left = (weights * y**2).sum(1)[:, None] - (projected * means).sum(-1)
        logdet = 2 * np.log(np.diagonal(factors, axis1=-2, axis2=-1)).sum(-1) + np.log(priors).sum(-1)
        evidence = -0.5 * (logdet + left - np.log(weights).sum(1)[:, None])
        share = np.exp(evidence - evidence.max()).ravel()
        size, repeated = x.shape[1], len(STRENGTHS)
        return cls(
            share / share.sum(),
            means.reshape(-1, size),
            factors.reshape(-1, size, size),
            np.repeat(misfits, repeated),
            np.repeat(noises, repeated),
        )

    def draw(self, chosen: npt.NDArray[np.int64], rng: np.random.Generator) -> Array:
        """One draw (11,) of the weights for each of the chosen hyperparameters."""
        chance = rng.standard_normal((len(chosen), self.means.shape[1], 1))
        spread = np.linalg.solve(self.factors[chosen].transpose(0, 2, 1), chance)[..., 0]
        return cast(Array, self.means[chosen] + spread)


def prior_variances(strength: float) -> Array:
    """Of the weights (11,): any accuracy from 0 to 1 is as likely, and the slope is weakly known."""
    return np.array([1.0, *[strength**2] * TERMS, SLOPE_SD**2])


def features(triples: Array, doublings: Array, target: float) -> Array:
    """1, three logarithms as shares of the target's, their squares and products, and the doublings: (N, 11)."""
    x = np.log(triples) * np.array([1, 2, 2]) / np.log(target)
    pairs = [x[:, i] * x[:, j] for i in range(3) for j in range(i, 3)]
    return np.column_stack([np.ones(len(x)), x, *pairs, doublings])


def on_constraint(target: float, steps: int = STEPS) -> Array:
    """Coefficients (N, 3) all over alpha * beta^2 * gamma^2 = target, each at least 1."""
    shares = [(i / steps, j / steps) for i in range(steps + 1) for j in range(steps + 1 - i)]
    depth, width = np.array(shares).T
    logs = np.stack([depth, width / 2, (1 - depth - width) / 2], axis=1) * np.log(target)
    return cast(Array, np.exp(np.clip(logs, 0, None)))

"""A Gaussian process over decisions: from few trainings, the posterior mean and variance of other accuracies.

The kernel is a sum of three: an additive one over the decisions, their product (for interactions), and a linear one of
the logarithm of the cost. Each decision has a lengthscale in the product and a variance in the sum, fitted to the data
(automatic relevance determination: R. Neal, Bayesian Learning for Neural Networks, 1996; additive Gaussian processes,
1112.4394). The mean function is a prior prediction of the accuracy times a slope, which is fitted too and may be zero.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve, solve_triangular
from scipy.linalg.lapack import dpotrf
from scipy.optimize import minimize

from effsearch.space import Decision, Value

Array: TypeAlias = NDArray[np.floating[Any]]

CONSTANT = 1.0  # variance of the constant kernel, for standardised accuracies
SLOPE_DEVIATION = 0.5  # standard deviation of the slope of the mean function, as a share of the slope itself
JITTER = 1e-6  # added to the noise, so that the covariance stays positive definite


@dataclass(frozen=True)
class Encoding:
    """The one-hot encoding of decisions: a column for each choice."""

    decisions: tuple[Decision, ...]

    @cached_property
    def starts(self) -> list[int]:
        """The first column of each decision, and the end of the last."""
        return [0, *np.cumsum([len(decision.choices) for decision in self.decisions]).tolist()]

    @cached_property
    def _columns(self) -> dict[str, dict[Value, int]]:
        return {
            decision.name: {choice: start + index for index, choice in enumerate(decision.choices)}
            for decision, start in zip(self.decisions, self.starts, strict=False)
        }

    def encode(self, points: Sequence[Mapping[str, Value]]) -> Array:
        """A row for each point."""
        codes = np.zeros((len(points), self.starts[-1]))
        where = [[column[point[name]] for name, column in self._columns.items()] for point in points]
        if points:
            codes[np.arange(len(points))[:, None], np.array(where)] = 1
        return codes

    @cached_property
    def distances(self) -> Array:
        """Distances of 0 to 1 between the choices of each decision; choices of two decisions are at 0.

        Half of it is 1 where they differ, half the squared difference of the ranks of numbers (1 for two texts).
        """
        found = np.zeros((self.starts[-1], self.starts[-1]))
        for decision, start in zip(self.decisions, self.starts, strict=False):
            count = len(decision.choices)
            rank, differ = np.arange(count) / max(1, count - 1), 1.0 - np.eye(count)
            numbers = not any(isinstance(choice, str) for choice in decision.choices)
            far = np.square(rank[:, None] - rank) if numbers else differ
            found[start : start + count, start : start + count] = 0.5 * far + 0.5 * differ
        return found

    @cached_property
    def owner(self) -> NDArray[np.int64]:
        """The index of the decision that each column belongs to."""
        return np.repeat(np.arange(len(self.decisions)), np.diff(self.starts))

    @cached_property
    def blocks(self) -> Array:
        """1 where two columns belong to one decision, else 0."""
        return np.equal(self.owner[:, None], self.owner).astype(np.float64)


class Points(NamedTuple):
    """Inputs of the process: one-hot codes (N, C), logarithms of costs (N,) and prior predictions of accuracy (N,).

    The last two are standardised, and zeros where nothing is known.
    """

    codes: Array
    size: Array
    prior: Array

    @classmethod
    def of(cls, codes: Array) -> "Points":
        """Inputs of unknown cost and without a prior."""
        return cls(codes, np.zeros(len(codes)), np.zeros(len(codes)))

    def single(self) -> "Points":
        """In single precision, for what is only compared."""
        return Points(*(column.astype(np.float32) for column in self))

    def at(self, rows: Sequence[int] | NDArray[np.int64] | slice) -> "Points":
        return Points(*(column[rows] for column in self))


class Hyperparameters(NamedTuple):
    """Variances of the terms of the kernel, and the others; `additive` and the lengthscales have one a decision."""

    inverse_lengthscales: Array  # of the product kernel
    additive: Array
    product: float
    linear: float
    noise: float
    slope: float  # of the mean function


@dataclass(frozen=True)
class Kernel:
    """The kernel and the mean function of standardised accuracies, by the logarithms of their hyperparameters.

    The mean is 0 where the prior prediction is `centre`.
    """

    encoding: Encoding
    logs: Array
    centre: float = 0.0

    @cached_property
    def parameters(self) -> Hyperparameters:
        count = len(self.encoding.decisions)
        values = np.exp(self.logs)
        product, linear, noise, slope = values[2 * count :].tolist()
        return Hyperparameters(values[:count], values[count : 2 * count], product, linear, noise + JITTER, slope)

    @cached_property
    def tables(self) -> tuple[Array, Array]:
        """For each pair of choices, the negative exponent of the product kernel and the term of the additive one."""
        encoding, parameters = self.encoding, self.parameters
        return (
            parameters.inverse_lengthscales[encoding.owner] * encoding.distances,
            parameters.additive[encoding.owner] * np.exp(-encoding.distances) * encoding.blocks,
        )

    def covariance(self, one: Points, other: Points) -> Array:
        """Prior covariances, a row for each of `one`."""
        exponent, additive = (table.astype(one.codes.dtype) for table in self.tables)
        parameters = self.parameters
        found: Array = (one.codes @ -exponent) @ other.codes.T
        np.exp(found, out=found)
        found *= parameters.product
        found += (one.codes @ additive) @ other.codes.T
        found += (parameters.linear * one.size)[:, None] * other.size
        doubt = (SLOPE_DEVIATION * parameters.slope) ** 2
        found += (doubt * (one.prior - self.centre))[:, None] * (other.prior - self.centre)
        found += CONSTANT
        return found

    def variance(self, points: Points) -> Array:
        """The prior variance at each point, without noise."""
        product, linear, slope = self.parameters.product, self.parameters.linear, self.parameters.slope
        constant = product + self.parameters.additive.sum() + CONSTANT
        doubt = np.square(SLOPE_DEVIATION * slope * (points.prior - self.centre))
        return np.asarray(constant + linear * np.square(points.size) + doubt)

    def mean(self, points: Points) -> Array:
        """The mean function at each point."""
        return self.parameters.slope * (points.prior - self.centre)


def hyperprior(encoding: Encoding) -> tuple[Array, Array]:
    """Means and standard deviations of the normal prior of the logarithms of a kernel's hyperparameters."""
    count = len(encoding.decisions)
    means = [np.log(8 / count)] * count + [-np.log(count)] * count + list(np.log([0.3, 0.3, 0.02, 0.7]))
    return np.array(means), np.array([1.2] * (2 * count) + [1.0, 1.2, 1.5, 1.0])


def fit(encoding: Encoding, points: Points, values: Array, iterations: int = 40) -> Kernel:
    """The kernel with the maximum a posteriori hyperparameters for standardised accuracies, by L-BFGS-B."""
    means, deviations = hyperprior(encoding)
    loss = NegativeLogPosterior(encoding, points, values, means, deviations)
    limits = list(zip(means - 4 * deviations, means + 4 * deviations, strict=True))
    options = {"maxiter": iterations, "maxcor": 20}
    found = minimize(loss, means, jac=True, method="L-BFGS-B", bounds=limits, options=options)
    return loss.kernel(found.x)


@dataclass(frozen=True)
class NegativeLogPosterior:
    """The negative logarithm of marginal likelihood times hyperprior, with its gradient, by log hyperparameters."""

    encoding: Encoding
    points: Points
    values: Array
    means: Array
    deviations: Array

    def __call__(self, logs: Array) -> tuple[float, Array]:
        kernel, codes, n = self.kernel(logs), self.points.codes, len(self.values)
        parameters, (exponent, additive) = kernel.parameters, kernel.tables
        product = parameters.product * np.exp(-(codes @ exponent @ codes.T))
        linear = parameters.linear * np.outer(self.points.size, self.points.size)
        mean = kernel.mean(self.points)
        doubt = SLOPE_DEVIATION**2 * np.outer(mean, mean)
        covariance = product + codes @ additive @ codes.T + linear + doubt + CONSTANT
        covariance[np.diag_indices(n)] += parameters.noise
        factor, failed = dpotrf(covariance, lower=1)
        if failed:
            return 1e10, np.zeros_like(logs)
        residual = self.values - mean
        weights = cho_solve((factor, True), residual)
        # The derivative of the log likelihood by each covariance (Rasmussen and Williams 2006, equation 5.9).
        slope = 0.5 * (np.outer(weights, weights) - cho_solve((factor, True), np.eye(n)))
        weighted = slope * product
        gradient = np.concatenate(
            [
                -self._by_decision((codes.T @ weighted @ codes) * exponent),
                self._by_decision((codes.T @ slope @ codes) * additive),
                [weighted.sum(), (slope * linear).sum(), (parameters.noise - JITTER) * np.trace(slope)],
                [mean @ weights + 2 * (slope * doubt).sum()],
            ]
        )
        away = (logs - self.means) / self.deviations
        likelihood = -0.5 * residual @ weights - np.log(np.diag(factor)).sum()
        return float(0.5 * away @ away - likelihood), away / self.deviations - gradient

    def kernel(self, logs: Array) -> Kernel:
        return Kernel(self.encoding, logs, float(self.points.prior.mean()))

    def _by_decision(self, table: Array) -> Array:
        return np.bincount(self.encoding.owner, table.sum(1), len(self.encoding.decisions)).astype(np.float64)


@dataclass(frozen=True)
class Posterior:
    """The process conditioned on the values (standardised accuracies) of some points."""

    kernel: Kernel
    points: Points
    values: Array

    @cached_property
    def factor(self) -> Array:
        """The lower Cholesky factor of the covariance of the values, with noise."""
        covariance = self.kernel.covariance(self.points, self.points)
        covariance[np.diag_indices(len(self.values))] += self.kernel.parameters.noise
        factor, failed = dpotrf(covariance, lower=1, clean=1, overwrite_a=1)
        if failed:
            raise np.linalg.LinAlgError("the covariance is not positive definite")
        return np.asarray(factor)

    @cached_property
    def weights(self) -> Array:
        return np.asarray(cho_solve((self.factor, True), self.values - self.kernel.mean(self.points)))

    def mean(self, points: Points) -> Array:
        return self.kernel.mean(points) + self.kernel.covariance(points, self.points) @ self.weights

    def leave_one_out(self) -> Array:
        """The posterior mean of each value given all others (Rasmussen and Williams 2006, equation 5.12)."""
        inverse = cho_solve((self.factor, True), np.eye(len(self.values)))
        return self.values - self.weights / np.diag(inverse)


class GrowingPosterior:
    """A posterior that takes one more trial at a time, with the mean and variance of a fixed set of points.

    `whitened` is the inverse Cholesky factor times the covariance with that set: a trial adds a row, and its square is
    subtracted from the variance. It is in single precision, as rows are long. At most `capacity` trials may be added.
    """

    def __init__(self, kernel: Kernel, points: Points, fixed: Points | None, capacity: int) -> None:
        self.kernel, self.fixed, self.count = kernel, fixed, len(points.codes)
        self._before_pending: tuple[int, Array] | None = None
        self._prior_mean: Array = np.zeros(0)
        self._variance: Array = np.zeros(0)
        capacity += self.count
        self._stored = Points.of(np.zeros((capacity, points.codes.shape[1])))
        self._store(points, 0)
        self.factor = np.zeros((capacity, capacity))
        self.factor[: self.count, : self.count] = Posterior(kernel, points, np.zeros(self.count)).factor
        if fixed is not None:
            self.whitened = np.empty((capacity, len(fixed.codes)), np.float32)
            factor = self.factor[: self.count, : self.count].astype(np.float32)
            covariance = kernel.covariance(points.single(), fixed)
            self.whitened[: self.count] = solve_triangular(factor, covariance, lower=True, overwrite_b=True)
            self._prior_mean = kernel.mean(fixed)
            self._variance = kernel.variance(fixed) - np.square(self.whitened[: self.count]).sum(0)

    @property
    def points(self) -> Points:
        return self._stored.at(slice(self.count))

    def _store(self, points: Points, at: int) -> None:
        for column, new in zip(self._stored, points, strict=True):
            column[at : at + len(points.codes)] = new

    def add(self, point: Points) -> None:
        """Conditions on one more trial, whose value need not be known yet."""
        n, kernel = self.count, self.kernel
        row = solve_triangular(self.factor[:n, :n], kernel.covariance(self.points, point)[:, 0], lower=True)
        length = np.sqrt(max(float(kernel.variance(point)[0]) + kernel.parameters.noise - row @ row, 1e-9))
        self.factor[n, :n], self.factor[n, n] = row, length
        self._store(point, n)
        if self.fixed is not None:
            new = kernel.covariance(point.single(), self.fixed)[0] - row.astype(np.float32) @ self.whitened[:n]
            self.whitened[n] = new / np.float32(length)
            self._variance = self._variance - np.square(self.whitened[n])
        self.count = n + 1

    def add_pending(self, points: Sequence[Points]) -> None:
        """Conditions on running trials, without values, until the next `drop_pending`."""
        self._before_pending = self.count, self._variance
        for point in points:
            self.add(point)

    def drop_pending(self) -> None:
        if self._before_pending is not None:
            self.count, self._variance = self._before_pending
            self._before_pending = None

    def predict(self, values: Array, points: Points | None) -> tuple[Array, Array]:
        """Mean and variance at the points, or at the fixed set; a trial without a value has its posterior mean."""
        n, known = self.count, len(values)
        residual = values - self.kernel.mean(self.points)[:known]
        weights = solve_triangular(self.factor[:known, :known], residual, lower=True)
        if points is None:
            return self._prior_mean + weights.astype(np.float32) @ self.whitened[:known], self._variance
        covariance = self.kernel.covariance(self.points, points)
        whitened = solve_triangular(self.factor[:n, :n], covariance, lower=True)
        mean = self.kernel.mean(points) + weights @ whitened[:known]
        return mean, self.kernel.variance(points) - np.square(whitened).sum(0)

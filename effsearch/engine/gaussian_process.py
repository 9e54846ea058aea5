"""A Gaussian process over decisions: few trainings -> the accuracy of the others, and how sure that is.

The covariance of two networks is a sum of three parts: what each decision adds on its own, what all of them do
together (a product over decisions, so that interactions are learnt), and what follows from their size. Each decision
has a relevance of its own in the first two, learnt from the data (R. Neal, Bayesian Learning for Neural Networks,
1996; additive Gaussian processes, 1112.4394). Where something else predicts accuracies, they are its mean, times a
coefficient that is learnt too and may be zero.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve, solve_triangular
from scipy.linalg.lapack import dpotrf
from scipy.optimize import minimize

from effsearch.space import Decision, Value

Array: TypeAlias = NDArray[np.float64]

CONSTANT = 1.0
"""Prior variance of the mean of standardised accuracies."""

DOUBT = 0.5
"""Deviation of the coefficient of what is expected beforehand, as a share of its mean, which is learnt."""

JITTER = 1e-6


@dataclass(frozen=True)
class Encoding:
    """Decisions as numbers: a column for each choice, one of them set for each decision."""

    decisions: tuple[Decision, ...]

    @cached_property
    def starts(self) -> list[int]:
        """The first column of each decision, and the end of the last."""
        return [0, *np.cumsum([len(decision.choices) for decision in self.decisions]).tolist()]

    @cached_property
    def _columns(self) -> list[dict[Value, int]]:
        return [
            {choice: start + index for index, choice in enumerate(decision.choices)}
            for decision, start in zip(self.decisions, self.starts, strict=False)
        ]

    def encode(self, points: Sequence[Mapping[str, Value]]) -> Array:
        """A row for each point."""
        found = np.zeros((len(points), self.starts[-1]))
        names = [decision.name for decision in self.decisions]
        where = [[column[point[name]] for name, column in zip(names, self._columns, strict=True)] for point in points]
        if points:
            found[np.arange(len(points))[:, None], np.array(where)] = 1
        return found

    @cached_property
    def distances(self) -> Array:
        """Between the choices of each decision, 0 to 1; a block each, since choices of two decisions never meet.

        Half of it is how far two numbers are apart in order, squared; the other half is that they differ at all.
        """
        found = np.zeros((self.starts[-1], self.starts[-1]))
        for decision, start in zip(self.decisions, self.starts, strict=False):
            count = len(decision.choices)
            place = np.arange(count) / max(1, count - 1)
            differ = 1.0 - np.eye(count)
            numbers = not any(isinstance(choice, str) for choice in decision.choices)
            far = np.square(place[:, None] - place) if numbers else differ
            found[start : start + count, start : start + count] = 0.5 * far + 0.5 * differ
        return found

    @cached_property
    def owner(self) -> NDArray[np.int64]:
        """The number of the decision that each column belongs to."""
        return np.repeat(np.arange(len(self.decisions)), np.diff(self.starts))

    @cached_property
    def blocks(self) -> Array:
        """1 where two columns belong to one decision."""
        found: Array = (self.owner[:, None] == self.owner).astype(np.float64)
        return found


@dataclass(frozen=True)
class Points:
    """Networks to learn from or to predict: encoded decisions, size, and the accuracy that is expected beforehand.

    The last two are standardised, and zeros where nothing is known.
    """

    codes: Array
    size: Array
    expected: Array

    def __len__(self) -> int:
        return len(self.codes)

    def single(self) -> "Points":
        """In single precision, for what is only compared."""
        return Points(self.codes.astype(np.float32), self.size.astype(np.float32), self.expected.astype(np.float32))

    def with_more(self, others: "Points") -> "Points":
        """These and then the others."""
        return Points(
            np.concatenate([self.codes, others.codes]),
            np.concatenate([self.size, others.size]),
            np.concatenate([self.expected, others.expected]),
        )

    def at(self, rows: Sequence[int] | NDArray[np.int64] | slice) -> "Points":
        """Those of some rows."""
        return Points(self.codes[rows], self.size[rows], self.expected[rows])


def unknown(codes: Array) -> Points:
    """Networks of which nothing but the decisions is known."""
    return Points(codes, np.zeros(len(codes)), np.zeros(len(codes)))


@dataclass(frozen=True)
class Kernel:
    """The mean and the covariance of standardised accuracies, by the logarithms of their parameters.

    The mean is 0 where what is expected beforehand is at its `centre`.
    """

    encoding: Encoding
    logs: Array
    centre: float = 0.0

    @cached_property
    def _parts(self) -> tuple[Array, Array, float, float, float, float]:
        count = len(self.encoding.decisions)
        relevance, alone = np.exp(self.logs[:count]), np.exp(self.logs[count : 2 * count])
        together, size, noise, trust = np.exp(self.logs[2 * count :])
        return relevance, alone, float(together), float(size), float(noise) + JITTER, float(trust)

    @property
    def trust(self) -> float:
        """The mean of the coefficient of what is expected beforehand."""
        return self._parts[5]

    @property
    def noise(self) -> float:
        """Variance of what no decision explains."""
        return self._parts[4]

    @cached_property
    def _tables(self) -> tuple[Array, Array]:
        """By choices: the exponent of the product, and the sum of what each adds on its own."""
        encoding = self.encoding
        relevance, alone, *_ = self._parts
        return (
            relevance[encoding.owner] * encoding.distances,
            alone[encoding.owner] * np.exp(-encoding.distances) * encoding.blocks,
        )

    def between(self, one: Points, other: Points) -> Array:
        """Covariances, a row for each of `one`."""
        exponent, alone = (table.astype(one.codes.dtype) for table in self._tables)
        _, _, together, size, _, trust = self._parts
        found: Array = (one.codes @ -exponent) @ other.codes.T
        np.exp(found, out=found)
        found *= together
        found += (one.codes @ alone) @ other.codes.T
        found += (size * one.size)[:, None] * other.size
        found += ((DOUBT * trust) ** 2 * (one.expected - self.centre))[:, None] * (other.expected - self.centre)
        found += CONSTANT
        return found

    def variance(self, points: Points) -> Array:
        """Of each point, before anything is known."""
        _, alone, together, size, _, trust = self._parts
        found: Array = together + alone.sum() + CONSTANT + size * np.square(points.size)
        found += np.square(DOUBT * trust * (points.expected - self.centre))
        return found

    def mean(self, points: Points) -> Array:
        """Of each point, before anything is known."""
        found: Array = self.trust * (points.expected - self.centre)
        return found


def prior(encoding: Encoding) -> tuple[Array, Array]:
    """Means and deviations of the logarithms of a kernel's parameters."""
    count = len(encoding.decisions)
    means = [np.log(8 / count)] * count + [-np.log(count)] * count + list(np.log([0.3, 0.3, 0.02, 0.7]))
    return np.array(means), np.array([1.2] * (2 * count) + [1.0, 1.2, 1.5, 1.0])


def fit(encoding: Encoding, points: Points, values: Array, iterations: int = 40) -> Kernel:
    """The most probable kernel for standardised accuracies (marginal likelihood and prior)."""
    means, deviations = prior(encoding)
    target = _Target(encoding, points, values, means, deviations)
    limits = list(zip(means - 4 * deviations, means + 4 * deviations, strict=True))
    found = minimize(
        target, means, jac=True, method="L-BFGS-B", bounds=limits, options={"maxiter": iterations, "maxcor": 20}
    )
    return Kernel(encoding, found.x, target.centre)


@dataclass(frozen=True)
class _Target:
    """The negative logarithm of the posterior of a kernel's parameters, with its gradient."""

    encoding: Encoding
    points: Points
    values: Array
    means: Array
    deviations: Array

    @property
    def centre(self) -> float:
        return float(self.points.expected.mean())

    def __call__(self, logs: Array) -> tuple[float, Array]:
        kernel, codes, n = Kernel(self.encoding, logs, self.centre), self.points.codes, len(self.values)
        _, _, together, size, noise, trust = kernel._parts
        exponent, own = kernel._tables
        product = together * np.exp(-(codes @ exponent @ codes.T))
        sizes = size * np.outer(self.points.size, self.points.size)
        expected = trust * (self.points.expected - self.centre)
        doubts = DOUBT**2 * np.outer(expected, expected)
        covariance = product + codes @ own @ codes.T + sizes + doubts + CONSTANT
        covariance[np.diag_indices(n)] += noise
        factor, trouble = dpotrf(covariance, lower=1)
        if trouble:
            return 1e10, np.zeros_like(logs)
        surprise = self.values - expected
        weights = cho_solve((factor, True), surprise)
        slope = 0.5 * (np.outer(weights, weights) - cho_solve((factor, True), np.eye(n)))
        # How the likelihood changes with what two choices have in common, summed over all pairs of points.
        weighted = slope * product
        by_choice = codes.T @ weighted @ codes
        by_own = codes.T @ slope @ codes
        count = len(self.encoding.decisions)
        gradient = np.empty_like(logs)
        gradient[:count] = -self._by_decision(by_choice * exponent)
        gradient[count : 2 * count] = self._by_decision(by_own * own)
        trusted = expected @ weights + 2 * (slope * doubts).sum()
        gradient[2 * count :] = weighted.sum(), (slope * sizes).sum(), (noise - JITTER) * np.trace(slope), trusted
        away = (logs - self.means) / self.deviations
        likelihood = -0.5 * surprise @ weights - np.log(np.diag(factor)).sum()
        return float(0.5 * away @ away - likelihood), away / self.deviations - gradient

    def _by_decision(self, table: Array) -> Array:
        found: Array = np.bincount(self.encoding.owner, table.sum(1), len(self.encoding.decisions)).astype(np.float64)
        return found


@dataclass(frozen=True)
class Posterior:
    """What is known of all networks after some were trained: a kernel, those networks and their accuracies."""

    kernel: Kernel
    points: Points
    values: Array

    @cached_property
    def factor(self) -> Array:
        """The lower Cholesky factor of the covariance of what was trained."""
        covariance = self.kernel.between(self.points, self.points)
        covariance[np.diag_indices(len(self.points))] += self.kernel.noise
        factor, trouble = dpotrf(covariance, lower=1, clean=1, overwrite_a=1)
        if trouble:
            raise np.linalg.LinAlgError("the covariance is not positive definite")
        found: Array = factor
        return found

    @cached_property
    def weights(self) -> Array:
        found: Array = cho_solve((self.factor, True), self.values - self.kernel.mean(self.points))
        return found

    def mean(self, points: Points) -> Array:
        """The expected values."""
        found: Array = self.kernel.mean(points) + self.kernel.between(points, self.points) @ self.weights
        return found

    def left_out(self) -> Array:
        """Each value as it is predicted from all others (Rasmussen and Williams 2006, equation 5.12)."""
        inverse = cho_solve((self.factor, True), np.eye(len(self.points)))
        return self.values - self.weights / np.diag(inverse)


class Conditioned:
    """A Gaussian process that takes one more trial at a time, with what it says of a fixed set of networks.

    The rows of `whitened` are those of the inverse Cholesky factor times the covariance with that set, so a trial adds
    a row, and the variance loses its square. They are in single precision: a row is as long as the set.
    `room` is how many trials may be added.
    """

    def __init__(self, kernel: Kernel, points: Points, whole: Points | None, room: int) -> None:
        self.kernel, self.whole, self.count = kernel, whole, len(points)
        self.kept: tuple[int, Array] | None = None
        self.mean = self.left = np.zeros(0)
        room += self.count
        self.learnt = Points(np.zeros((room, points.codes.shape[1])), np.zeros(room), np.zeros(room))
        self._keep(points, 0)
        self.factor = np.zeros((room, room))
        self.factor[: self.count, : self.count] = Posterior(kernel, points, np.zeros(self.count)).factor
        if whole is not None:
            self.whitened = np.empty((room, len(whole)), np.float32)
            factor = self.factor[: self.count, : self.count].astype(np.float32)
            covariance = kernel.between(points.single(), whole)
            self.whitened[: self.count] = solve_triangular(factor, covariance, lower=True, overwrite_b=True)
            self.mean = kernel.mean(whole)
            self.left = kernel.variance(whole) - np.square(self.whitened[: self.count]).sum(0)

    @property
    def points(self) -> Points:
        return self.learnt.at(slice(self.count))

    def _keep(self, points: Points, at: int) -> None:
        rows, kept = slice(at, at + len(points)), self.learnt
        kept.codes[rows], kept.size[rows], kept.expected[rows] = points.codes, points.size, points.expected

    def add(self, point: Points) -> None:
        """Takes one more trial, whose value need not be known yet."""
        n, kernel = self.count, self.kernel
        row = solve_triangular(self.factor[:n, :n], kernel.between(self.points, point)[:, 0], lower=True)
        length = np.sqrt(max(float(kernel.variance(point)[0]) + kernel.noise - row @ row, 1e-9))
        self.factor[n, :n], self.factor[n, n] = row, length
        self._keep(point, n)
        if self.whole is not None:
            new = kernel.between(point.single(), self.whole)[0] - row.astype(np.float32) @ self.whitened[:n]
            self.whitened[n] = new / np.float32(length)
            self.left = self.left - np.square(self.whitened[n])
        self.count = n + 1

    def imagine(self, points: Sequence[Points]) -> None:
        """Takes trials that have no value yet, until the next `forget`."""
        self.kept = self.count, self.left
        for point in points:
            self.add(point)

    def forget(self) -> None:
        """Drops what was imagined."""
        if self.kept is not None:
            self.count, self.left = self.kept
            self.kept = None

    def beliefs(self, values: Array, points: Points | None) -> tuple[Array, Array]:
        """Mean and variance at the points, or at the whole; trials without a value in `values` have that expected."""
        n, known = self.count, len(values)
        surprise = values - self.kernel.mean(self.points)[:known]
        weights = solve_triangular(self.factor[:known, :known], surprise, lower=True)
        if points is None:
            return self.mean + weights.astype(np.float32) @ self.whitened[:known], self.left
        covariance = self.kernel.between(self.points, points)
        whitened = solve_triangular(self.factor[:n, :n], covariance, lower=True)
        mean = self.kernel.mean(points) + weights @ whitened[:known]
        return mean, self.kernel.variance(points) - np.square(whitened).sum(0)

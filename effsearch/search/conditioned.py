"""A Gaussian process that learns one trial at a time."""

from collections.abc import Sequence

import numpy as np
from scipy.linalg import solve_triangular

from effsearch.evaluation.gaussian import Array, Kernel, Points, Posterior


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

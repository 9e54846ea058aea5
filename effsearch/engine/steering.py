"""Where one more training tells most of the optimum of a surface: Bayesian experimental design for a grid.

The optimum is not known as long as the heights of the surface at the places where it may lie are not known against one
another. So what is to be reduced is the variance of the difference of two such heights, over pairs of draws of the
optimum: twice tr(M Cov(w)) for weights w, and M the covariance of the features of these places. For normal variables a
training of a network of accuracy f reduces it by Cov(f, w) M Cov(w, f) / (Var(f) + noise^2), whatever comes out (a
V-optimal design, weighted by where the optimum may lie). Covariances of the optimum itself with f miss that it may lie
at one of two ends, where it depends on no accuracy linearly.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from effsearch.runs.ranking import PRIOR_SD
from effsearch.runs.surface import Array, Surface, features, prior_variances

EXPECTED = 0.1  # standard deviation of the surface's terms that is taken before anything is trained
EXPECTED_MISFIT = 0.005  # and that of networks off it


@dataclass(frozen=True)
class Cells:
    """The networks that may be trained: their keys, coefficients (C, 3), doublings (C,) of T, and FLOPs (C,)."""

    keys: tuple[str, ...]
    triples: Array
    doublings: Array
    flops: Array

    def features(self, target: float) -> Array:
        return features(self.triples, self.doublings, target)


@dataclass(frozen=True)
class Steering:
    """Covariances of the accuracies of networks (C, C), and of them with the weights of the surface (C, 11).

    `places` (11, 11) is the covariance of the features of where the optimum may lie; `noise` the variance of seeds.
    """

    accuracies: Array
    weights: Array
    places: Array
    noise: float

    @classmethod
    def of(cls, surface: Surface, cells: Cells) -> "Steering":
        count = len(cells.keys)
        drawn = surface.accuracies(cells.keys, cells.triples, cells.doublings)
        joint = np.cov(np.vstack([drawn, surface.drawn.T]))
        places = features(surface.optima, np.zeros(len(surface.optima)), surface.target)
        return cls(joint[:count, :count], joint[:count, count:], np.cov(places.T), surface.noise**2)

    def given(self, row: int) -> "Steering":
        """After one more training of the network in a row, which reaches what is expected of it."""
        known = self.accuracies[:, row] / (self.accuracies[row, row] + self.noise)
        accuracies = self.accuracies - np.outer(known, self.accuracies[row])
        return replace(self, accuracies=accuracies, weights=self.weights - np.outer(known, self.weights[row]))

    @property
    def gains(self) -> Array:
        """By how much one more training of each network (C,) reduces the variance of what tells the optimum."""
        reduced: Array = np.einsum("ci,ij,cj->c", self.weights, self.places, self.weights)
        return reduced / (np.diag(self.accuracies) + self.noise)


def design(cells: Cells, target: float, begun: Sequence[int]) -> list[int]:
    """The rows of all cells, `begun` first, then each time that whose accuracy those before leave least certain."""
    x, order = cells.features(target), list(begun)
    covariance, variance = np.diag(prior_variances(EXPECTED)), PRIOR_SD**2 + EXPECTED_MISFIT**2
    for place in range(len(x)):
        if place == len(order):
            uncertain = np.einsum("ni,ij,nj->n", x, covariance, x)
            uncertain[order] = -np.inf
            order.append(int(uncertain.argmax()))
        column = covariance @ x[order[place]]
        covariance = covariance - np.outer(column, column) / (x[order[place]] @ column + variance)
    return order


def difference_told(cells: Cells, target: float, trainings: float, directions: Array, sd: float) -> float:
    """The least difference of accuracies that trainings spread evenly over the cells tell apart with 95 %.

    It is the largest of those between the first of the `directions` (D, 3) and the others, at equal FLOPs.
    """
    x, seeds = cells.features(target), trainings / len(cells.keys)
    information = x.T @ x / (sd**2 / seeds + EXPECTED_MISFIT**2)
    covariance = np.linalg.inv(information + np.diag(1 / prior_variances(EXPECTED)))
    apart = features(directions, np.zeros(len(directions)), target)
    apart = apart[1:] - apart[0]
    return float(1.96 * np.sqrt(np.einsum("ni,ij,nj->n", apart, covariance, apart).max()))

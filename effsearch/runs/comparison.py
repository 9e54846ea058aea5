"""How far apart networks are that were trained under the same seeds: means, paired differences, and their intervals."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats

MOST_SEEDS = 1000  # up to which it is said how many seeds would be needed
CONFIDENCE = 0.975  # the quantile at the upper end of a 95 % interval
RESAMPLES = 2000  # of networks, for the interval of a rank correlation
EXACT = 1e-6  # how near a combination of effects must come to one that the trainings determine

Array = npt.NDArray[np.float64]
Accuracies = Mapping[str, Mapping[int, float]]  # fractions, by network and seed


@dataclass(frozen=True)
class Estimate:
    """A value with half of its 95 % interval, None where too few trainings tell it; both are fractions."""

    value: float
    half: float | None

    @property
    def low(self) -> float | None:
        return None if self.half is None else self.value - self.half

    @property
    def high(self) -> float | None:
        return None if self.half is None else self.value + self.half


def quantile(freedom: float, choices: int = 1) -> float:
    """Student's t at the end of a 95 % interval; of so many intervals together, by Bonferroni."""
    return float(_quantiles(freedom, choices))


def _quantiles(freedom: Any, choices: int) -> Any:
    return stats.t.ppf(1 - (1 - CONFIDENCE) / choices, freedom)


def kendall_tau(one: Array, other: Array) -> tuple[float, float, float] | tuple[None, None, None]:
    """Kendall's rank correlation of two measurements of the same networks (N,), and its 95 % interval.

    The interval is by bootstrap over the networks. None for fewer than three, or where all are equal.
    """
    if len(one) < 3 or np.ptp(one) == 0 or np.ptp(other) == 0:
        return None, None, None
    low, high = np.nanpercentile(kendall_taus(one, other, resamples(len(one))), [2.5, 97.5])
    return float(kendall_taus(one, other, np.ones(len(one)))), float(low), float(high)


def resamples(networks: int) -> Array:
    """How often each resample of a bootstrap draws each network: (resamples, N), the same at every call."""
    drawn = np.random.default_rng(0).integers(0, networks, (RESAMPLES, networks))
    return np.stack([np.bincount(each, minlength=networks) for each in drawn]).astype(np.float64)


def kendall_taus(one: Array, other: Array, counts: Array) -> Array:
    """Kendall's tau-b of two measurements (N,) for each row of `counts` (..., N): how often it has each network.

    NaN where the networks of a row are all equal by one of them. scipy's, called once a row, takes 200 times as long.
    """
    signs, others = (np.sign(each[:, None] - each) for each in (one, other))

    def pairs(of: Array) -> Array:
        return np.asarray(((counts @ of) * counts).sum(axis=-1))

    with np.errstate(invalid="ignore"):
        return pairs(signs * others) / np.sqrt(pairs(np.abs(signs)) * pairs(np.abs(others)))


def smallest_difference(sd: float, networks: int, seeds: int, choices: int = 1) -> float:
    """The least paired difference whose 95 % interval would exclude 0, for a standard deviation between seeds.

    The interval is that of a difference to the best of so many `choices`.
    """
    return sd * math.sqrt(2 / seeds) * quantile((seeds - 1) * (networks - 1), choices)


class PairedModel:
    """The two-way model accuracy = network + seed + noise, fitted by least squares.

    The noise of all networks is pooled, with (networks - 1) x (seeds - 1) degrees of freedom where no training is
    missing; a network with fewer seeds is compared as if it had them all. Networks without an accuracy are left out.
    """

    def __init__(self, accuracies: Accuracies) -> None:
        self.accuracies = {key: found for key, found in accuracies.items() if found}
        self.keys = list(self.accuracies)
        self.seeds = sorted({seed for found in self.accuracies.values() for seed in found})
        cells = [(key, seed) for key in self.keys for seed in self.accuracies[key]]
        design = np.array([self._effects({key: 1.0}, {seed: 1.0}) for key, seed in cells])
        values = np.array([self.accuracies[key][seed] for key, seed in cells])
        self._information = design.T @ design
        self._inverse = np.linalg.pinv(self._information, rcond=EXACT, hermitian=True)
        self._fitted = self._inverse @ design.T @ values
        self.freedom = len(cells) - int(np.linalg.matrix_rank(design))
        left = values - design @ self._fitted
        self.sd = math.sqrt(float(left @ left) / self.freedom) if self.freedom else None

    def mean(self, key: str) -> Estimate:
        """The mean accuracy of a network under all seeds, with the interval in which it would be under others."""
        own, every_seed = self.accuracies[key], {seed: 1 / len(self.seeds) for seed in self.seeds}
        found = None if len(own) == len(self.seeds) else self._combine(self._effects({key: 1.0}, every_seed))
        value = mean(own.values()) if found is None else found[0]
        variance, freedom = self._within()
        return Estimate(value, quantile(freedom) * math.sqrt(variance / len(own)) if freedom else None)

    def difference(self, key: str, others: Sequence[str], choices: int = 1) -> Estimate | None:
        """How much more accurate a network is than the mean of others; None where no seeds connect them.

        Its interval is right for the best of so many `choices` too, if that was chosen by these trainings.
        """
        weights = {key: 1.0}
        for other in others:
            weights[other] = weights.get(other, 0.0) - 1 / len(others)
        if (found := self._combine(self._effects(weights, {}))) is None:
            return None
        value, variance = found
        if self.sd is None:
            return Estimate(value, None)
        return Estimate(value, quantile(self.freedom, choices) * self.sd * math.sqrt(variance))

    def seeds_needed(self, difference: float, others: int = 1, choices: int = 1) -> int | None:
        """Seeds under which the interval of such a difference would exclude 0; None for more than MOST_SEEDS.

        The difference is that of a network to the mean of so many `others`.
        """
        if self.sd is None:
            return None
        seeds = np.arange(2, MOST_SEEDS + 1)
        t = _quantiles((seeds - 1) * (len(self.keys) - 1), choices)
        enough = np.flatnonzero(t * self.sd * np.sqrt((1 + 1 / others) / seeds) < abs(difference))
        return int(seeds[enough[0]]) if len(enough) else None

    def _effects(self, networks: Mapping[str, float], seeds: Mapping[int, float]) -> Array:
        weights = [networks.get(key, 0.0) for key in self.keys]
        return np.array(weights + [seeds.get(seed, 0.0) for seed in self.seeds])

    def _combine(self, weights: Array) -> tuple[float, float] | None:
        """A combination of effects and its variance in units of the noise's, or None where it is not determined."""
        if np.abs(self._information @ self._inverse @ weights - weights).max() > EXACT:
            return None
        return float(weights @ self._fitted), max(0.0, float(weights @ self._inverse @ weights))

    def _within(self) -> tuple[float, float]:
        """The variance between the seeds of a network, pooled over all, and its degrees of freedom (0: unknown).

        It is the sum of that between seeds that all networks share and of the noise, whose degrees of freedom differ
        (Satterthwaite's approximation).
        """
        squares = sum((value - mean(own.values())) ** 2 for own in self.accuracies.values() for value in own.values())
        count = sum(map(len, self.accuracies.values())) - len(self.keys)
        if not count:
            return 0.0, 0.0
        variance = squares / count
        noise = 0.0 if self.sd is None else (1 - 1 / len(self.keys)) * self.sd**2
        shared = max(0.0, variance - noise)
        spread = shared**2 / (len(self.seeds) - 1) + (noise**2 / self.freedom if self.freedom else 0.0)
        return variance, (shared + noise) ** 2 / spread if spread else float(count)

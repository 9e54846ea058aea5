"""What the auto sampler knows of a study: a Gaussian process that keeps in step with its trials."""

import itertools
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from optuna.study import Study
from optuna.trial import FrozenTrial
from scipy.special import ndtr

from effsearch.engine.gaussian_process import Array, Conditioned, Encoding, Points, fit, unknown
from effsearch.engine.space_sampler import WHOLE, Feasible, Known, Searchable, goodness
from effsearch.space import Value, Values

MOST = 400
"""Trials that the process is conditioned on, and those that came since it was fitted."""

MOST_FITTED = 160
"""Trials that its parameters are fitted to."""

GROWTH = 50
"""Trials after which it is fitted anew, at the latest."""

MOST_RUNNING = 32
"""Running trials that are taken into account."""

DRAWN, PARENTS, MUTANTS, ROUNDS, KEPT, NEAR = 40, 5, 12, 2, 3, 30
"""Candidates of a large space: random networks, and mutants of the best trials; in each round, of what is expected to
improve the most the best few are kept, with mutants of theirs."""

SHORTLIST = 30
"""Of a space that is looked at as a whole, the networks that are proposed in turn until one may be trained."""

LEAST_COST = 1e-12
"""The least cost whose logarithm is taken, in FLOPs, parameters or seconds."""

LOWEST = -2.5
"""Accuracies so many deviations below the median tell that a network is bad, and not how bad."""


def fitted_at(count: int, first: int) -> int:
    """Of so many finished trials, how many the process is fitted to: it is fitted anew as they grow by an eighth."""
    at = first
    while (following := at + min(GROWTH, max(2, at // 8))) <= count:
        at = following
    return at


@dataclass(frozen=True)
class Scale:
    """By which something is standardised."""

    mean: float = 0.0
    deviation: float = 1.0

    @classmethod
    def of(cls, values: Array, least: float) -> "Scale":
        return cls(float(values.mean()), max(float(values.std()), least))

    def __call__(self, values: Array) -> Array:
        found: Array = (values - self.mean) / self.deviation
        return found


@dataclass(frozen=True)
class Candidates:
    """Networks that may be proposed: values, keys, encoded; the reward is `slope` x accuracy + `offset`."""

    values: Sequence[Values]
    keys: Sequence[str]
    points: Points
    slope: Array
    offset: Array

    def __len__(self) -> int:
        return len(self.values)


@dataclass
class Surrogate:
    """The process over the accuracies of a study's trials, and which networks it would train next.

    It is a function of the finished trials in the order in which they finished, however often it was asked before.
    """

    space: Searchable
    feasible: Feasible
    known: Known | None
    startup: int
    accuracies: list[float] = field(default_factory=list)
    rewards: list[float] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    seen: list[Values] = field(default_factory=list)
    fitted: int = 0
    chosen: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.encoding = Encoding(self.space.decisions)
        self.points = unknown(np.zeros((0, self.encoding.starts[-1])))
        self.size, self.expected = self._scales()
        self.whole = self._whole()
        self.place = {} if self.whole is None else {key: index for index, key in enumerate(self.whole.keys)}

    def _scales(self) -> tuple[Scale, Scale]:
        """Of the logarithm of the cost and of the predictions of the prior, by random networks."""
        if self.known is None:
            return Scale(), Scale()
        rng = random.Random(0)
        networks = [self.space.decode(self.space.sample(rng)) for _ in range(200)]
        logs = np.log(np.maximum([self.known.cost(network) for network in networks], LEAST_COST))
        told = np.array([] if self.known.prior is None else [self.known.prior(network) for network in networks])
        return Scale.of(logs, 1e-3), Scale.of(told, 1e-9) if len(told) else Scale()

    def _whole(self) -> Candidates | None:
        if self.space.size > WHOLE:
            return None
        values = list(itertools.islice(self.space.walk(), WHOLE + 1))
        if len(values) > WHOLE:
            return None
        found = self.gather(values, set())
        return replace(found, points=found.points.single())

    def gather(self, values: Iterable[Values], taken: set[str]) -> Candidates:
        """Those of the values that give a feasible network which is not taken, each network once."""
        found: dict[str, tuple[Values, Any]] = {}
        drawn = list(values)
        for point, network in zip(drawn, self.space.decode_all(drawn), strict=True):
            if network is None:
                continue
            key = network.key
            if key not in taken and key not in found and self.feasible(network):
                found[key] = point, network
        points, costs = [point for point, _ in found.values()], self._costs([network for _, network in found.values()])
        slopes, offsets = self._weights(costs)
        encoded = self._points(points, [network for _, network in found.values()], costs)
        return Candidates(points, list(found), encoded, slopes, offsets)

    def _costs(self, networks: Sequence[Any]) -> Array:
        known = self.known
        return np.ones(len(networks)) if known is None else np.array([known.cost(network) for network in networks])

    def _points(self, values: Sequence[Mapping[str, Value]], networks: Sequence[Any], costs: Array) -> Points:
        codes, known = self.encoding.encode(values), self.known
        if known is None or not len(values):
            return unknown(codes)
        size, told = self.size(np.log(np.maximum(costs, LEAST_COST))), np.zeros(len(values))
        if known.prior is not None:
            told = self.expected(np.array([known.prior(network) for network in networks]))
        return Points(codes, size, told)

    def _weights(self, costs: Array) -> tuple[Array, Array]:
        if self.known is None or not len(costs):
            return np.ones(len(costs)), np.zeros(len(costs))
        slopes, offsets = zip(*map(self.known.reward.weights, costs.tolist()), strict=True)
        return np.array(slopes), np.array(offsets)

    def follows(self, done: Sequence[FrozenTrial]) -> bool:
        """Whether the trials that it has seen are the first of these, as they are unless clocks disagree."""
        return self.numbers == [trial.number for trial in done[: len(self.numbers)]]

    def learn(self, study: Study, done: Sequence[FrozenTrial], pending: Sequence[FrozenTrial]) -> None:
        """Takes in the trials that have finished, and those that run."""
        self._observe(study, done[len(self.seen) :])
        at = fitted_at(len(done), self.startup)
        if at != self.fitted:
            self._fit(at)
        self.process.forget()
        for index in range(self.fitted + len(self.chosen) - self.base, len(done)):
            self.chosen.append(index)
            self.process.add(self.points.at([index]))
        running = [self._read(trial) for trial in pending[:MOST_RUNNING]]
        networks = [network for _, network in running]
        points = self._points([values for values, _ in running], networks, self._costs(networks))
        self.process.imagine([points.at([index]) for index in range(len(running))])

    def _read(self, trial: FrozenTrial) -> tuple[Values, Any]:
        """The values of a trial and its network."""
        values: Values = {decision.name: trial.params[decision.name] for decision in self.space.decisions}
        return values, self.space.decode(values)

    def _observe(self, study: Study, trials: Sequence[FrozenTrial]) -> None:
        if not trials:
            return
        read = [self._read(trial) for trial in trials]
        values, networks = [values for values, _ in read], [network for _, network in read]
        measured_cost = None if self.known is None else self.known.measured_cost
        costs = self._costs(networks)
        slopes, offsets = self._weights(
            costs if measured_cost is None else np.array(list(map(measured_cost, networks)))
        )
        rewards = np.array([goodness(study, trial) for trial in trials])
        self.points = self.points.with_more(self._points(values, networks, costs))
        self.numbers += [trial.number for trial in trials]
        self.seen += values
        self.rewards += rewards.tolist()
        self.accuracies += ((rewards - offsets) / slopes).tolist()

    def _fit(self, count: int) -> None:
        """Fits the process to the first `count` trials, or to the best and a sample of the others."""
        self.chosen = self._sample(count, MOST)
        rows = self._sample(count, MOST_FITTED)
        values, _, _ = self._standardised(rows)
        kernel = fit(self.encoding, self.points.at(rows), values)
        whole = None if self.whole is None else self.whole.points
        self.process = Conditioned(kernel, self.points.at(self.chosen), whole, GROWTH + MOST_RUNNING)
        self.fitted, self.base = count, len(self.chosen)

    def _sample(self, count: int, most: int) -> list[int]:
        if count <= most:
            return list(range(count))
        order = np.argsort(-np.array(self.rewards[:count]), kind="stable")
        others = np.random.default_rng(count).permutation(order[most // 2 :])[: most - most // 2]
        return sorted([*order[: most // 2].tolist(), *others.tolist()])

    def _standardised(self, rows: Sequence[int]) -> tuple[Array, float, float]:
        """Accuracies with median 0 and a deviation of about 1, the worst drawn in; then that median and deviation."""
        values = np.array(self.accuracies)[rows]
        low, middle, high = np.quantile(values, [0.25, 0.5, 0.75])
        spread = max(float(np.maximum(values, low - 1.5 * (high - low)).std()), 1e-9)
        found = (values - middle) / spread
        below = np.maximum(LOWEST - found, 0)
        return np.where(below > 0, LOWEST - np.log1p(below), found), float(middle), spread

    @property
    def has_prior(self) -> bool:
        return self.known is not None and self.known.prior is not None

    def promised(self, candidates: Candidates) -> Array:
        """The reward of each if the prior were right."""
        accuracy = candidates.points.expected * self.expected.deviation + self.expected.mean
        return candidates.slope * accuracy + candidates.offset

    def acquisition(self, candidates: Candidates) -> Array:
        """The logarithm of the improvement of the reward that each may be expected to bring."""
        values, middle, spread = self._standardised(self.chosen)
        mean, variance = self.process.beliefs(values, None if candidates is self.whole else candidates.points)
        # Noise is taken as a network's own: what is trained is compared by what it reached.
        deviation = np.sqrt(np.maximum(variance, 1e-9) + self.process.kernel.noise)
        slope = candidates.slope * spread
        expected = mean * slope + candidates.slope * middle + candidates.offset
        return log_improvement(expected, deviation * slope, max(self.rewards))

    def propose(self, taken: set[str], rng: random.Random) -> Iterator[Values]:
        """What it would train, best first."""
        if self.whole is not None:
            free = np.ones(len(self.whole), bool)
            free[[self.place[key] for key in taken if key in self.place]] = False
            if free.any():
                scores = np.where(free, self.acquisition(self.whole), -np.inf)
                # More than one, since the first may turn out to be outside the limits when it is measured.
                order = np.argsort(-scores, kind="stable")[: min(SHORTLIST, int(free.sum()))]
                yield from (self.whole.values[int(index)] for index in order)
            return
        pool = self.gather(self._drawn(rng), taken)
        best: list[Values] = []
        for following in range(ROUNDS + 1):
            if following:
                pool = self.gather(itertools.chain(best, *(self._mutants(point, NEAR, rng) for point in best)), taken)
            if not len(pool):
                return
            order = np.argsort(-self.acquisition(pool), kind="stable")
            best = [pool.values[index] for index in order[:KEPT]]
        yield from best

    def _drawn(self, rng: random.Random) -> Iterator[Values]:
        """Random networks, and mutants of the best."""
        for _ in range(DRAWN):
            yield self.space.sample(rng)
        for index in np.argsort(-np.array(self.rewards), kind="stable")[:PARENTS].tolist():
            yield from self._mutants(self.seen[index], MUTANTS, rng)

    def _mutants(self, point: Values, count: int, rng: random.Random) -> Iterator[Values]:
        """Mostly of one decision, some of two or three."""
        return (self.space.mutate(point, (1, 1, 1, 2, 1, 3)[index % 6], rng) for index in range(count))


def log_improvement(mean: Array, deviation: Array, best: float) -> Array:
    """The logarithm of the expected improvement of a normal variable over `best`, also where that is tiny."""
    lead = (mean - best) / deviation
    near = np.maximum(lead, -5)
    direct = np.log(np.exp(-0.5 * near**2) / np.sqrt(2 * np.pi) + near * ndtr(near))
    # Far below, phi(u) + u Phi(u) tends to phi(u) / u^2.
    far = -0.5 * lead**2 - 0.5 * np.log(2 * np.pi) - 2 * np.log(np.maximum(-lead, 1))
    found: Array = np.where(lead > -5, direct, far) + np.log(deviation)
    return found

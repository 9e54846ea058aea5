"""The default sampler: Bayesian optimisation of the reward, with a Gaussian process of accuracy and exact FLOPs."""

import itertools
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState
from scipy.special import ndtr

from effsearch.engine.evolution import EvolutionSampler
from effsearch.engine.gaussian_process import Array, Encoding, GrowingPosterior, Points, fit
from effsearch.engine.space_sampler import ENUMERABLE, SamplerContext, goodness
from effsearch.space import Values

STARTS = 64  # random networks of which one is chosen during startup
CONDITIONED = 400  # trials that the process is conditioned on at most, besides those that came since it was fitted
FITTED = 160  # trials that its hyperparameters are fitted to at most
GROWTH = 50  # new trials after which it is fitted again at the latest
MOST_RUNNING = 32  # running trials that are taken into account at most

DRAWN, PARENTS, MUTANTS, ROUNDS, KEPT, NEAR = 40, 5, 12, 2, 3, 30
"""Candidates of a large space: DRAWN random networks and MUTANTS of each of the PARENTS best trials. In each of ROUNDS
the KEPT candidates of the highest acquisition are kept, with NEAR mutants of each."""

SHORTLIST = 30  # networks of an enumerated space, proposed in turn until one is measured to be within the limits
LEAST_COST = 1e-12  # the least cost whose logarithm is taken, in FLOPs, parameters or seconds
LOWEST = -2.5  # accuracies below this many standard deviations from the median are drawn in towards it, by a logarithm


def fitted_at(count: int, first: int) -> int:
    """How many of `count` finished trials the process is fitted to: it is fitted again when they grow by an eighth."""
    at = first
    while (following := at + min(GROWTH, max(2, at // 8))) <= count:
        at = following
    return at


@dataclass(frozen=True)
class Standardiser:
    """Subtracts a mean and divides by a standard deviation."""

    mean: float
    deviation: float

    @classmethod
    def of(cls, values: Array, least: float) -> "Standardiser":
        return cls(float(values.mean()), max(float(values.std()), least))

    def __call__(self, values: Array) -> Array:
        return (values - self.mean) / self.deviation


class Features:
    """Networks as inputs of the process, and their rewards as linear functions of their accuracies."""

    def __init__(self, context: SamplerContext) -> None:
        self.space, self.objective = context.space, context.objective
        self.encoding = Encoding(self.space.decisions)
        rng = random.Random(0)
        networks = [self.space.decode(self.space.sample(rng)) for _ in range(200)]
        self.cost = Standardiser.of(_logs(self.costs(networks)), 1e-3)
        self.prior = Standardiser.of(self._predicted(networks), 1e-9)

    def costs(self, networks: Sequence[Any]) -> Array:
        return np.array([self.objective.cost(network) for network in networks])

    def _predicted(self, networks: Sequence[Any]) -> Array:
        prior = self.objective.prior
        return np.zeros(len(networks)) if prior is None else np.array(list(map(prior, networks)))

    def points(self, values: Sequence[Values], networks: Sequence[Any], costs: Array) -> Points:
        return Points(self.encoding.encode(values), self.cost(_logs(costs)), self.prior(self._predicted(networks)))

    def reward_weights(self, costs: Array) -> tuple[Array, Array]:
        """The slope and the offset of each network's reward as a function of its accuracy."""
        weights = np.array(list(map(self.objective.reward.weights, costs.tolist()))).reshape(-1, 2)
        return weights[:, 0], weights[:, 1]

    def measured_weights(self, networks: Sequence[Any], costs: Array) -> tuple[Array, Array]:
        """The same for trained networks, in whose rewards a cost was measured."""
        measured = self.objective.measured_cost
        return self.reward_weights(costs if measured is None else np.array(list(map(measured, networks))))


def _logs(costs: Array) -> Array:
    return np.log(np.maximum(costs, LEAST_COST))


@dataclass(frozen=True)
class Candidates:
    """Networks that may be proposed: values of decisions, keys and inputs; reward = `slope` x accuracy + `offset`."""

    values: Sequence[Values]
    keys: Sequence[str]
    points: Points
    slope: Array
    offset: Array

    def __len__(self) -> int:
        return len(self.values)


class Surrogate:
    """The process over the accuracies of a study's trials, and the networks of the highest expected improvement.

    Its state depends on the finished trials and their order alone, however often it was asked before.
    """

    def __init__(self, context: SamplerContext, startup: int) -> None:
        self.space, self.feasible = context.space, context.feasible
        self.startup, self.features = startup, Features(context)
        self.encoding = self.features.encoding
        self.accuracies: list[float] = []
        self.rewards: list[float] = []
        self.numbers: list[int] = []
        self.seen: list[Values] = []
        self.fitted, self.chosen = 0, list[int]()
        self.points = Points.of(np.zeros((0, self.encoding.starts[-1])))
        self.enumerated = self._enumerate()
        keys = () if self.enumerated is None else self.enumerated.keys
        self.place = {key: index for index, key in enumerate(keys)}

    def _enumerate(self) -> Candidates | None:
        """All networks of a space that is small enough."""
        if self.space.size > ENUMERABLE:
            return None
        values = list(itertools.islice(self.space.walk(), ENUMERABLE + 1))
        if len(values) > ENUMERABLE:
            return None
        found = self.gather(values, set())
        return replace(found, points=found.points.single())

    def gather(self, values: Iterable[Values], taken: set[str]) -> Candidates:
        """Those of the values that give a feasible network which is not taken, each network once."""
        found: dict[str, tuple[Values, Any]] = {}
        drawn = list(values)
        for point, network in zip(drawn, self.space.decode_all(drawn), strict=True):
            key = None if network is None else network.key
            if key is not None and key not in taken and key not in found and self.feasible(network):
                found[key] = point, network
        points, networks = [point for point, _ in found.values()], [network for _, network in found.values()]
        costs = self.features.costs(networks)
        inputs = self.features.points(points, networks, costs)
        return Candidates(points, list(found), inputs, *self.features.reward_weights(costs))

    def follows(self, done: Sequence[FrozenTrial]) -> bool:
        """Whether the trials learnt so far come first in `done`, as they do unless clocks disagree."""
        return self.numbers == [trial.number for trial in done[: len(self.numbers)]]

    def learn(self, study: Study, done: Sequence[FrozenTrial], running: Sequence[FrozenTrial]) -> None:
        """Conditions on all finished trials and on those that run."""
        if new := done[len(self.seen) :]:
            self._observe(study, new)
        if (at := fitted_at(len(done), self.startup)) != self.fitted:
            self._fit(at)
        self.process.drop_pending()
        for index in range(self.fitted + len(self.chosen) - self.base, len(done)):
            self.chosen.append(index)
            self.process.add(self.points.at([index]))
        values, networks = self._read(running[:MOST_RUNNING])
        points = self.features.points(values, networks, self.features.costs(networks))
        self.process.add_pending([points.at([index]) for index in range(len(values))])

    def _read(self, trials: Sequence[FrozenTrial]) -> tuple[list[Values], list[Any]]:
        values = [{decision.name: trial.params[decision.name] for decision in self.space.decisions} for trial in trials]
        return values, [self.space.decode(point) for point in values]

    def _observe(self, study: Study, trials: Sequence[FrozenTrial]) -> None:
        values, networks = self._read(trials)
        costs = self.features.costs(networks)
        slopes, offsets = self.features.measured_weights(networks, costs)
        rewards = np.array([goodness(study, trial) for trial in trials])
        new = self.features.points(values, networks, costs)
        self.points = Points(*map(np.concatenate, zip(self.points, new, strict=True)))
        self.numbers += [trial.number for trial in trials]
        self.seen += values
        self.rewards += rewards.tolist()
        self.accuracies += ((rewards - offsets) / slopes).tolist()

    def _fit(self, count: int) -> None:
        """Fits the process to the first `count` trials, or to a subset of them."""
        self.chosen = self._subset(count, CONDITIONED)
        rows = self._subset(count, FITTED)
        values, _, _ = self._standardised(rows)
        kernel = fit(self.encoding, self.points.at(rows), values)
        fixed = None if self.enumerated is None else self.enumerated.points
        self.process = GrowingPosterior(kernel, self.points.at(self.chosen), fixed, GROWTH + MOST_RUNNING)
        self.fitted, self.base = count, len(self.chosen)

    def _subset(self, count: int, most: int) -> list[int]:
        """The first `count` trials, or of more than `most` the best half, and a random half of the others."""
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

    def prior_reward(self, candidates: Candidates) -> Array:
        """The reward of each candidate if the prior were right."""
        scale = self.features.prior
        return candidates.slope * (candidates.points.prior * scale.deviation + scale.mean) + candidates.offset

    def acquisition(self, candidates: Candidates) -> Array:
        """The logarithm of the expected improvement of the reward."""
        values, middle, spread = self._standardised(self.chosen)
        mean, variance = self.process.predict(values, None if candidates is self.enumerated else candidates.points)
        # Noise is taken as a network's own: what is trained is compared by what it reached.
        deviation = np.sqrt(np.maximum(variance, 1e-9) + self.process.kernel.parameters.noise)
        slope = candidates.slope * spread
        expected = mean * slope + candidates.slope * middle + candidates.offset
        return log_expected_improvement(expected, deviation * slope, max(self.rewards))

    def propose(self, taken: set[str], rng: random.Random) -> Iterator[Values]:
        """The values of networks, by falling acquisition."""
        if self.enumerated is None:
            yield from self._search(taken, rng)
            return
        free = np.ones(len(self.enumerated), bool)
        free[[self.place[key] for key in taken if key in self.place]] = False
        if free.any():
            scores = np.where(free, self.acquisition(self.enumerated), -np.inf)
            # More than one, since the first may turn out to be outside the limits when it is measured.
            order = np.argsort(-scores, kind="stable")[: min(SHORTLIST, int(free.sum()))]
            yield from (self.enumerated.values[int(index)] for index in order)

    def _search(self, taken: set[str], rng: random.Random) -> Iterator[Values]:
        """Maximises the acquisition over a large space by a few rounds of mutation."""
        pool, best = self.gather(self._drawn(rng), taken), list[Values]()
        for following in range(ROUNDS + 1):
            if following:
                pool = self.gather(itertools.chain(best, *(self._mutants(point, NEAR, rng) for point in best)), taken)
            if not len(pool):
                return
            order = np.argsort(-self.acquisition(pool), kind="stable")
            best = [pool.values[index] for index in order[:KEPT]]
        yield from best

    def _drawn(self, rng: random.Random) -> Iterator[Values]:
        for _ in range(DRAWN):
            yield self.space.sample(rng)
        for index in np.argsort(-np.array(self.rewards), kind="stable")[:PARENTS].tolist():
            yield from self._mutants(self.seen[index], MUTANTS, rng)

    def _mutants(self, point: Values, count: int, rng: random.Random) -> Iterator[Values]:
        """Mostly of one decision, some of two or three."""
        return (self.space.mutate(point, (1, 1, 1, 2, 1, 3)[index % 6], rng) for index in range(count))


def log_expected_improvement(mean: Array, deviation: Array, best: float) -> Array:
    """The logarithm of the expected improvement of a normal variable over `best`, also where that is tiny."""
    z = (mean - best) / deviation
    near = np.maximum(z, -5)
    direct = np.log(np.exp(-0.5 * near**2) / np.sqrt(2 * np.pi) + near * ndtr(near))
    # Far below, phi(z) + z Phi(z) tends to phi(z) / z^2.
    far = -0.5 * z**2 - 0.5 * np.log(2 * np.pi) - 2 * np.log(np.maximum(-z, 1))
    return np.asarray(np.where(z > -5, direct, far) + np.log(deviation))


class AutoSampler(EvolutionSampler):
    """Expected improvement of the reward under a Gaussian process of accuracy (1807.02811 reviews the method).

    The first `startup` networks cover the choices of all decisions evenly; with a prior, every other one is the best
    by the prior, which is the mean function of the process (see `Kernel`). A running trial counts with its posterior
    mean, so that several workers do not crowd. One in `moves` proposals is a step of evolution, so that a model that
    is wrong cannot hold the search. Without an objective the process learns the value of the trials.
    """

    startup, moves = 4, 20

    def candidates(self, study: Study, trial: FrozenTrial, trials: Sequence[FrozenTrial]) -> Iterator[Values]:
        if not self.space.decisions:
            return
        done = [other for other in self.memory.finished(trials) if np.isfinite(goodness(study, other))]
        surrogate: Surrogate | None = self.memory.notes.get("auto")
        if surrogate is None or not surrogate.follows(done):
            surrogate = self.memory.notes["auto"] = Surrogate(self.context, self.startup)
        if len(done) < self.startup:
            yield from self._start(surrogate, trials, self.taken(trials, trial.number))
            return
        if self.rng.random() >= 1 / self.moves:
            running = [other for other in trials if other.state == TrialState.RUNNING and self.has_all(other)]
            try:
                surrogate.learn(study, done, running)
                yield from surrogate.propose(self.taken(trials, trial.number), self.rng)
            except (np.linalg.LinAlgError, ValueError):
                # Values that no process can be fitted to, such as some that are astronomically far apart.
                self.memory.notes.pop("auto")
        yield from super().candidates(study, trial, trials)

    def _start(self, surrogate: Surrogate, trials: Sequence[FrozenTrial], taken: set[str]) -> Iterator[Values]:
        """Of some random networks, the one whose choices were proposed the least, or in turn the best by the prior."""
        # By their keys, since a trial that was interrupted stands there twice.
        had = {self.memory.keys[trial.number]: trial.params for trial in trials if trial.number in self.memory.keys}
        counts = surrogate.encoding.encode(list(had.values())).sum(0)
        drawn = surrogate.gather((self.space.sample(self.rng) for _ in range(STARTS)), taken)
        # Not every time, since networks that are all expected to be good tell little of whether that is so.
        if len(drawn) and self.context.objective.prior is not None and len(had) % 2 == 0:
            yield drawn.values[int(np.argmax(surrogate.prior_reward(drawn)))]
        elif len(drawn):
            yield drawn.values[int(np.argmin(drawn.points.codes @ counts))]

"""What all trainings of a search say together of each network: its expected accuracy, and whether it is the best.

The largest of many noisy measurements owes some of its lead to luck. One Gaussian process over the decisions takes
every training as the accuracy of its network with the noise of a seed, so that a network is judged by its own
trainings and by those of networks like it.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from effsearch.engine.auto import Features
from effsearch.engine.gaussian_process import JITTER, Array, Encoding, Points, fit
from effsearch.engine.space_sampler import SamplerContext
from effsearch.reward import Reward
from effsearch.runs.ranking import PRIOR_FREEDOM, PRIOR_SD, Judged
from effsearch.runs.records import Candidate, Record
from effsearch.space import Values

FITTED = 160  # trainings that the hyperparameters are fitted to at most
CONDITIONED = 400  # networks that are judged at most, the best among them
DRAWS = 4000  # samples of the posterior that probabilities are counted in
FEW = 5  # networks up to which the decisions tell nothing
DECIDED = 0.9  # probability of being the best from which no further training is needed
REFITTED = 12  # first further trainings after each of which the hyperparameters are fitted again, and then every fourth


@dataclass(frozen=True)
class Trained:
    """The networks of a search, with the accuracies (fractions) that each reached, one for each seed.

    A network's reward is `slope` x accuracy + `offset`.
    """

    points: Points
    accuracies: tuple[tuple[float, ...], ...]
    slope: Array
    offset: Array

    def __len__(self) -> int:
        return len(self.accuracies)

    def adding(self, row: int, accuracy: float) -> "Trained":
        """The same with one more training of a network."""
        changed = [*self.accuracies]
        changed[row] = (*changed[row], accuracy)
        return replace(self, accuracies=tuple(changed))

    def at(self, rows: Sequence[int]) -> "Trained":
        kept = tuple(self.accuracies[row] for row in rows)
        return Trained(self.points.at(rows), kept, self.slope[list(rows)], self.offset[list(rows)])

    @cached_property
    def means(self) -> Array:
        return np.array([sum(values) / len(values) for values in self.accuracies])

    @cached_property
    def counts(self) -> Array:
        return np.array([len(values) for values in self.accuracies], np.float64)


def judged_rows(rewards: Array) -> list[int]:
    """The rows of all networks, or of more than CONDITIONED the best half of so many and others at random."""
    count = len(rewards)
    if count <= CONDITIONED:
        return list(range(count))
    order = np.argsort(-rewards, kind="stable")
    best, others = order[: CONDITIONED // 2], order[CONDITIONED // 2 :]
    drawn = np.random.default_rng(count).permutation(others)[: CONDITIONED - len(best)]
    return sorted([*best.tolist(), *drawn.tolist()])


def gather(
    context: SamplerContext, values: Sequence[Values], networks: Sequence[Any], accuracies: Sequence[Sequence[float]]
) -> Trained:
    """Networks of a space, by the values of its decisions, with what they reached."""
    features = Features(context)
    costs = features.costs(networks)
    weights = features.measured_weights(networks, costs)
    return Trained(features.points(values, networks, costs), tuple(map(tuple, accuracies)), *weights)


@dataclass(frozen=True)
class Posterior:
    """The joint posterior of the accuracies of networks: means (N,) and covariance (N, N)."""

    accuracy: Array
    covariance: Array
    slope: Array
    offset: Array

    @property
    def reward(self) -> Array:
        """The expected reward of each network."""
        return self.slope * self.accuracy + self.offset

    @cached_property
    def probability_best(self) -> Array:
        """For each network, the probability that its reward is the highest of all."""
        values, vectors = np.linalg.eigh(self.covariance)
        root = vectors * np.sqrt(np.maximum(values, 0))
        drawn = root @ np.random.default_rng(0).standard_normal((len(values), DRAWS))
        winners = (self.reward[:, None] + self.slope[:, None] * drawn).argmax(0)
        return np.bincount(winners, minlength=len(values)) / DRAWS

    def next_row(self) -> int:
        """The network whose further training changes the decision most.

        It is the leader, or its rival where that is less certain: the one that most probably beats the leader
        (top-two sampling, 1602.08448).
        """
        covariance = self.covariance * np.outer(self.slope, self.slope)
        leader, variance = int(self.reward.argmax()), np.diag(covariance)
        apart = np.sqrt(np.maximum(variance + variance[leader] - 2 * covariance[leader], 1e-18))
        odds = (self.reward - self.reward[leader]) / apart
        odds[leader] = -np.inf
        rival = int(odds.argmax())
        return leader if variance[leader] >= variance[rival] else rival


@dataclass(frozen=True)
class Prior:
    """Before training: means (N,) and covariance (N, N) of the accuracies of networks, and the variance of seeds."""

    mean: Array
    covariance: Array
    noise: float

    @classmethod
    def of(cls, encoding: Encoding, trained: Trained) -> "Prior":
        """With hyperparameters fitted to trainings; without the decisions where they tell nothing."""
        if len(trained) <= FEW or not encoding.decisions:
            return cls._without_decisions(trained)
        try:
            return cls._fitted(encoding, trained)
        except (np.linalg.LinAlgError, ValueError):  # Accuracies to which no process can be fitted.
            return cls._without_decisions(trained)

    @classmethod
    def _fitted(cls, encoding: Encoding, trained: Trained) -> "Prior":
        middle, spread = float(np.median(trained.means)), max(float(trained.means.std()), 1e-6)
        rows = np.repeat(np.arange(len(trained)), trained.counts.astype(np.int64))
        flat = np.concatenate([np.array(values) for values in trained.accuracies])
        chosen = np.sort(np.random.default_rng(len(rows)).permutation(len(rows))[:FITTED])
        kernel = fit(encoding, trained.points.at(rows[chosen]), (flat[chosen] - middle) / spread)
        covariance = kernel.covariance(trained.points, trained.points) * spread**2
        return cls(kernel.mean(trained.points) * spread + middle, covariance, kernel.parameters.noise * spread**2)

    @classmethod
    def _without_decisions(cls, trained: Trained) -> "Prior":
        """Normal about a common mean, which is hardly known, by the variances between and within networks."""
        within = sum(float(np.square(np.array(values) - np.mean(values)).sum()) for values in trained.accuracies)
        freedom = float((trained.counts - 1).sum())
        noise = (within + PRIOR_FREEDOM * PRIOR_SD**2) / (freedom + PRIOR_FREEDOM)
        total = float(trained.means.var(ddof=1)) if len(trained) > 1 else noise
        between = max(total - noise * float((1 / trained.counts).mean()), 0.1 * noise)
        covariance = between * np.eye(len(trained)) + 100 * (between + noise)
        return cls(np.full(len(trained), float(trained.means.mean())), covariance, noise)

    def given(self, trained: Trained) -> Posterior:
        """The posterior after the trainings."""
        noisy = self.covariance + np.diag(self.noise * (1 / trained.counts + JITTER))
        gain = cho_solve(cho_factor(noisy, lower=True), self.covariance)
        mean = self.mean + gain.T @ (trained.means - self.mean)
        covariance = self.covariance - self.covariance @ gain
        return Posterior(mean, (covariance + covariance.T) / 2, trained.slope, trained.offset)


NO_DECISIONS = Encoding(())


@dataclass(frozen=True)
class Judgement:
    """The posterior of the longest trained networks of a search, which have `keys` in the order of its rows."""

    keys: Sequence[str]
    trained: Trained
    prior: Prior

    @cached_property
    def posterior(self) -> Posterior:
        return self.prior.given(self.trained)

    @property
    def by_key(self) -> dict[str, Judged]:
        found = self.posterior
        rows = zip(found.accuracy.tolist(), found.reward.tolist(), found.probability_best.tolist(), strict=True)
        return {key: Judged(*row) for key, row in zip(self.keys, rows, strict=True)}

    def next_key(self, running: Mapping[str, int], seeds: int) -> str | None:
        """Whose further training tells most, or None once the leader is the best by DECIDED, under `seeds` seeds.

        A training that is `running` (how many by key) counts as if it would reach what is expected of its network.
        """
        found = self.posterior
        leader = int(found.reward.argmax())
        short = len(self.trained.accuracies[leader]) + running.get(self.keys[leader], 0) < seeds
        if found.probability_best[leader] >= DECIDED:
            return self.keys[leader] if short else None
        trained = self.trained
        for row, key in enumerate(self.keys):
            for _ in range(running.get(key, 0)):
                trained = trained.adding(row, float(found.accuracy[row]))
        return self.keys[self.prior.given(trained).next_row()]


def judge(
    records: Iterable[Record],
    score: Reward,
    encoding: Encoding = NO_DECISIONS,
    points: Callable[[Sequence[Candidate]], Points] | None = None,
) -> Judgement | None:
    """What the trainings of a search say of its longest trained networks, of which `points` gives the inputs.

    None where nothing was trained.
    """
    reached = [record for record in records if record.accuracy is not None]
    longest = max((record.epochs or 0 for record in reached), default=0)
    groups: dict[str, list[Record]] = {}
    for record in reached:
        if (record.epochs or 0) == longest:
            groups.setdefault(record.candidate.key, []).append(record)
    if not groups:
        return None
    accuracies = [tuple(record.accuracy or 0.0 for record in group) for group in groups.values()]
    candidates = [group[0].candidate for group in groups.values()]
    weights = np.array([score.weights(score.cost(candidate)) for candidate in candidates])
    means = np.array([sum(values) / len(values) for values in accuracies])
    rows = judged_rows(weights[:, 0] * means + weights[:, 1])
    # Only these are read from their notations, which takes longest in a long search.
    chosen, weights = [candidates[row] for row in rows], weights[rows]
    inputs = Points.of(np.zeros((len(rows), 0))) if points is None else points(chosen)
    trained = Trained(inputs, tuple(accuracies[row] for row in rows), weights[:, 0], weights[:, 1])
    return Judgement([candidate.key for candidate in chosen], trained, Prior.of(encoding, trained))


def name_best(context: SamplerContext, trained: Trained, further: int, train: Callable[[int], float]) -> int:
    """The row of the network with the highest expected reward, after `further` trainings where they tell most.

    `train` trains the network of a row under another seed, and returns its accuracy.
    """
    encoding = Encoding(context.space.decisions)
    rows = judged_rows(trained.slope * trained.means + trained.offset)
    judged = trained.at(rows)
    prior = Prior.of(encoding, judged)
    for count in range(further):
        row = prior.given(judged).next_row()
        judged = judged.adding(row, train(rows[row]))
        if count < REFITTED or count % 4 == 0:
            prior = Prior.of(encoding, judged)
    return rows[int(prior.given(judged).reward.argmax())]

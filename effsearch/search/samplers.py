"""Samplers of architectures, as Optuna samplers that anyone can use in a study of their own.

Each proposes only architectures that are feasible and that no trial of the study has had, whatever its state.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from effsearch.architecture import Architecture
from effsearch.errors import SpaceError, listed
from effsearch.space import Space, Values

TRIES = 20_000
"""Proposals in a row that may be infeasible or known before a sampler turns to random ones, and then gives up."""

Feasible = Callable[[Architecture], bool]


class SpaceExhausted(SpaceError):
    """No feasible architecture that is new was found."""


def distributions(space: Space) -> dict[str, BaseDistribution]:
    """The decisions of a space as Optuna's distributions."""
    return {decision.name: CategoricalDistribution(decision.choices) for decision in space.decisions}


class SpaceSampler(BaseSampler):
    """Random proposals; others inherit and say what they would rather propose in `candidates`.

    `feasible` is asked of every proposal before it becomes a trial. `seed` gives the same proposals for the same
    trials. `keys` may be shared by the samplers of one study, to decode each of its trials only once.
    Raises SpaceExhausted when nothing feasible and new is left or can be found.
    """

    def __init__(
        self,
        space: Space,
        feasible: Feasible = lambda architecture: True,
        seed: int | None = None,
        keys: dict[int, str] | None = None,
    ) -> None:
        self.space = space
        self.feasible = feasible
        self.rng = random.Random(seed)
        self.keys = {} if keys is None else keys
        self.distributions = distributions(space)

    def candidates(self, study: Study, trial: FrozenTrial, trials: Sequence[FrozenTrial]) -> Iterator[Values]:
        """What this sampler proposes, best first, given the study's other trials."""
        return iter(())

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return self.distributions

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        if "fixed_params" in trial.system_attrs:  # Enqueued by hand: Optuna would throw our proposal away.
            return {}
        trials = [other for other in study.get_trials(deepcopy=False) if other.number != trial.number]
        known = self._known(trials)
        for source in (self.candidates(study, trial, trials), self._random()):
            for _, values in zip(range(TRIES), source, strict=False):
                architecture = self.space.decode(values)
                if architecture.key not in known and self.feasible(architecture):
                    return values
        for values in self._walk(trials):
            architecture = self.space.decode(values)
            if architecture.key not in known and self.feasible(architecture):
                return values
        raise SpaceExhausted(
            f"space {self.space.name}: {TRIES:,} proposals in a row were outside the limits or already tried, "
            f"after {len(trials)} trials"
        )

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        assert isinstance(param_distribution, CategoricalDistribution)
        return self.rng.choice(param_distribution.choices)

    def _known(self, trials: Sequence[FrozenTrial]) -> set[str]:
        names = self.distributions.keys()
        for trial in trials:
            if trial.number not in self.keys and trial.params.keys() >= names:
                self.keys[trial.number] = self.space.decode(trial.params).key
        waiting = (trial.system_attrs.get("fixed_params", {}) for trial in trials if trial.state == TrialState.WAITING)
        queued = {self.space.decode(params).key for params in waiting if params.keys() >= names}
        return queued | {self.keys[trial.number] for trial in trials if trial.number in self.keys}

    def _random(self) -> Iterator[Values]:
        while True:
            yield self.space.sample(self.rng)

    def _walk(self, trials: Sequence[FrozenTrial]) -> Iterator[Values]:
        """The neighbours of everything tried: what random proposals miss in a space that is nearly used up."""
        names = self.distributions.keys()
        for trial in trials:
            if trial.params.keys() >= names:
                yield from self.space.neighbours(trial.params)


class EvolutionSampler(SpaceSampler):
    """Regularized evolution (1802.01548) without repeats.

    The youngest `population` finished trials are alive; the best of `sample` of them drawn at random is mutated in
    one decision, in more if all such mutants are known or infeasible. The first `startup` trials are random.
    """

    def __init__(
        self,
        space: Space,
        feasible: Feasible = lambda architecture: True,
        seed: int | None = None,
        keys: dict[int, str] | None = None,
        *,
        population: int = 24,
        sample: int = 6,
        startup: int = 8,
    ) -> None:
        super().__init__(space, feasible, seed, keys)
        self.population, self.sample, self.startup = population, sample, startup

    def candidates(self, study: Study, trial: FrozenTrial, trials: Sequence[FrozenTrial]) -> Iterator[Values]:
        finished = [other for other in trials if other.state == TrialState.COMPLETE]
        if len(finished) < self.startup or not self.space.decisions:
            return
        alive = sorted(finished, key=lambda other: (other.datetime_complete, other.number))[-self.population :]
        sign = 1 if study.direction == optuna.study.StudyDirection.MAXIMIZE else -1
        for attempt in range(TRIES):
            tournament = self.rng.sample(alive, min(self.sample, len(alive)))
            parent = max(tournament, key=lambda other: (sign * (other.value or 0.0), -other.number))
            yield self._mutate(parent.params, changes=1 + attempt // 100)

    def _mutate(self, values: Values, changes: int) -> Values:
        child = dict(values)
        for decision in self.rng.sample(self.space.decisions, min(changes, len(self.space.decisions))):
            others = [choice for choice in decision.choices if choice != child[decision.name]]
            child[decision.name] = self.rng.choice(others)
        return child


class LibrarySampler(SpaceSampler):
    """One of Optuna's samplers, asked again while its proposals are known or infeasible, then moved to a neighbour."""

    def __init__(
        self,
        inner: BaseSampler,
        space: Space,
        feasible: Feasible = lambda architecture: True,
        seed: int | None = None,
        keys: dict[int, str] | None = None,
        *,
        asks: int = 3,
    ) -> None:
        super().__init__(space, feasible, seed, keys)
        self.inner, self.asks = inner, asks

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        self.inner.before_trial(study, trial)

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> None:
        self.inner.after_trial(study, trial, state, values)

    def candidates(self, study: Study, trial: FrozenTrial, trials: Sequence[FrozenTrial]) -> Iterator[Values]:
        asked = []
        for _ in range(self.asks):
            values = self.inner.sample_relative(study, trial, self.distributions)
            if not values:  # Still in its random start.
                return
            asked.append({**self.space.sample(self.rng), **values})  # NSGA-II leaves out what it mutates.
            yield asked[-1]
        for values in asked:
            near = list(self.space.neighbours(values))
            self.rng.shuffle(near)
            yield from near


def _tpe(seed: int) -> BaseSampler:
    return optuna.samplers.TPESampler(multivariate=True, n_startup_trials=8, seed=seed)


def _nsga2(seed: int) -> BaseSampler:
    return optuna.samplers.NSGAIISampler(population_size=16, seed=seed)


def _gp(seed: int) -> BaseSampler:
    return optuna.samplers.GPSampler(n_startup_trials=8, seed=seed)


_OWN: dict[str, type[SpaceSampler]] = {"evolution": EvolutionSampler, "random": SpaceSampler}
_LIBRARY: dict[str, Callable[[int], BaseSampler]] = {"tpe": _tpe, "nsga2": _nsga2, "gp": _gp}

SAMPLERS = (*_OWN, *_LIBRARY)


def make_sampler(
    name: str, space: Space, feasible: Feasible, seed: int, keys: dict[int, str] | None = None
) -> SpaceSampler:
    """The sampler of that name, one of SAMPLERS; raises SpaceError for another."""
    if name in _OWN:
        return _OWN[name](space, feasible, seed, keys)
    if name in _LIBRARY:
        return LibrarySampler(_LIBRARY[name](seed), space, feasible, seed, keys)
    raise SpaceError(f"sampler must be one of {listed(SAMPLERS)}, got {name!r}")

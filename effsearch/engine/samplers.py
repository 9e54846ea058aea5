"""Samplers of networks by name, as Optuna samplers that anyone can use in a study of their own.

Each proposes only networks that are feasible and that no trial of the study has had, whatever its state.
"""

from collections.abc import Callable, Iterator, Sequence

import optuna
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from effsearch.engine.auto import AutoSampler
from effsearch.engine.evolution import EvolutionSampler, LocalSearchSampler
from effsearch.engine.reinforce import ReinforceSampler
from effsearch.engine.space_sampler import (
    TRIES,
    Feasible,
    Known,
    Memory,
    Searchable,
    SpaceExhausted,
    SpaceSampler,
    always,
    distributions,
)
from effsearch.errors import SpaceError, listed
from effsearch.space import Values


class LibrarySampler(SpaceSampler):
    """One of Optuna's samplers, asked again while its proposals are known or infeasible, then moved to a neighbour."""

    needs_trial = True

    def __init__(
        self,
        inner: BaseSampler,
        space: Searchable,
        feasible: Feasible = always,
        seed: int | None = None,
        memory: Memory | None = None,
        known: Known | None = None,
        *,
        asks: int = 3,
    ) -> None:
        super().__init__(space, feasible, seed, memory, known)
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


__all__ = [
    "DEFAULT",
    "LIBRARY",
    "OWN",
    "SAMPLERS",
    "TRIES",
    "AutoSampler",
    "EvolutionSampler",
    "Feasible",
    "Known",
    "LibrarySampler",
    "LocalSearchSampler",
    "Memory",
    "ReinforceSampler",
    "Searchable",
    "SpaceExhausted",
    "SpaceSampler",
    "always",
    "distributions",
    "make_sampler",
]


def _tpe(seed: int) -> BaseSampler:
    return optuna.samplers.TPESampler(multivariate=True, n_startup_trials=8, seed=seed)


def _nsga2(seed: int) -> BaseSampler:
    return optuna.samplers.NSGAIISampler(population_size=16, seed=seed)


def _gp(seed: int) -> BaseSampler:
    return optuna.samplers.GPSampler(n_startup_trials=8, seed=seed)


_OWN: dict[str, type[SpaceSampler]] = {
    "auto": AutoSampler,
    "evolution": EvolutionSampler,
    "local-search": LocalSearchSampler,
    "reinforce": ReinforceSampler,
    "random": SpaceSampler,
}
_LIBRARY: dict[str, Callable[[int], BaseSampler]] = {"tpe": _tpe, "nsga2": _nsga2, "gp": _gp}

DEFAULT = "auto"
OWN, LIBRARY = tuple(_OWN), tuple(_LIBRARY)
SAMPLERS = (*OWN, *LIBRARY)


def make_sampler(
    name: str,
    space: Searchable,
    feasible: Feasible,
    seed: int,
    memory: Memory | None = None,
    known: Known | None = None,
) -> SpaceSampler:
    """The sampler of that name, one of SAMPLERS; raises SpaceError for another."""
    if name in _OWN:
        return _OWN[name](space, feasible, seed, memory, known)
    if name in _LIBRARY:
        return LibrarySampler(_LIBRARY[name](seed), space, feasible, seed, memory, known)
    raise SpaceError(f"sampler must be one of {listed(SAMPLERS)}, got {name!r}")

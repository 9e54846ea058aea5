"""Samplers of networks by name, as Optuna samplers that anyone can use in a study of their own.

Each proposes only networks that are feasible and that no trial of the study has had, whatever its state.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

from optuna.samplers import BaseSampler, GPSampler, NSGAIISampler, TPESampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from effsearch.engine.auto import AutoSampler
from effsearch.engine.evolution import EvolutionSampler, LocalSearchSampler
from effsearch.engine.reinforce import ReinforceSampler
from effsearch.engine.space_sampler import SamplerContext, SpaceSampler
from effsearch.errors import SpaceError, listed
from effsearch.space import Values

ASKS = 3  # times that a sampler of Optuna's is asked while it proposes what is infeasible or was tried


class LibrarySampler(SpaceSampler):
    """A sampler of Optuna's: where its proposals are infeasible or were tried, their neighbours are proposed."""

    needs_trial = True

    def __init__(self, inner: BaseSampler, context: SamplerContext, seed: int | None = None) -> None:
        super().__init__(context, seed)
        self.inner = inner

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        self.inner.before_trial(study, trial)

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> None:
        self.inner.after_trial(study, trial, state, values)

    def candidates(self, study: Study, trial: FrozenTrial, trials: Sequence[FrozenTrial]) -> Iterator[Values]:
        asked = []
        for _ in range(ASKS):
            values = self.inner.sample_relative(study, trial, self.distributions)
            if not values:  # Still in its random start.
                return
            asked.append({**self.space.sample(self.rng), **values})  # NSGA-II leaves out what it mutates.
            yield asked[-1]
        for values in asked:
            near = list(self.space.neighbours(values))
            self.rng.shuffle(near)
            yield from near


_OWN: Mapping[str, type[SpaceSampler]] = {
    "auto": AutoSampler,
    "evolution": EvolutionSampler,
    "local-search": LocalSearchSampler,
    "reinforce": ReinforceSampler,
    "random": SpaceSampler,
}
_LIBRARY: Mapping[str, Callable[..., BaseSampler]] = {
    "tpe": partial(TPESampler, multivariate=True, n_startup_trials=8),
    "nsga2": partial(NSGAIISampler, population_size=16),
    "gp": partial(GPSampler, n_startup_trials=8),
}

DEFAULT = "auto"
OWN, LIBRARY = tuple(_OWN), tuple(_LIBRARY)
SAMPLERS = (*OWN, *LIBRARY)


def make_sampler(name: str, context: SamplerContext, seed: int) -> SpaceSampler:
    """The sampler of that name, one of SAMPLERS; raises SpaceError for another."""
    if name in _OWN:
        return _OWN[name](context, seed)
    if name in _LIBRARY:
        return LibrarySampler(_LIBRARY[name](seed=seed), context, seed)
    raise SpaceError(f"sampler must be one of {listed(SAMPLERS)}, got {name!r}")

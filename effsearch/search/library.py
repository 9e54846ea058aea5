"""Optuna's own samplers, through the door that lets nothing infeasible and nothing twice pass."""

from collections.abc import Iterator, Sequence

from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from effsearch.search.proposing import Memory, SpaceSampler
from effsearch.search.searchable import Feasible, Known, Searchable, always
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

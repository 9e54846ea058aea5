"""Regularized evolution, and a hill with restarts: samplers that change what was good."""

from collections.abc import Iterator, Sequence

from optuna.study import Study
from optuna.trial import FrozenTrial

from effsearch.engine.space_sampler import (
    TRIES,
    UNSAVED,
    Feasible,
    Known,
    Memory,
    Searchable,
    SpaceSampler,
    always,
    goodness,
)
from effsearch.space import Values

HILL = "effsearch:climb"
"""The system attribute of a trial that says which hill it belongs to."""


class EvolutionSampler(SpaceSampler):
    """Regularized evolution (1802.01548) without repeats.

    The youngest `population` finished trials are alive; the best of `sample` of them drawn at random is mutated in
    one decision, in more if all such mutants are known or infeasible. The first `startup` trials are random.
    """

    def __init__(
        self,
        space: Searchable,
        feasible: Feasible = always,
        seed: int | None = None,
        memory: Memory | None = None,
        known: Known | None = None,
        *,
        population: int = 24,
        sample: int = 6,
        startup: int = 8,
    ) -> None:
        super().__init__(space, feasible, seed, memory, known)
        self.population, self.sample, self.startup = population, sample, startup

    def candidates(self, study: Study, trial: FrozenTrial, trials: Sequence[FrozenTrial]) -> Iterator[Values]:
        alive = self.memory.finished(trials)[-self.population :]
        if len(alive) < min(self.startup, self.population) or not self.space.decisions:
            return
        for attempt in range(TRIES):
            tournament = self.rng.sample(alive, min(self.sample, len(alive)))
            parent = max(tournament, key=lambda other: (goodness(study, other), -other.number))
            yield self.space.mutate(parent.params, 1 + attempt // 100, self.rng)


class LocalSearchSampler(SpaceSampler):
    """First-improvement local search with restarts (2005.02960).

    The neighbours of the best trial of a hill are proposed in random order until one is better. When none is left
    a new hill begins at a network that differs from the best of all in half of the decisions. Networks that were
    enqueued belong to the first hill.
    """

    def candidates(self, study: Study, trial: FrozenTrial, trials: Sequence[FrozenTrial]) -> Iterator[Values]:
        done = self.memory.finished(trials)
        if not done or not self.space.decisions:
            return
        hill = max(other.system_attrs.get(HILL, 0) for other in trials)
        here = [other for other in done if other.system_attrs.get(HILL, 0) == hill]
        if here:
            self._mark(study, trial, hill)
            top = max(here, key=lambda other: (goodness(study, other), -other.number))
            near = list(self.space.neighbours(top.params))
            self.rng.shuffle(near)
            yield from near
            hill += 1
        # A hill without a finished trial is given one more network to begin at.
        self._mark(study, trial, hill)
        best = max(done, key=lambda other: (goodness(study, other), -other.number))
        half = max(2, len(self.space.decisions) // 2)
        for attempt in range(TRIES):
            yield self.space.mutate(best.params, half + attempt // 100, self.rng)

    @staticmethod
    def _mark(study: Study, trial: FrozenTrial, hill: int) -> None:
        if trial._trial_id == UNSAVED:
            trial.system_attrs[HILL] = hill
            return
        study._storage.set_trial_system_attr(trial._trial_id, HILL, hill)

"""Regularized evolution and local search: samplers that mutate good networks."""

from collections.abc import Iterator, Sequence

from optuna.study import Study
from optuna.trial import FrozenTrial

from effsearch.engine.space_sampler import TRIES, UNSAVED, SpaceSampler, goodness
from effsearch.space import Values

HILL = "effsearch:climb"  # system attribute of a trial: the number of the restart of local search that proposed it


class EvolutionSampler(SpaceSampler):
    """Regularized evolution (1802.01548) without repeats.

    The `population` is the last finished trials. The best of a tournament of `sample` of them is mutated in one
    decision, in more if all such mutants are known or infeasible. The first `startup` trials are random.
    """

    population, sample, startup = 24, 6, 8

    def candidates(self, study: Study, trial: FrozenTrial, trials: Sequence[FrozenTrial]) -> Iterator[Values]:
        alive = self.memory.finished(trials)[-self.population :]
        if len(alive) < min(self.startup, self.population) or not self.space.decisions:
            return
        for attempt in range(TRIES):
            parent = best_of(study, self.rng.sample(alive, min(self.sample, len(alive))))
            yield self.space.mutate(parent.params, 1 + attempt // 100, self.rng)


class LocalSearchSampler(SpaceSampler):
    """First-improvement local search with restarts (2005.02960).

    The neighbours of the best trial since the last restart are proposed in random order until one is better. When none
    is left it restarts at a network that differs from the best of all in half of the decisions. Networks that were
    enqueued count before the first restart.
    """

    def candidates(self, study: Study, trial: FrozenTrial, trials: Sequence[FrozenTrial]) -> Iterator[Values]:
        done = self.memory.finished(trials)
        if not done or not self.space.decisions:
            return
        hill = max(other.system_attrs.get(HILL, 0) for other in trials)
        here = [other for other in done if other.system_attrs.get(HILL, 0) == hill]
        if here:
            self._mark(study, trial, hill)
            near = list(self.space.neighbours(best_of(study, here).params))
            self.rng.shuffle(near)
            yield from near
            hill += 1
        # A restart without a finished trial is given one more network to begin at.
        self._mark(study, trial, hill)
        best, half = best_of(study, done), max(2, len(self.space.decisions) // 2)
        for attempt in range(TRIES):
            yield self.space.mutate(best.params, half + attempt // 100, self.rng)

    @staticmethod
    def _mark(study: Study, trial: FrozenTrial, hill: int) -> None:
        if trial._trial_id == UNSAVED:
            trial.system_attrs[HILL] = hill
        else:
            study._storage.set_trial_system_attr(trial._trial_id, HILL, hill)


def best_of(study: Study, trials: Sequence[FrozenTrial]) -> FrozenTrial:
    """The trial of the best value, the earliest of equals."""
    return max(trials, key=lambda other: (goodness(study, other), -other.number))

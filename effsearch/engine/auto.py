"""The default sampler: learns accuracy, knows FLOPs, and keeps moving."""

from collections.abc import Iterator, Sequence

import numpy as np
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from effsearch.engine.evolution import EvolutionSampler
from effsearch.engine.space_sampler import Feasible, Known, Memory, Searchable, always, goodness
from effsearch.engine.surrogate import Surrogate
from effsearch.space import Values

DRAWN = 64
"""Random networks of which one is chosen at the start."""


class AutoSampler(EvolutionSampler):
    """Expected improvement of the reward under a Gaussian process of accuracy, with exact FLOPs.

    The first `startup` networks are spread over the choices of all decisions; with a prior in `known` half of them are
    what that expects to be the best, and it is the mean of the process (see `Kernel`). Trials that still run are taken
    to give what is expected of them, so that several workers do not crowd. Once in `moves` proposals it takes a step of
    evolution instead, so that a model that is wrong cannot hold it. With `known` the process learns accuracy and
    the reward is computed from it (1807.02811 reviews the method); without, it learns the value of the trials.
    """

    def __init__(
        self,
        space: Searchable,
        feasible: Feasible = always,
        seed: int | None = None,
        memory: Memory | None = None,
        known: Known | None = None,
        *,
        startup: int = 4,
        moves: int = 20,
    ) -> None:
        super().__init__(space, feasible, seed, memory, known, startup=startup)
        self.moves = moves

    def candidates(self, study: Study, trial: FrozenTrial, trials: Sequence[FrozenTrial]) -> Iterator[Values]:
        if not self.space.decisions:
            return
        done = [other for other in self.memory.finished(trials) if np.isfinite(goodness(study, other))]
        surrogate = self._surrogate(done)
        if len(done) < self.startup:
            yield from self._start(surrogate, trials, self.taken(trials, trial.number))
            return
        if self.rng.random() >= 1 / self.moves:
            running = [other for other in trials if other.state == TrialState.RUNNING and self._has_all(other)]
            try:
                surrogate.learn(study, done, running)
                yield from surrogate.propose(self.taken(trials, trial.number), self.rng)
            except (np.linalg.LinAlgError, ValueError):
                # Values that no process can be fitted to, such as some that are astronomically far apart.
                self.memory.notes.pop("auto")
        yield from super().candidates(study, trial, trials)

    def _surrogate(self, done: Sequence[FrozenTrial]) -> Surrogate:
        found: Surrogate | None = self.memory.notes.get("auto")
        if found is None or not found.follows(done):
            found = self.memory.notes["auto"] = Surrogate(self.space, self.feasible, self.known, self.startup)
        return found

    def _has_all(self, trial: FrozenTrial) -> bool:
        return trial.params.keys() >= self.distributions.keys()

    def _start(self, surrogate: Surrogate, trials: Sequence[FrozenTrial], taken: set[str]) -> Iterator[Values]:
        """Of some random networks, that whose choices were proposed the least, or in turn the best by the prior."""
        # By their keys, since a trial that was interrupted stands there twice.
        had = {self.memory.keys[trial.number]: trial.params for trial in trials if trial.number in self.memory.keys}
        counts = surrogate.encoding.encode(list(had.values())).sum(0)
        drawn = surrogate.gather((self.space.sample(self.rng) for _ in range(DRAWN)), taken)
        # Not every time, since networks that are all expected to be good tell little of whether that is so.
        if len(drawn) and surrogate.has_prior and len(had) % 2 == 0:
            yield drawn.values[int(np.argmax(surrogate.promised(drawn)))]
        elif len(drawn):
            yield drawn.values[int(np.argmin(drawn.points.codes @ counts))]

"""The default sampler: Bayesian optimisation of the reward, with a Gaussian process of accuracy and exact FLOPs."""

from collections.abc import Iterator, Sequence

import numpy as np
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from effsearch.engine.evolution import EvolutionSampler
from effsearch.engine.space_sampler import goodness
from effsearch.engine.surrogate import Surrogate
from effsearch.space import Values

DRAWN = 64  # random networks of which one is chosen during startup


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
        drawn = surrogate.gather((self.space.sample(self.rng) for _ in range(DRAWN)), taken)
        # Not every time, since networks that are all expected to be good tell little of whether that is so.
        if len(drawn) and surrogate.has_prior and len(had) % 2 == 0:
            yield drawn.values[int(np.argmax(surrogate.prior_reward(drawn)))]
        elif len(drawn):
            yield drawn.values[int(np.argmin(drawn.points.codes @ counts))]

"""The base of all samplers: proposals from a search space or a benchmark table that are feasible and new."""

import random
from bisect import insort
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, TypeAlias

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from effsearch.benchmark_table import Table
from effsearch.errors import SpaceError
from effsearch.reward import Reward
from effsearch.runs.trial_store import FIXED
from effsearch.space import Space, Value, Values

TRIES = 20_000  # infeasible or tried proposals in a row before a sampler turns to random ones, and then gives up
REFUSALS = 20  # networks measured to be outside the limits before a sampler gives up: each takes seconds
ENUMERABLE = 32_768  # networks of a space that is enumerated in full; from a larger one, candidates are drawn

# System attribute of a trial that continues an earlier training for more epochs: samplers do not learn from it.
AGAIN = "effsearch:again"
UNSAVED = -1  # id of a trial that is stored, with system attributes that a sampler sets, once it has a proposal

Searchable: TypeAlias = Space | Table
Feasible = Callable[[Any], bool]  # whether a network (an architecture, or an entry of a table) may be trained


class SpaceExhausted(SpaceError):
    """No new feasible network was found."""


def always(network: object) -> bool:
    """Every network is feasible."""
    return True


@dataclass(frozen=True)
class Objective:
    """What is known of the objective before training: the cost of a network, and the reward that combines the two.

    `confirm` checks a network that is about to be proposed against the limits by measuring it. `measured_cost` is the
    cost in the reward of a trained network, where it differs from `cost`. `prior` predicts accuracies, perhaps badly.
    """

    reward: Reward
    cost: Callable[[Any], float]
    confirm: Feasible = always
    prior: Callable[[Any], float] | None = None
    measured_cost: Callable[[Any], float] | None = None


ACCURACY_ALONE = Objective(Reward(1.0, "hard"), lambda network: 1.0)  # whose reward is the accuracy, at any cost


@dataclass
class Memory:
    """What the samplers of one study share so as not to compute it again; a sampler with an empty one proposes alike.

    `keys` has the key of each trial's network by the trial's number, and `taken` all of them; trials before `read` are
    all in it. `ended` has the numbers of ended trials, all before `unended` among them; `notes` what samplers learnt.
    """

    study: str = ""
    keys: dict[int, str] = field(default_factory=dict)
    taken: set[str] = field(default_factory=set)
    read: int = 0
    notes: dict[str, Any] = field(default_factory=dict)
    ended: set[int] = field(default_factory=set)
    unended: int = 0
    _finished: list[FrozenTrial] = field(default_factory=list)

    def begin(self, study: str) -> None:
        """Empties the memory if it is of another study."""
        if study != self.study:
            vars(self).update(vars(Memory(study)))

    def finished(self, trials: Sequence[FrozenTrial]) -> Sequence[FrozenTrial]:
        """Complete trials in the order in which they completed, without those that continue an earlier training."""
        unended = trials[-1].number + 1 if trials else self.unended
        for trial in reversed(trials):
            number = trial.number
            if number < self.unended:
                break
            if number in self.ended:
                continue
            if not trial.state.is_finished():
                unended = number
                continue
            self.ended.add(number)
            if trial.state == TrialState.COMPLETE and AGAIN not in trial.system_attrs:
                insort(self._finished, trial, key=lambda other: (other.datetime_complete, other.number))
        self.unended = unended
        return self._finished


@dataclass(frozen=True)
class SamplerContext:
    """What every sampler of a study works with: the space, which networks may be trained, and what is known of them.

    Samplers that are made anew for each proposal share its `memory`. By default the value of a trial is its accuracy.
    """

    space: Searchable
    feasible: Feasible = always
    memory: Memory = field(default_factory=Memory)
    objective: Objective = ACCURACY_ALONE


def distributions(space: Searchable) -> dict[str, BaseDistribution]:
    """The decisions of a space as Optuna's distributions."""
    return {decision.name: CategoricalDistribution(decision.choices) for decision in space.decisions}


def goodness(study: Study, trial: FrozenTrial) -> float:
    """The value of a finished trial, negated where the study minimises."""
    sign = 1 if study.direction == optuna.study.StudyDirection.MAXIMIZE else -1
    return sign * (trial.value or 0.0)


class SpaceSampler(BaseSampler):
    """Random search; the other samplers inherit from it and override `candidates`.

    The same seed gives the same proposals for the same trials. Raises SpaceExhausted where no new network is found.
    """

    needs_trial = False  # whether a proposal is made for a trial that the study has already

    def __init__(self, context: SamplerContext, seed: int | None = None) -> None:
        self.context, self.space, self.memory = context, context.space, context.memory
        self.rng = random.Random(seed)
        self.distributions = distributions(context.space)

    def candidates(self, study: Study, trial: FrozenTrial, trials: Sequence[FrozenTrial]) -> Iterator[Values]:
        """What this sampler proposes for `trial`, best first, given the other trials of the study."""
        return iter(())

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return self.distributions

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        if FIXED in trial.system_attrs:  # Enqueued by hand: Optuna would throw our proposal away.
            return {}
        self.memory.begin(study.study_name)
        trials = study.get_trials(deepcopy=False)
        if trials and trials[-1].number >= trial.number:
            trials = [other for other in trials if other.number != trial.number]
        return self._first_allowed(study, trial, trials)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        assert isinstance(param_distribution, CategoricalDistribution)
        return self.rng.choice(param_distribution.choices)

    def _first_allowed(self, study: Study, trial: FrozenTrial, trials: Sequence[FrozenTrial]) -> Values:
        taken, refused = self.taken(trials, trial.number), 0
        for values in self._proposals(study, trial, trials):
            if not self._is_new(values, taken):
                continue
            if self.context.objective.confirm(self.space.decode(values)):
                return values
            refused += 1
            if refused == REFUSALS:
                raise SpaceExhausted(
                    f"space {self.space.name}: {REFUSALS} networks in a row were outside the limits when they were "
                    "measured; widen the window or the limits"
                )
        raise SpaceExhausted(
            f"space {self.space.name}: {TRIES:,} proposals in a row were outside the limits or already tried, "
            f"after {len(trials)} trials"
        )

    def _proposals(self, study: Study, trial: FrozenTrial, trials: Sequence[FrozenTrial]) -> Iterator[Values]:
        yield from islice(self.candidates(study, trial, trials), TRIES)
        for _ in range(TRIES):
            yield self.space.sample(self.rng)
        # Random draws miss what is left of a space that is nearly used up.
        if self.space.size <= TRIES:
            yield from self.space.walk()
            return
        for other in trials:
            if self.has_all(other):
                yield from self.space.neighbours(other.params)

    def _is_new(self, values: Mapping[str, Value], taken: set[str]) -> bool:
        try:
            network = self.space.decode(values)
        except SpaceError:
            return False
        return network.key not in taken and self.context.feasible(network)

    def has_all(self, trial: FrozenTrial) -> bool:
        return trial.params.keys() >= self.distributions.keys()

    def taken(self, trials: Sequence[FrozenTrial], number: int) -> set[str]:
        """The keys of all networks that were proposed or queued before trial `number`, whatever their state."""
        memory, names, queued, read = self.memory, self.distributions.keys(), set(), number
        for trial in reversed(trials):
            if trial.number < memory.read:
                break
            if self.has_all(trial):
                memory.keys[trial.number] = self.space.decode({name: trial.params[name] for name in names}).key
                memory.taken.add(memory.keys[trial.number])
            elif not trial.state.is_finished():
                read = min(read, trial.number)
                waiting = trial.system_attrs.get(FIXED, {})
                if waiting.keys() >= names:
                    queued.add(self.space.decode({name: waiting[name] for name in names}).key)
        memory.read = read
        return memory.taken | queued

"""The base of all samplers: a searchable space, and proposals that are feasible and new."""

import random
from bisect import insort
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from effsearch.errors import SpaceError
from effsearch.reward import Reward
from effsearch.runs.trial_store import FIXED
from effsearch.space import Decision, Value, Values


class Decoded(Protocol):
    """What decisions decode to: an architecture, or an entry of a table."""

    @property
    def key(self) -> str:
        """Equal for what need not be trained twice."""
        ...

    @property
    def notation(self) -> str: ...


class Searchable(Protocol):
    """Decisions with their choices, and which networks they give."""

    @property
    def name(self) -> str: ...

    @property
    def decisions(self) -> tuple[Decision, ...]: ...

    @property
    def size(self) -> int:
        """How many networks there are."""
        ...

    def decode(self, values: Mapping[str, Value]) -> Any:
        """The network that takes these values; raises SpaceError if there is none."""
        ...

    def decode_all(self, points: Sequence[Mapping[str, Value]]) -> Sequence[Any]:
        """The networks that take these values, and None where there is none."""
        ...

    def sample(self, rng: random.Random) -> Values:
        """The values of a network drawn at random."""
        ...

    def mutate(self, values: Mapping[str, Value], changes: int, rng: random.Random) -> Values:
        """The values of another network that differs in so many decisions, or about so many."""
        ...

    def neighbours(self, values: Mapping[str, Value]) -> Iterator[Values]:
        """The values of the networks next to one."""
        ...

    def walk(self) -> Iterator[Values]:
        """The values of all networks."""
        ...


Feasible = Callable[[Any], bool]
"""Of a network: whether it may be trained."""


def always(network: object) -> bool:
    """Every network is feasible."""
    return True


@dataclass(frozen=True)
class Known:
    """What need not be learnt: the cost of a network, and how the reward weighs it.

    `confirm` answers again, by measuring, whether a network may be trained; asked only of what is about to be proposed.
    `measured_cost` is the cost that entered the reward of a trained network, where it differs from `cost`.
    `prior` is an accuracy that something else predicts of a network, from which learning may begin. It may be wrong.
    """

    reward: Reward
    cost: Callable[[Any], float]
    confirm: Feasible = always
    prior: Callable[[Any], float] | None = None
    measured_cost: Callable[[Any], float] | None = None


def distributions(space: Searchable) -> dict[str, BaseDistribution]:
    """The decisions of a space as Optuna's distributions."""
    return {decision.name: CategoricalDistribution(decision.choices) for decision in space.decisions}


TRIES = 20_000
"""Proposals in a row that may be infeasible or known before a sampler turns to random ones, and then gives up."""

REFUSALS = 20
"""Networks that may be outside the limits when measured before a sampler gives up a proposal: each takes seconds."""

WHOLE = 32_768
"""A space of at most so many networks may be looked at as a whole; of a larger one, candidates are drawn."""


AGAIN = "effsearch:again"
"""The system attribute of a trial of a network that was trained before, for shorter: no sampler here learns from it."""

UNSAVED = -1
"""The id of a trial that is written, with what a sampler notes in its system attributes, once it has a proposal."""


class SpaceExhausted(SpaceError):
    """No feasible architecture that is new was found."""


@dataclass
class Memory:
    """What the samplers of one study need not work out again.

    All of it follows from the space, the limits and the trials, so a sampler without it proposes the same, only later.
    `study` is the name of that study. `keys` are those of the trials by number, `taken` all of them; trials before
    `read` need not be looked at again. `ended` are the numbers of trials that have ended, all before `unended` among
    them. `notes` are a sampler's own.
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
        """Forgets what is of another study than this."""
        if study != self.study:
            vars(self).update(vars(Memory(study)))

    def finished(self, trials: Sequence[FrozenTrial]) -> Sequence[FrozenTrial]:
        """Those that have a value, in the order in which they got it; of networks trained further, the first."""
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


class SpaceSampler(BaseSampler):
    """Random proposals; others inherit and say what they would rather propose in `candidates`.

    `feasible` is asked of every network before it becomes a trial. `seed` gives the same proposals for the same
    trials. `memory` may be shared by the samplers of one study. `known` is what need not be learnt, for samplers that
    learn. Raises SpaceExhausted when nothing feasible and new is left or can be found.
    """

    needs_trial = False
    """Whether a proposal is for a trial that is in the study already."""

    def __init__(
        self,
        space: Searchable,
        feasible: Feasible = always,
        seed: int | None = None,
        memory: Memory | None = None,
        known: Known | None = None,
    ) -> None:
        self.space = space
        self.feasible = feasible
        self.rng = random.Random(seed)
        self.memory = Memory() if memory is None else memory
        self.known = known
        self.distributions = distributions(space)
        self._refused = 0

    def candidates(self, study: Study, trial: FrozenTrial, trials: Sequence[FrozenTrial]) -> Iterator[Values]:
        """What this sampler proposes, best first, given the study's other trials."""
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
        taken, self._refused = self.taken(trials, trial.number), 0
        for source in (self.candidates(study, trial, trials), self._random()):
            for _, values in zip(range(TRIES), source, strict=False):
                if self._may_be_proposed(values, taken):
                    return values
        for values in self._rest(trials):
            if self._may_be_proposed(values, taken):
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

    def _may_be_proposed(self, values: Mapping[str, Value], taken: set[str]) -> bool:
        if not self.is_new(values, taken):
            return False
        if self.known is None or self.known.confirm(self.space.decode(values)):
            return True
        self._refused += 1
        if self._refused == REFUSALS:
            raise SpaceExhausted(
                f"space {self.space.name}: {REFUSALS} networks in a row were outside the limits when they were "
                "measured; widen the window or the limits"
            )
        return False

    def is_new(self, values: Mapping[str, Value], taken: set[str]) -> bool:
        """Whether there is such a network, not taken yet and feasible."""
        try:
            network = self.space.decode(values)
        except SpaceError:
            return False
        return network.key not in taken and self.feasible(network)

    def taken(self, trials: Sequence[FrozenTrial], number: int) -> set[str]:
        """The keys of all that was proposed or is queued before trial `number`, whatever became of it."""
        memory, names, queued, read = self.memory, self.distributions.keys(), set(), number
        for trial in reversed(trials):
            if trial.number < memory.read:
                break
            if trial.params.keys() >= names:
                memory.keys[trial.number] = self.space.decode({name: trial.params[name] for name in names}).key
                memory.taken.add(memory.keys[trial.number])
            elif not trial.state.is_finished():
                read = min(read, trial.number)
                waiting = trial.system_attrs.get(FIXED, {})
                if waiting.keys() >= names:
                    queued.add(self.space.decode({name: waiting[name] for name in names}).key)
        memory.read = read
        return memory.taken | queued

    def _random(self) -> Iterator[Values]:
        while True:
            yield self.space.sample(self.rng)

    def _rest(self, trials: Sequence[FrozenTrial]) -> Iterator[Values]:
        """What random proposals miss in a space that is nearly used up: all there is, or what is near the trials."""
        if self.space.size <= TRIES:
            yield from self.space.walk()
            return
        names = self.distributions.keys()
        for trial in trials:
            if trial.params.keys() >= names:
                yield from self.space.neighbours(trial.params)


def goodness(study: Study, trial: FrozenTrial) -> float:
    """The value of a finished trial, the more the better."""
    sign = 1 if study.direction == optuna.study.StudyDirection.MAXIMIZE else -1
    return sign * (trial.value or 0.0)

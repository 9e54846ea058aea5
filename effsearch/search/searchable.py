"""What a sampler needs to know of a space, be it of architectures or of a table's rows."""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from optuna.distributions import BaseDistribution, CategoricalDistribution

from effsearch.reward import Reward
from effsearch.space import Decision, Value, Values


class Network(Protocol):
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

    `confirm` is a second, dear answer to whether a network may be trained, asked only of what is about to be proposed.
    `spent` is the cost that the reward of a trained network has weighed, where that is not what was known before.
    `prior` is an accuracy that something else predicts of a network, from which learning may begin. It may be wrong.
    """

    reward: Reward
    cost: Callable[[Any], float]
    confirm: Feasible = always
    prior: Callable[[Any], float] | None = None
    spent: Callable[[Any], float] | None = None


def distributions(space: Searchable) -> dict[str, BaseDistribution]:
    """The decisions of a space as Optuna's distributions."""
    return {decision.name: CategoricalDistribution(decision.choices) for decision in space.decisions}

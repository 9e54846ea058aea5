"""The library in a few names: search with a function of one's own, grow what was found, build it."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import optuna

from effsearch.architecture import Architecture, parse
from effsearch.cost import Cost, cost
from effsearch.errors import QuantityError, SpaceError
from effsearch.families import find
from effsearch.network import build
from effsearch.network import load as load_network
from effsearch.reward import Kind, Reward
from effsearch.scaling import AS_PUBLISHED, PAPER, Coefficients, Rounding, grow
from effsearch.search.driver import proposal_seed
from effsearch.search.samplers import Known, Memory, SpaceExhausted, distributions, make_sampler
from effsearch.space import Space
from effsearch.space import load as load_space

__all__ = [
    "Architecture",
    "Coefficients",
    "Cost",
    "Found",
    "Rounding",
    "Space",
    "build",
    "cost",
    "load_network",
    "load_space",
    "parse",
    "scale",
    "search",
]


@dataclass(frozen=True)
class Found:
    """An architecture that was evaluated: its accuracy (a fraction), its reward, and what it costs."""

    architecture: Architecture
    accuracy: float
    reward: float
    cost: Cost


def search(
    space: Space | str,
    evaluate: Callable[[Architecture], float],
    *,
    target_flops: float,
    trials: int = 50,
    reward: Kind = "soft",
    exponent: float = -0.07,
    flops_window: tuple[float, float] | None = (0.5, 1.25),
    sampler: str = "auto",
    start: Iterable[Architecture | str] = (),
    resolution: int | None = None,
    classes: int = 1000,
    seed: int = 0,
) -> list[Found]:
    """Searches a space (or the name or file of one) in this process, and returns what was evaluated, the best first.

    `evaluate` gives the accuracy of an architecture as a fraction; what it raises ends the search. Only networks within
    `flops_window` times `target_flops` (multiply-adds at `resolution` px and so many classes) are evaluated, none
    twice, those of `start` first, and fewer than `trials` where there are no more. Raises EffsearchError for settings
    that make no sense. `effsearch nas` adds workers, a run on disk that can be continued, and repeats.
    """
    if trials < 1:
        raise QuantityError(f"trials must be at least 1, got {trials}")
    chosen = load_space(space) if isinstance(space, str) else space
    side = _only_resolution(chosen) if resolution is None else resolution
    chosen = chosen.at(side)
    score = Reward(target_flops, reward, exponent)

    def flops(network: Architecture) -> float:
        return cost(network, classes=classes).flops

    def feasible(network: Architecture) -> bool:
        return score.within(flops_window, flops(network))

    study = optuna.create_study(direction="maximize", storage=_quiet())
    for given in start:
        study.enqueue_trial(dict(chosen.encode(replace(_named(given), resolution=side))))
    memory, known, found = Memory(), Known(score, flops), list[Found]()
    for number in range(trials):
        study.sampler = make_sampler(sampler, chosen, feasible, proposal_seed(seed, number), memory, known)
        try:
            trial = study.ask(distributions(chosen))
        except SpaceExhausted:
            break
        network = chosen.decode(trial.params)
        accuracy = float(evaluate(network))
        if not math.isfinite(accuracy):
            raise QuantityError(f"evaluate must give a number from 0 to 1, got {accuracy} for {network.notation}")
        total = cost(network, classes=classes)
        found.append(Found(network, accuracy, score(accuracy, total.flops), total))
        study.tell(trial, found[-1].reward)
    return sorted(found, key=lambda each: -each.reward)


def scale(
    architecture: Architecture | str,
    phi: float,
    coefficients: Coefficients = PAPER,
    rounding: Rounding = AS_PUBLISHED,
) -> Architecture:
    """Grows an architecture (or a name or notation) by alpha^phi in depth, beta^phi in width, gamma^phi in resolution.

    1905.11946, section 3.3. Raises QuantityError where it grows beyond what can be written.
    """
    return grow(_named(architecture), coefficients.at(phi), rounding)


def _named(given: Architecture | str) -> Architecture:
    if isinstance(given, Architecture):
        return given
    known = find(given)
    return parse(given) if known is None else known


def _only_resolution(space: Space) -> int:
    choices: tuple[Any, ...] = space.choices("resolution")
    if len(choices) > 1:
        raise SpaceError(f"space {space.name} leaves the resolution open: give one of {choices}")
    return int(choices[0])


def _quiet() -> optuna.storages.InMemoryStorage:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna.storages.InMemoryStorage()

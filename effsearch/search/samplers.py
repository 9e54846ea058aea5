"""Samplers of networks, as Optuna samplers that anyone can use in a study of their own.

Each proposes only networks that are feasible and that no trial of the study has had, whatever its state.
"""

from collections.abc import Callable

import optuna
from optuna.samplers import BaseSampler

from effsearch.errors import SpaceError, listed
from effsearch.search.auto import AutoSampler
from effsearch.search.evolution import EvolutionSampler, LocalSearchSampler
from effsearch.search.library import LibrarySampler
from effsearch.search.proposing import TRIES, Memory, SpaceExhausted, SpaceSampler
from effsearch.search.reinforce import ReinforceSampler
from effsearch.search.searchable import Feasible, Known, Searchable, always, distributions

__all__ = [
    "DEFAULT",
    "LIBRARY",
    "OWN",
    "SAMPLERS",
    "TRIES",
    "AutoSampler",
    "EvolutionSampler",
    "Feasible",
    "Known",
    "LibrarySampler",
    "LocalSearchSampler",
    "Memory",
    "ReinforceSampler",
    "Searchable",
    "SpaceExhausted",
    "SpaceSampler",
    "always",
    "distributions",
    "make_sampler",
]


def _tpe(seed: int) -> BaseSampler:
    return optuna.samplers.TPESampler(multivariate=True, n_startup_trials=8, seed=seed)


def _nsga2(seed: int) -> BaseSampler:
    return optuna.samplers.NSGAIISampler(population_size=16, seed=seed)


def _gp(seed: int) -> BaseSampler:
    return optuna.samplers.GPSampler(n_startup_trials=8, seed=seed)


_OWN: dict[str, type[SpaceSampler]] = {
    "auto": AutoSampler,
    "evolution": EvolutionSampler,
    "local-search": LocalSearchSampler,
    "reinforce": ReinforceSampler,
    "random": SpaceSampler,
}
_LIBRARY: dict[str, Callable[[int], BaseSampler]] = {"tpe": _tpe, "nsga2": _nsga2, "gp": _gp}

DEFAULT = "auto"
OWN, LIBRARY = tuple(_OWN), tuple(_LIBRARY)
SAMPLERS = (*OWN, *LIBRARY)


def make_sampler(
    name: str,
    space: Searchable,
    feasible: Feasible,
    seed: int,
    memory: Memory | None = None,
    known: Known | None = None,
) -> SpaceSampler:
    """The sampler of that name, one of SAMPLERS; raises SpaceError for another."""
    if name in _OWN:
        return _OWN[name](space, feasible, seed, memory, known)
    if name in _LIBRARY:
        return LibrarySampler(_LIBRARY[name](seed), space, feasible, seed, memory, known)
    raise SpaceError(f"sampler must be one of {listed(SAMPLERS)}, got {name!r}")

"""What a search is told to begin with: networks, and the best of finished runs."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from effsearch.architecture import Architecture, parse
from effsearch.cli.arguments import resolve
from effsearch.errors import RunError, SpaceError, listed
from effsearch.reward import format_cost
from effsearch.runs.folder import Run
from effsearch.runs.ranking import read_ranking
from effsearch.search.nas_problem import Budget
from effsearch.space import Space

BEST = 5
"""Networks of a run that another begins with."""


def starts(texts: Sequence[str], space: Space, budget: Budget, results: Path) -> tuple[str, ...]:
    """The notations to begin with, each once, at the resolution of the search; raises EffsearchError.

    A network that is named must lie in the space, the window and the limits. Of a run, those that do so are taken,
    the best first, at most BEST.
    """
    found: dict[str, None] = {}
    for text in texts:
        run = Run(results / text)
        if "/" not in text and (run.path / "run.toml").is_file():
            best = list(_best(run, space, budget))
            if not best:
                raise RunError(f"--start {text}: none of its networks lies in space {space.name} and the window")
            found |= dict.fromkeys(best)
        else:
            network = replace(resolve(text, results)[0], resolution=budget.settings.resolution)
            _check(text, network, space, budget)
            found[network.notation] = None
    return tuple(found)


def _best(run: Run, space: Space, budget: Budget) -> Iterator[str]:
    rows = read_ranking(run.ranking)
    count = 0
    for row in rows:
        network = replace(parse(row.notation), resolution=budget.settings.resolution)
        if row.rank is not None and count < BEST and space.contains(network) and budget.confirmed(network):
            count += 1
            yield network.notation


def _check(text: str, network: Architecture, space: Space, budget: Budget) -> None:
    settings = budget.settings
    if not space.contains(network):
        raise SpaceError(f"--start {text[:80]}: it does not lie in space {space.name} at {settings.resolution} px")
    costs = budget.measured(network)
    if not settings.allows(costs):
        measures = dict.fromkeys((settings.measure, *settings.limits))
        has = listed(format_cost(getattr(costs, measure), measure) for measure in measures)
        raise SpaceError(f"--start {text[:80]}: it has {has}, and allowed are {settings.allowance}")

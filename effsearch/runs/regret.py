"""The regret of replayed searches of a benchmark table, by sampler."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import mean, median

REGRETS = (0.01, 0.001, 0.0)  # relative to the best reward; evaluations until each is reached are counted
MARKS = (25, 50, 100, 200)  # evaluations after which the regret is reported


@dataclass(frozen=True)
class SearchCurve:
    """One search: the best reward after each evaluation, and the mean CPU seconds of a proposal.

    With noise, rewards are true ones; `selected` is that of the network named at the end, `naive` that of the one with
    the largest single measurement.
    """

    sampler: str
    seed: int
    best: tuple[float, ...]
    seconds: float
    selected: float | None = None
    naive: float | None = None


@dataclass(frozen=True)
class FinalRegret:
    """The regret of what a search names, relative to the best reward: median and 90th percentile over seeds."""

    median: float
    p90: float


@dataclass(frozen=True)
class Reached:
    """Evaluations until a regret was reached, over seeds: None where too few of them did; `success` is their share."""

    median: float | None
    p90: float | None
    success: float


@dataclass(frozen=True)
class Replay:
    """The searches of a sampler under `seeds` seeds, of `trials` evaluations each.

    `evaluations` are those to each of REGRETS; `regret` is the mean after MARKS evaluations (None beyond `trials`);
    `curve`, `low` and `high` are mean and quartiles of the regret after each; `seconds` is CPU time for a proposal.
    Where there is noise, `selected` is the true regret of what is named, `naive` of the largest single measurement.
    """

    sampler: str
    seeds: int
    trials: int
    evaluations: dict[float, Reached]
    regret: dict[int, float | None]
    seconds: float
    curve: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    selected: FinalRegret | None = None
    naive: FinalRegret | None = None


def summarise(found: Iterable[SearchCurve], best: float) -> list[Replay]:
    """A line for each sampler, in the order of their first search."""
    groups: dict[str, list[SearchCurve]] = {}
    for curve in sorted(found, key=lambda curve: curve.seed):
        groups.setdefault(curve.sampler, []).append(curve)
    return [_summary(group, best) for group in groups.values()]


def _summary(group: Sequence[SearchCurve], best: float) -> Replay:
    regrets = [[max(0.0, best - value) / abs(best) for value in curve.best] for curve in group]
    trials = len(regrets[0])
    columns = [sorted(column) for column in zip(*regrets, strict=True)]
    quarter = len(group) // 4
    return Replay(
        sampler=group[0].sampler,
        seeds=len(group),
        trials=trials,
        evaluations={regret: _reached(regrets, regret) for regret in REGRETS},
        regret={mark: mean(row[mark - 1] for row in regrets) if mark <= trials else None for mark in MARKS},
        seconds=mean(curve.seconds for curve in group),
        curve=tuple(mean(column) for column in columns),
        low=tuple(column[quarter] for column in columns),
        high=tuple(column[-1 - quarter] for column in columns),
        selected=_final([curve.selected for curve in group], best),
        naive=_final([curve.naive for curve in group], best),
    )


def _final(rewards: Sequence[float | None], best: float) -> FinalRegret | None:
    known = sorted(max(0.0, best - reward) / abs(best) for reward in rewards if reward is not None)
    return FinalRegret(median(known), known[math.ceil(0.9 * len(known)) - 1]) if known else None


def _reached(regrets: Sequence[Sequence[float]], regret: float) -> Reached:
    firsts = sorted(
        next((count for count, value in enumerate(row, 1) if value <= regret + 1e-12), math.inf) for row in regrets
    )
    middle = firsts[(len(firsts) - 1) // 2], firsts[len(firsts) // 2]
    half = middle[0] if math.isinf(middle[1]) else mean(middle)
    p90 = firsts[math.ceil(0.9 * len(firsts)) - 1]
    share = sum(math.isfinite(first) for first in firsts) / len(firsts)
    return Reached(None if math.isinf(half) else half, None if math.isinf(p90) else p90, share)

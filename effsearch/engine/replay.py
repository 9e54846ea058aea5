"""Replays samplers on a benchmark table, where a training is a look: how soon does each find the best?"""

import math
import random
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from operator import attrgetter
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from effsearch.benchmark_table import Entry, Table
from effsearch.engine.samplers import Known, SpaceExhausted, SpaceSampler, always, distributions, make_sampler
from effsearch.executors.local import single_thread
from effsearch.reward import Reward
from effsearch.runs.regret import Replay, SearchCurve, summarise

STARTS = 32
"""Starts from which the best of a table is sought that is too large to be looked at as a whole."""

LARGEST = 100_000
"""Predicted networks that are all looked at."""


class _Timed(BaseSampler):
    """A sampler that counts the seconds of CPU it takes."""

    def __init__(self, inner: SpaceSampler) -> None:
        self.inner, self.seconds = inner, 0.0

    def _count(self, function: Callable[..., Any], *args: Any) -> Any:
        start = time.process_time()
        try:
            return function(*args)
        finally:
            self.seconds += time.process_time() - start

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return self.inner.distributions

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        found: dict[str, Any] = self._count(self.inner.sample_relative, study, trial, search_space)
        return found

    def sample_independent(self, study: Study, trial: FrozenTrial, name: str, distribution: BaseDistribution) -> Any:
        return self._count(self.inner.sample_independent, study, trial, name, distribution)

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        self._count(self.inner.before_trial, study, trial)

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> None:
        self._count(self.inner.after_trial, study, trial, state, values)


def search(
    table: Table,
    reward: Reward,
    sampler: str,
    seed: int,
    trials: int,
    running: int = 1,
    prior: Callable[[Entry], float] | None = None,
) -> SearchCurve:
    """One search of a table in memory, with so many trials running at a time; ends early with the table's rows."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    timed = _Timed(make_sampler(sampler, table, always, seed, known=Known(reward, attrgetter("flops"), prior=prior)))
    study = optuna.create_study(direction="maximize", sampler=timed)
    choices, best, asked = distributions(table), [], []  # type: ignore[var-annotated]
    while len(best) < trials:
        try:
            while len(asked) < min(running, trials - len(best)):
                asked.append(study.ask(choices))
        except SpaceExhausted:
            if not asked:
                break
        for trial in asked:
            entry = table.decode(trial.params)
            value = reward(entry.accuracy, entry.flops)
            study.tell(trial, value)
            best.append(max(value, *best[-1:]) if best else value)
        asked = []
    seconds = timed.seconds / max(1, len(best))
    best += best[-1:] * (trials - len(best))
    return SearchCurve(sampler, seed, tuple(best), seconds)


def searches(
    table: Table, reward: Reward, sampler: str, seeds: Sequence[int], trials: int, running: int = 1
) -> list[SearchCurve]:
    """A search under each seed."""
    return [search(table, reward, sampler, seed, trials, running) for seed in seeds]


def search_curves(
    table: Table, reward: Reward, samplers: Sequence[str], seeds: int, trials: int, workers: int, running: int = 1
) -> Iterator[SearchCurve]:
    """All searches, as they end, in so many processes."""
    parts = min(seeds, 2 * workers if workers > 1 else seeds)
    jobs = [(sampler, range(part, seeds, parts)) for sampler in samplers for part in range(parts)]
    if workers == 1:
        for sampler, some in jobs:
            yield from searches(table, reward, sampler, some, trials, running)
        return
    with ProcessPoolExecutor(min(workers, len(jobs)), get_context("spawn"), single_thread) as pool:
        waiting = [pool.submit(searches, table, reward, sampler, some, trials, running) for sampler, some in jobs]
        for future in as_completed(waiting):
            yield from future.result()


@dataclass(frozen=True)
class Replayed:
    """What replayed searches of a table came to: each sampler's, and the best reward of its `networks`.

    `looked_at` says that all of them were looked at for that.
    """

    replays: list[Replay]
    best: float
    networks: int
    looked_at: bool


def replay_samplers(
    table: Table,
    reward: Reward,
    samplers: Sequence[str],
    seeds: int,
    trials: int,
    workers: int,
    running: int = 1,
    told: Callable[[str], object] = lambda text: None,
) -> Replayed:
    """Replays every sampler under every seed; `told` hears how far that has come."""
    best, found = best_of(table, reward), list[SearchCurve]()
    for curve in search_curves(table, reward, samplers, seeds, trials, workers, running):
        found.append(curve)
        told(f"{len(found)}/{len(samplers) * seeds} searches")
    order = {name: index for index, name in enumerate(samplers)}
    replays = sorted(summarise(found, best), key=lambda replay: order[replay.sampler])
    return Replayed(replays, best, table.size, is_looked_at(table))


def is_looked_at(table: Table) -> bool:
    """Whether the best of a table is known and not sought: it lists its rows, or few enough are predicted."""
    return isinstance(table.entries, dict) or table.size <= LARGEST


def best_of(table: Table, reward: Reward) -> float:
    """The best reward in a table, or the best that hill climbing finds in one too large to be looked at as a whole."""

    def score(entry: Entry | None) -> float:
        return -math.inf if entry is None else reward(entry.accuracy, entry.flops)

    if is_looked_at(table):
        return max(map(score, table.entries.values()))
    rng = random.Random(0)
    drawn = [table.sample(rng) for _ in range(50 * STARTS)]
    starts = sorted(zip(map(score, table.decode_all(drawn)), range(len(drawn)), drawn, strict=True), reverse=True)
    best = -math.inf
    for value, _, here in starts[:STARTS]:
        top, point = value, here
        while True:
            near = list(table.neighbours(point))
            scores = [score(entry) for entry in table.decode_all(near)]
            if max(scores) <= top:
                break
            top = max(scores)
            point = near[scores.index(top)]
        best = max(best, top)
    return best

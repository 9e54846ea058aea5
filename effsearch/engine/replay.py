"""Replays samplers on a benchmark table, where a training is a look-up: how soon does each find the best network?"""

import math
import random
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import get_context
from operator import attrgetter
from typing import Any

import numpy as np
import optuna

from effsearch.benchmark_table import Entry, Table
from effsearch.engine.posterior import gather, name_best
from effsearch.engine.samplers import make_sampler
from effsearch.engine.space_sampler import Objective, SamplerContext, SpaceExhausted, SpaceSampler, distributions
from effsearch.executors.threads import single_thread
from effsearch.reward import Reward
from effsearch.runs.regret import Replay, SearchCurve, summarise
from effsearch.space import Values

STARTS = 32  # starts of hill climbing for the best of a table that is too large to be predicted in full
FURTHER = 0.2  # share of the evaluations of a noisy search that repeat networks before one is named
LARGEST = 100_000  # networks of a table of predictions that is predicted in full


class Stopwatch:
    """Adds up the seconds of CPU that a sampler takes."""

    def __init__(self, sampler: SpaceSampler) -> None:
        self.seconds = 0.0
        for method in ("before_trial", "sample_relative", "after_trial"):
            setattr(sampler, method, partial(self._time, getattr(sampler, method)))

    def _time(self, method: Callable[..., Any], *args: Any) -> Any:
        start = time.process_time()
        try:
            return method(*args)
        finally:
            self.seconds += time.process_time() - start


def search_table(
    table: Table,
    reward: Reward,
    sampler: str,
    seed: int,
    trials: int,
    running: int = 1,
    prior: Callable[[Entry], float] | None = None,
    noise: float = 0.0,
) -> SearchCurve:
    """One search of a table in memory, with `running` trials at a time; it ends early when the rows are used up.

    `noise` is the standard deviation (a fraction) of what each look adds to the accuracy, drawn by the seed.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    objective = Objective(reward, attrgetter("flops"), prior=prior)
    timed = make_sampler(sampler, SamplerContext(table, objective=objective), seed)
    stopwatch, study = Stopwatch(timed), optuna.create_study(direction="maximize", sampler=timed)
    choices, best, asked = distributions(table), [], []  # type: ignore[var-annotated]
    looks = Looks(table, reward, noise, seed)
    while len(best) < trials:
        try:
            while len(asked) < min(running, trials - len(best)):
                asked.append(study.ask(choices))
        except SpaceExhausted:
            if not asked:
                break
        for trial in asked:
            entry = table.decode(trial.params)
            study.tell(trial, looks.first(trial.params, entry))
            value = reward(entry.accuracy, entry.flops)
            best.append(max(value, *best[-1:]) if best else value)
        asked = []
    seconds = stopwatch.seconds / max(1, len(best))
    best += best[-1:] * (trials - len(best))
    curve = SearchCurve(sampler, seed, tuple(best), seconds)
    return looks.named(curve, timed.context, trials) if noise else curve


@dataclass
class Looks:
    """What a search of a table has measured, and its true accuracies, which only the regret is computed from."""

    table: Table
    reward: Reward
    noise: float
    seed: int

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng((self.seed, 1))
        self.values: list[Values] = []
        self.entries: list[Entry] = []
        self.measured: list[float] = []

    def first(self, values: Values, entry: Entry) -> float:
        """The reward of a network that is trained for the first time."""
        self.values.append(dict(values))
        self.entries.append(entry)
        self.measured.append(self._look(entry))
        return self.reward(self.measured[-1], entry.flops)

    def named(self, curve: SearchCurve, context: SamplerContext, trials: int) -> SearchCurve:
        """With the true reward of the network that is named, and of the one with the largest single measurement.

        Both have the same number of looks: to name one, the last FURTHER of them go to networks that were seen before.
        """
        further = min(round(FURTHER * trials), len(self.entries) - 1)
        searched = len(self.entries) - max(0, further - (trials - len(self.entries)))
        found = self.entries[:searched]
        trained = gather(context, self.values[:searched], found, [(value,) for value in self.measured[:searched]])
        chosen = name_best(context, trained, further, lambda row: self._look(found[row]))
        pairs = zip(self.entries, self.measured, strict=True)
        luckiest = max(pairs, key=lambda pair: self.reward(pair[1], pair[0].flops))[0]
        return replace(curve, selected=self._true(found[chosen]), naive=self._true(luckiest))

    def _look(self, entry: Entry) -> float:
        return entry.accuracy + self.noise * float(self.rng.standard_normal())

    def _true(self, entry: Entry) -> float:
        return self.reward(entry.accuracy, entry.flops)


@dataclass(frozen=True)
class Searches:
    """Searches of a table by each of `samplers` under each of `seeds` seeds, as `search_table` makes them."""

    table: Table
    reward: Reward
    samplers: Sequence[str]
    seeds: int
    trials: int
    running: int = 1
    noise: float = 0.0

    def run(self, sampler: str, seeds: Sequence[int]) -> list[SearchCurve]:
        """The searches of a sampler under some of the seeds."""
        search = partial(search_table, self.table, self.reward, sampler, running=self.running, noise=self.noise)
        return [search(seed, self.trials) for seed in seeds]


def search_curves(searches: Searches, workers: int) -> Iterator[SearchCurve]:
    """All searches, as they end, in `workers` processes."""
    seeds = searches.seeds
    parts = min(seeds, 2 * workers if workers > 1 else seeds)
    jobs = [(sampler, range(part, seeds, parts)) for sampler in searches.samplers for part in range(parts)]
    if workers == 1:
        for job in jobs:
            yield from searches.run(*job)
        return
    with ProcessPoolExecutor(min(workers, len(jobs)), get_context("spawn"), single_thread) as pool:
        for future in as_completed([pool.submit(searches.run, *job) for job in jobs]):
            yield from future.result()


@dataclass(frozen=True)
class Replayed:
    """The replay of each sampler on a table, and the best reward of its `networks`.

    `looked_at` says that this is the best of all, and not of hill climbing.
    """

    replays: list[Replay]
    best: float
    networks: int
    looked_at: bool


def replay_samplers(searches: Searches, workers: int, told: Callable[[str], object] = lambda text: None) -> Replayed:
    """Replays every sampler under every seed; `told` hears how far that has come."""
    table, samplers = searches.table, searches.samplers
    best, found = best_of(table, searches.reward), list[SearchCurve]()
    for curve in search_curves(searches, workers):
        found.append(curve)
        told(f"{len(found)}/{len(samplers) * searches.seeds} searches")
    replays = sorted(summarise(found, best), key=lambda replay: samplers.index(replay.sampler))
    return Replayed(replays, best, table.size, is_looked_at(table))


def is_looked_at(table: Table) -> bool:
    """Whether all networks of a table are looked at for the best: its rows are listed, or few enough are predicted."""
    return isinstance(table.entries, dict) or table.size <= LARGEST


def best_of(table: Table, reward: Reward) -> float:
    """The best reward in a table, or the best that hill climbing finds where not all networks are looked at."""

    def score(entry: Entry | None) -> float:
        return -math.inf if entry is None else reward(entry.accuracy, entry.flops)

    if is_looked_at(table):
        return max(map(score, table.entries.values()))

    def climbed(top: float, point: Values) -> float:
        while True:
            near = list(table.neighbours(point))
            scores = [score(entry) for entry in table.decode_all(near)]
            if max(scores) <= top:
                return top
            top, point = max(zip(scores, near, strict=True), key=lambda pair: pair[0])

    rng = random.Random(0)
    drawn = [table.sample(rng) for _ in range(50 * STARTS)]
    starts = sorted(zip(map(score, table.decode_all(drawn)), range(len(drawn)), drawn, strict=True), reverse=True)
    return max(climbed(value, point) for value, _, point in starts[:STARTS])

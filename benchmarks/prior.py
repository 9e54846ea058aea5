"""Measures what a prior mean saves auto, and that a wrong one is unlearnt.

    python benchmarks/prior.py --bench FOLDER
    python benchmarks/prior.py --rows cifar10.csv

With --bench, a folder that holds accel_nasbench/accel_nasbench.csv, the prior is fitted to one half of its trainings
and the rows of the other are searched, then the other way round: seeds alternate. With --rows, a table that
prior_trainings.py wrote, the prior is the one that ships. Beside it stand wrong ones: its sign flipped, its
coefficients shuffled among the features, and noise. T is the median of the FLOPs under the soft reward and their 40 %
quantile under the hard.
"""

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats
from search_tables import accel

from effsearch.benchmark_table import Entry, Table
from effsearch.engine.replay import best_of, search_table
from effsearch.evaluation.tables import read_table
from effsearch.prior import choices, features, load
from effsearch.reports.replay import replay_table
from effsearch.reward import Reward
from effsearch.runs.regret import SearchCurve, summarise

sys.path.append(str(Path(__file__).parent.parent / "scripts"))
from fit_prior import ridge

TARGETS = {"soft": 0.5, "hard": 0.4}
"""Quantile of the FLOPs that T is."""

STRENGTH = 30
"""Of the ridge of a prior that is fitted to one half of the rows."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bench", type=Path, help="a folder of benchmark tables")
    parser.add_argument("--rows", type=Path, help="a table of trainings in B0's skeleton")
    parser.add_argument("--priors", default="none,right,flipped,shuffled,noise")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--trials", type=int, default=120)
    arguments = parser.parse_args()
    pools = [Pool(read_table(arguments.rows).table, load().coefficients)] if arguments.rows else halves(arguments.bench)
    for pool in pools:
        print(f"{pool.table.name}: {pool.table.size:,} networks; the prior ranks them at Kendall tau {pool.tau:.3f}")
    for kind in TARGETS:
        compare(pools, kind, arguments)


@dataclass(frozen=True)
class Pool:
    """Rows to search, and the coefficients of a prior that has not seen them."""

    table: Table
    coefficients: Mapping[str, float]

    @cached_property
    def held(self) -> dict[str, list[str]]:
        """Of each row by its notation, the features that it has."""
        return {entry.notation: held(self.table.encode(entry.notation)) for entry in self.table.entries.values()}

    @property
    def tau(self) -> float:
        prior, entries = self.prior("right"), list(self.table.entries.values())
        assert prior is not None
        return float(stats.kendalltau([*map(prior, entries)], [entry.accuracy for entry in entries]).statistic)

    def prior(self, kind: str) -> Callable[[Entry], float] | None:
        """What is told of a row."""
        if kind == "none":
            return None
        rng, coefficients = np.random.default_rng(0), dict(self.coefficients)
        if kind == "flipped":
            coefficients = {name: -value for name, value in coefficients.items()}
        elif kind == "shuffled":
            coefficients = dict(zip(coefficients, rng.permutation(list(coefficients.values())), strict=True))
        told = {key: sum(coefficients.get(name, 0.0) for name in names) for key, names in self.held.items()}
        if kind == "noise":
            told = dict(zip(told, rng.permutation(list(told.values())), strict=True))
        # At the level of accuracies, which the reward of the first proposals looks at.
        level = np.mean([entry.accuracy for entry in self.table.entries.values()]) - np.mean(list(told.values()))
        return lambda entry: float(told[entry.notation] + level)


def held(values: Mapping[str, Any]) -> list[str]:
    """Names of the features of a network, as the prior has them."""
    stages = (
        choices(*(values[f"stage{number}_{name}"] for name in ("expansion", "kernel", "layers", "se_ratio")))
        for number in range(1, 8)
    )
    return list(features(list(stages)))


def halves(bench: Path) -> list[Pool]:
    """Each half of Accel-NASBench with a prior that is fitted to the other."""
    table = accel(bench)
    first = np.random.default_rng(0).random(table.size) < 0.5
    parts = []
    for chosen in (first, ~first):
        rows = {row: entry for (row, entry), is_in in zip(table.entries.items(), chosen, strict=True) if is_in}
        parts.append(replace(table, entries=rows, pool=True, name=f"half {len(parts) + 1} of accel"))
    return [Pool(part, fitted(other)) for part, other in (parts, parts[::-1])]


def fitted(table: Table) -> dict[str, float]:
    """The coefficients of a ridge on the rows of a table."""
    networks = [held(table.encode(entry.notation)) for entry in table.entries.values()]
    names = sorted({name for network in networks for name in network})
    place = {name: index for index, name in enumerate(names)}
    matrix = np.zeros((len(networks), len(names)))
    for index, network in enumerate(networks):
        matrix[index, [place[name] for name in network]] = 1
    accuracy = np.array([entry.accuracy for entry in table.entries.values()])
    _, coefficients = ridge(matrix, accuracy, np.ones(len(accuracy)), STRENGTH)
    return dict(zip(names, coefficients.tolist(), strict=True))


def compare(pools: list[Pool], kind: Any, arguments: argparse.Namespace) -> None:
    found = [course for name in arguments.priors.split(",") for course in courses(pools, kind, name, arguments)]
    print(f"\n{kind} reward\n{replay_table(summarise(found, 1.0)).markdown()}", flush=True)


def courses(pools: list[Pool], kind: Any, name: str, arguments: argparse.Namespace) -> Iterator[SearchCurve]:
    """Searches with a prior, as shares of the best that there is."""
    for seed in range(arguments.seeds):
        pool = pools[seed % len(pools)]
        table, flops = pool.table, [entry.flops for entry in pool.table.entries.values()]
        reward = Reward(float(np.quantile(flops, TARGETS[kind])), kind)
        trials = min(arguments.trials, table.size)
        course = search_table(table, reward, "auto", seed, trials, prior=pool.prior(name))
        best = best_of(table, reward)
        yield replace(course, sampler=name, best=tuple(value / best for value in course.best))


if __name__ == "__main__":
    main()

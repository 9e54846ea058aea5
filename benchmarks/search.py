"""Measures samplers on benchmark tables: auto beside regularized evolution, random and Optuna's TPE, GP and NSGA-II.

    python benchmarks/search.py --bench FOLDER --out search.jsonl

Every search is cold and knows nothing but FLOPs. Tables are made by formula and seed (search_tables.py); with --bench,
a folder that holds accel_nasbench/accel_nasbench.csv, there are three more. Each is searched under the soft and the
hard reward; T is the median of the FLOPs under the soft and their 40 % quantile under the hard, of 5,000 random
networks where a table is too large to be looked at as a whole. Optuna's GP takes up to a second for a proposal and has
fewer seeds. With --noise each look adds noise, and the table ends with the regret of the network that is named, and of
the largest measurement. --cost measures time and memory of a proposal after many trials instead.
"""

import argparse
import json
import random
import resource
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from search_tables import MADE, accel, boosted, completed

from effsearch import space as spaces
from effsearch.benchmark_table import Entry, Table
from effsearch.costs import cost
from effsearch.engine.replay import Searches, best_of, is_looked_at, search_curves
from effsearch.engine.samplers import make_sampler
from effsearch.engine.space_sampler import Objective, SamplerContext, always, distributions
from effsearch.prior import accuracy
from effsearch.reports.replay import replay_table
from effsearch.reward import Reward
from effsearch.runs.regret import summarise

SAMPLERS = ("auto", "tpe", "gp", "nsga2", "evolution", "random")
TARGETS = {"soft": 0.5, "hard": 0.4}
"""Quantile of the FLOPs that T is."""


def main() -> None:
    arguments = parse()
    if arguments.cost:
        for name in ("additive", "mixed", "b0"):
            for trials in (500, 10_000):
                measure_cost(name, trials)
        return
    for name, made in tables(arguments.bench):
        if arguments.tables is None or name in arguments.tables.split(","):
            table = made()
            for kind in TARGETS:
                compare(table, kind, arguments)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bench", type=Path, help="a folder of benchmark tables")
    parser.add_argument("--tables", help="only these: NAME,NAME")
    parser.add_argument("--samplers", default=",".join(SAMPLERS))
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--gp-seeds", type=int, default=5, help="of Optuna's GP, which is slow")
    parser.add_argument("--gp-trials", type=int, help="of Optuna's GP [default: as of the others]")
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--noise", type=float, default=0.0, help="standard deviation that a look adds to the accuracy")
    parser.add_argument("--workers", type=int, default=1, help="processes")
    parser.add_argument("--out", type=Path, help="a line of JSON is added for each table and reward")
    parser.add_argument("--cost", action="store_true", help="measure time and memory instead")
    return parser.parse_args()


def tables(bench: Path | None) -> Iterator[tuple[str, Callable[[], Table]]]:
    if bench is not None:
        yield "accel", lambda: accel(bench)
        yield "boosted", lambda: boosted(bench)
        yield "completed", lambda: completed(bench)
    yield from MADE.items()


def compare(table: Table, kind: Any, arguments: argparse.Namespace) -> None:
    flops = [entry.flops for entry in looked_at(table)]
    reward = Reward(float(np.quantile(flops, TARGETS[kind])), kind)
    best, found = best_of(table, reward), []
    for sampler in arguments.samplers.split(","):
        seeds, trials = arguments.seeds, arguments.trials
        if sampler == "gp":
            seeds, trials = arguments.gp_seeds, arguments.gp_trials or trials
        found += search_curves(
            Searches(table, reward, (sampler,), seeds, trials, noise=arguments.noise), arguments.workers
        )
    replays = summarise(found, best)
    values = [reward(entry.accuracy, entry.flops) for entry in looked_at(table)]
    near = sum(value >= 0.999 * best for value in values)
    print(
        f"\n{table.name}: {table.size:,} networks, {kind} reward, T = {reward.target:,.0f} FLOPs; {near} of "
        f"{len(values):,} within 0.1 % of the best"
    )
    print(replay_table(replays).markdown(), flush=True)
    if arguments.out is not None:
        line = {"table": table.name, "reward": kind, "replays": [asdict(replay) for replay in replays]}
        for replay in line["replays"]:
            del replay["curve"], replay["low"], replay["high"]
        with arguments.out.open("a") as file:
            file.write(json.dumps(line) + "\n")


def looked_at(table: Table) -> list[Entry]:
    """All networks of a table, or some at random of one that is too large."""
    if is_looked_at(table):
        return list(table.entries.values())
    rng = random.Random(0)
    return [entry for entry in table.decode_all([table.sample(rng) for _ in range(5000)]) if entry is not None]


def measure_cost(name: str, trials: int, proposals: int = 60) -> None:
    """Random trials, then proposals of auto after them, in space b0 with the prior."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    if name in MADE:
        searched: Any = MADE[name]()
        objective = Objective(Reward(150e6), lambda entry: entry.flops)
        feasible: Callable[[Any], bool] = always
    else:
        searched = spaces.load(name).at(224)
        prior = accuracy if name == "b0" else None
        objective = Objective(Reward(400e6), lambda network: cost(network).flops, prior=prior)

        def feasible(network: Any) -> bool:
            return 200e6 <= objective.cost(network) <= 500e6

    def value(network: Any) -> float:
        if name in MADE:
            return objective.reward(network.accuracy, network.flops)
        size = sum(stage.channels * stage.layers for stage in network.stages)
        return objective.reward(size / (size + 500), objective.cost(network))

    study, choices = optuna.create_study(direction="maximize"), distributions(searched)
    context = SamplerContext(searched, feasible, objective=objective)
    study.sampler = make_sampler("random", context, 0)
    seconds = []
    for index in range(trials + proposals):
        if index == trials:
            study.sampler = make_sampler("auto", context, 0)
        start = time.process_time()
        trial = study.ask(choices)
        seconds.append(time.process_time() - start)
        study.tell(trial, value(searched.decode(trial.params)))
    taken = 1000 * np.array(seconds[trials:])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{name}, after {trials:,} trials: {np.median(taken):.1f} ms of CPU a proposal in the median, "
        f"{taken[1:].mean():.1f} in the mean, {taken.max():.0f} at most; peak memory of the process {peak:.0f} MiB",
        flush=True,
    )


if __name__ == "__main__":
    main()

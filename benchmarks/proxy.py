"""Measures a proxy on an image set: its noise, what growth gains on it, and whether it ranks as a longer training does.

    python benchmarks/proxy.py --data scenes --proxy standard --seeds 4 --out proxy-scenes-standard.json

B0 is trained with several seeds; with 1.5 times the channels, the resolution and the layers; and architectures (B0,
MnasNet-A1 and random ones of the space mixed) with the proxy's epochs, the first twelve with three times as many too.
Those of the proxy's epochs are also looked at on their way, which tells what a rung of fewer epochs would have said.
The validation split and the training images are the same throughout. Each result is written to --out as it comes, and
a benchmark that was stopped continues there.
"""

import argparse
import json
import math
import multiprocessing
import os
import random
import statistics
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from effsearch import space
from effsearch.architecture import Architecture
from effsearch.costs import cost
from effsearch.data import prepare
from effsearch.data.packed import info
from effsearch.evaluation import PROXIES, Proxy
from effsearch.evaluation.proxy_training import ProxyTraining
from effsearch.families import EFFICIENTNET_B0, MNASNET_A1
from effsearch.runs.comparison import kendall_tau

GROWTH = 1.5
LONGER = 3
FLOPS = (0.25 * 400e6, 1.5 * 400e6)
"""At 224 px and 1000 classes: 0.25 to 1.5 times 400M."""


@dataclass(frozen=True)
class Job:
    """One training: its name in the results, and what is trained how."""

    name: str
    architecture: Architecture
    proxy: Proxy
    seed: int

    @property
    def looks(self) -> tuple[int, ...]:
        """The epochs after which it is looked at: a longer or larger training at its end, one that is ranked before."""
        last = self.proxy.epochs
        ranked = self.name.startswith(("b0", "short"))
        return tuple(sorted({max(1, last // 8), last // 4 or 1, last // 2 or 1, last})) if ranked else (last,)


def main() -> None:
    arguments = parse()
    proxy = PROXIES[arguments.proxy]
    folders = {r: prepare(arguments.data, r) for r in (proxy.resolution, grown(proxy).resolution)}
    settings = describe(arguments.data, folders[proxy.resolution], proxy)
    results = resume(arguments.out, settings)
    jobs = list(plan(proxy, arguments.seeds, arguments.growth_seeds, arguments.architectures, arguments.longer))
    left = [job for job in jobs if job.name not in results]
    print(f"{settings['data']}, proxy {proxy.name}: {len(jobs)} trainings, {len(left)} to do", flush=True)
    print(proxy, flush=True)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(arguments.workers, context, initializer=single_thread) as pool:
        trainings = {r: ProxyTraining(proxy, folder, device=arguments.device) for r, folder in folders.items()}
        futures = {pool.submit(work, trainings[job.proxy.resolution], job): job for job in left}
        for future in as_completed(futures):
            job = futures[future]
            results[job.name] = future.result()
            save(arguments.out, settings, results)
            row = results[job.name]
            print(f"{job.name:24} accuracy {row['accuracy']:.4f} in {row['seconds']:6.1f} s", flush=True)
    report(results, arguments.seeds, arguments.growth_seeds)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="scenes", help="name or path of an image set")
    parser.add_argument("--proxy", choices=sorted(PROXIES), default="standard")
    parser.add_argument("--workers", type=int, default=1, help="trainings at once, one thread each")
    parser.add_argument("--seeds", type=int, default=4, help="trainings of B0 that the seed deviation is taken from")
    parser.add_argument("--growth-seeds", type=int, default=2, help="trainings of each grown B0, at least 2")
    parser.add_argument("--architectures", type=int, default=12, help="how many are ranked")
    parser.add_argument("--longer", type=int, default=12, help="how many of them are trained longer, too")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--out", type=Path, default=Path("proxy.json"), help="results; read again when continued")
    return parser.parse_args()


def describe(data: str, folder: Path, proxy: Proxy) -> dict[str, object]:
    """What must be the same for a benchmark to be continued."""
    about = info(folder)
    return {"data": about.name, "digest": about.digest, "proxy": json.loads(json.dumps(asdict(proxy)))}


def resume(out: Path, settings: dict[str, object]) -> dict[str, dict[str, Any]]:
    if not out.exists():
        return {}
    stored = json.loads(out.read_text())
    if stored["settings"] != settings:
        sys.exit(f"{out} was measured with another image set or proxy; give another --out")
    results: dict[str, dict[str, Any]] = stored["results"]
    return results


def save(out: Path, settings: dict[str, object], results: dict[str, dict[str, Any]]) -> None:
    beside = out.with_suffix(".part")
    beside.write_text(json.dumps({"settings": settings, "results": results}, indent=1) + "\n")
    beside.replace(out)


def plan(proxy: Proxy, seeds: int, growth_seeds: int, count: int, longer_count: int) -> Iterator[Job]:
    """The trainings, in the order in which they tell most; the first seeds of B0 serve the ranking too."""
    b0, longer = EFFICIENTNET_B0, replace(proxy, epochs=LONGER * proxy.epochs)
    for seed in range(seeds):
        yield Job(f"b0 seed{seed}", b0, proxy, seed)
    for seed in range(growth_seeds):
        yield Job(f"width seed{seed}", b0, replace(proxy, width=GROWTH * proxy.width), seed)
        yield Job(f"resolution seed{seed}", b0, grown(proxy), seed)
        yield Job(f"depth seed{seed}", deeper(b0), proxy, seed)
    diverse = architectures(count)
    for kind, budget, most in (("short", proxy, count), ("long", longer, longer_count)):
        for name, architecture in list(diverse.items())[:most]:
            if (kind, name) != ("short", "b0"):
                yield Job(f"{kind} {name}", architecture, budget, 0)


def grown(proxy: Proxy) -> Proxy:
    return replace(proxy, resolution=round(GROWTH * proxy.resolution))


def deeper(architecture: Architecture) -> Architecture:
    """Layers times 1.5, rounded up, as the paper's code does it."""
    return replace(
        architecture, stages=tuple(replace(s, layers=math.ceil(GROWTH * s.layers)) for s in architecture.stages)
    )


def architectures(count: int) -> dict[str, Architecture]:
    """B0, MnasNet-A1 and the first random architectures (generator seed 0) of mixed whose FLOPs are in range."""
    mixed, rng = space.load("mixed"), random.Random(0)
    chosen = {"b0": EFFICIENTNET_B0, "mnasnet_a1": MNASNET_A1}
    while len(chosen) < count:
        drawn = mixed.decode(mixed.sample(rng))
        flops = cost(drawn, 224, 1000).flops
        if FLOPS[0] <= flops <= FLOPS[1] and drawn not in chosen.values():
            chosen[f"random{len(chosen) - 1:02}-{flops / 1e6:.0f}M"] = drawn
    return chosen


def single_thread() -> None:
    import torch

    torch.set_num_threads(1)


def work(training: ProxyTraining, job: Job) -> dict[str, Any]:
    """The training in parts, each of which goes on where the one before stopped, to the bit."""
    train, checkpoint, seconds = replace(training, proxy=job.proxy), None, 0.0
    looks: dict[int, float] = {}
    for epochs in job.looks:
        done = train(job.architecture, job.seed, epochs, checkpoint)
        checkpoint, seconds, looks[epochs] = done.checkpoint, seconds + done.seconds, done.accuracy
    return {
        "accuracy": done.accuracy,
        "seconds": seconds,
        "process": os.getpid(),
        "looks": looks,
        "losses": [epoch.loss for epoch in done.history],
    }


def report(results: dict[str, dict[str, Any]], seeds: int, growth_seeds: int) -> None:
    """Accuracies in percent, differences in points of a percent."""
    base = [100 * results[f"b0 seed{seed}"]["accuracy"] for seed in range(seeds)]
    seconds = statistics.median(results[f"b0 seed{seed}"]["seconds"] for seed in range(seeds))
    large = {
        what: [100 * results[f"{what} seed{seed}"]["accuracy"] for seed in range(growth_seeds)]
        for what in ("width", "resolution", "depth")
    }
    groups = [base, *large.values()]
    freedom = sum(len(group) - 1 for group in groups)
    pooled = math.sqrt(sum((len(group) - 1) * statistics.variance(group) for group in groups) / freedom)
    sd = statistics.stdev(base)
    print(f"\nB0: accuracy {statistics.mean(base):.1f} %, {seconds:.0f} s a training (median of {seeds})")
    print(f"seed standard deviation of B0: {sd:.2f} points ({interval(sd, seeds - 1)}, {seeds} seeds)")
    print(f"seed standard deviation, B0 and grown pooled: {pooled:.2f} points ({interval(pooled, freedom)})")
    for what, group in large.items():
        gain, own = statistics.mean(group) - statistics.mean(base), statistics.stdev(group)
        # Each kind by its own variance (Welch): larger networks need not be as steady as B0.
        error = math.sqrt(sum(statistics.variance(each) / len(each) for each in (base, group)))
        line = f"{what} x{GROWTH}: {gain:+.1f} points, standard error {error:.1f}"
        line += f", {gain / sd:+.1f} deviations of B0, {gain / pooled:+.1f} pooled ones"
        print(f"{line}; its own seed standard deviation {own:.2f}, {growth_seeds} seeds")
    report_longer(results)
    report_looks([row for name, row in results.items() if name == "b0 seed0" or name.startswith("short ")])


def report_longer(results: dict[str, dict[str, Any]]) -> None:
    """How the ranking of the architectures that were trained longer too agrees with that of the proxy."""
    names = [name.removeprefix("long ") for name in results if name.startswith("long ")]
    if len(names) < 3:
        print("too few architectures were trained longer to compare their ranking")
        return
    short = np.array([results["b0 seed0" if name == "b0" else f"short {name}"]["accuracy"] for name in names])
    long = np.array([results[f"long {name}"]["accuracy"] for name in names])
    tau, low, high = kendall_tau(short, long)
    against = f"Kendall tau of {len(names)} architectures against {LONGER} times the epochs"
    print(f"{against}: {tau:.2f} (95 % interval {low:.2f} to {high:.2f})")
    for name, values in (("short", 100 * short), ("long", 100 * long)):
        spread = values.std(ddof=1)
        print(f"{name} trainings: {values.min():.1f} to {values.max():.1f} %, standard deviation {spread:.1f} points")


def report_looks(rows: Sequence[dict[str, Any]]) -> None:
    """What each look on the way said of the accuracy at the end, and what the losses so far said."""
    final = np.array([row["accuracy"] for row in rows])
    for epochs in list(rows[0]["looks"])[:-1]:
        # Keys are numbers before they were written, and text when they are read again.
        seen = np.array([row["looks"].get(epochs, row["looks"].get(str(epochs))) for row in rows])
        losses = -np.array([sum(row["losses"][: int(epochs)]) for row in rows])
        both = stats.rankdata(seen) + stats.rankdata(losses)
        tau, low, high = kendall_tau(seen, final)
        by_losses, by_both = kendall_tau(losses, final)[0], kendall_tau(both, final)[0]
        regret = 100 * (final.max() - final[seen.argmax()])
        print(
            f"after {epochs} of {len(rows[0]['losses'])} epochs, {len(rows)} architectures: tau against the end "
            f"{tau:.2f} by accuracy (95 % interval {low:.2f} to {high:.2f}), "
            f"{by_losses:.2f} by the sum of training losses, {by_both:.2f} by both ranks; "
            f"the first then ends {regret:.1f} points below the best"
        )


def interval(sd: float, freedom: int) -> str:
    """The 95 % interval of a standard deviation with so many degrees of freedom, by chi-square."""
    low, high = (sd * math.sqrt(freedom / stats.chi2.ppf(q, freedom)) for q in (0.975, 0.025))
    return f"95 % interval {low:.2f} to {high:.2f}"


if __name__ == "__main__":
    main()

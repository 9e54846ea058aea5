"""Measures which proxies rank networks of equal FLOPs as a long training does, and what they cost.

    python benchmarks/proxies.py run --data scenes --workers 2
    python benchmarks/proxies.py report --plot proxies.png

`run` trains networks drawn from the space mixed within 0.9 to 1.1 times 400M FLOPs, B0 and MnasNet-A1 beside them: by
the reference, a third of them under a second seed too, and by each candidate. The training images and the validation
split are the same throughout. A row is written as each training ends, to results/studies/proxies/DATA.jsonl, and a
study that was stopped continues there. `report` reads all rows and prints a table for each image set.
"""

import argparse
import json
import math
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from statistics import fmean, median
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from scipy.stats import kendalltau

from effsearch import space
from effsearch.architecture import Architecture
from effsearch.costs import cost
from effsearch.data import prepare
from effsearch.data.packed import info
from effsearch.evaluation import Proxy
from effsearch.evaluation.proxy_training import ProxyTraining
from effsearch.executors.local import LocalExecutor
from effsearch.families import EFFICIENTNET_B0, MNASNET_A1
from effsearch.reports.figures import LIGHT
from effsearch.reports.pictures import save_figure
from effsearch.runs.comparison import Array, kendall_tau, kendall_taus, resamples
from effsearch.training import Recipe

ROWS = Path("results/studies/proxies")
WINDOW = (0.9 * 400e6, 1.1 * 400e6)  # FLOPs at 224 px with 1000 classes
DRAWN = 32  # random networks
REPEATED = 3  # every third network has a second seed of the reference
LARGE, SMALL = Recipe(), Recipe(batch=32, rate=0.1)


def proxy(
    name: str, resolution: int, width: float, epochs: int, images: int, recipe: Recipe = LARGE, validation: int = 4000
) -> Proxy:
    return Proxy(name, resolution, width, epochs, images, validation, recipe=recipe)


QUICK = "48px 4x4000"
REFERENCE = "reference"
REFERENCES = {
    # 160,000 images by either, as far as the images go round.
    "cifar10": proxy(REFERENCE, 48, 0.25, 4, 40_000, validation=10_000),
    "scenes": proxy(REFERENCE, 48, 0.25, 10, 16_000),
}
CANDIDATES = (
    proxy(QUICK, 48, 0.25, 4, 4000),
    proxy("48px 3x4000", 48, 0.25, 3, 4000),
    proxy("40px 4x4000 batch 32", 40, 0.25, 4, 4000, SMALL),
    proxy("32px 4x4000", 32, 0.25, 4, 4000),
    proxy("48px 1x16000", 48, 0.25, 1, 16_000),
    proxy("32px half 4x4000", 32, 0.5, 4, 4000),
    proxy("48px eighth 4x6000", 48, 0.125, 4, 6000),
    proxy("24px 6x4000", 24, 0.25, 6, 4000),
    proxy("24px 4x4000", 24, 0.25, 4, 4000),
    proxy("48px 4x4000 rate 0.1", 48, 0.25, 4, 4000, replace(LARGE, rate=0.1)),
    proxy("48px 4x10000", 48, 0.25, 4, 10_000),
    proxy("64px 4x4000", 64, 0.25, 4, 4000),
)


@dataclass(frozen=True)
class Job:
    """One training of the study."""

    network: str
    architecture: Architecture
    proxy: Proxy
    seed: int

    @property
    def key(self) -> tuple[str, str, int]:
        return self.proxy.name, self.network, self.seed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="trains what is left to be trained")
    run.add_argument("--data", required=True, help="name or path of an image set: scenes, or a folder named cifar10")
    run.add_argument("--workers", type=int, default=1, help="trainings at once, one thread each")
    run.add_argument("--device", default="cpu", help="cpu or cuda")
    run.add_argument("--only", nargs="*", help="proxies by name; all by default")
    run.add_argument("--networks", type=int, help="of the networks only the first; all by default")
    said = commands.add_parser("report", help="prints what the rows say")
    said.add_argument("--plot", type=Path, help="a picture of it, as PNG or SVG")
    arguments = parser.parse_args()
    if arguments.command == "run":
        study(arguments.data, arguments.workers, arguments.device, arguments.only, arguments.networks)
        return
    rows = {file.stem: read(file) for file in sorted(ROWS.glob("*.jsonl"))}
    found = {data: report(data, each) for data, each in rows.items()}
    complete = {data: each for data, each in rows.items() if found[data]}
    if complete:
        compare(complete, found)
    if arguments.plot:
        picture(found, arguments.plot)


def study(data: str, workers: int, device: str, only: Sequence[str] | None, first: int | None) -> None:
    name = info(prepare(data, 48)).name
    file = ROWS / f"{name}.jsonl"
    file.parent.mkdir(parents=True, exist_ok=True)
    done = {(row["proxy"], row["network"], row["seed"]) for row in read(file)}
    chosen = list(networks())[:first]
    every = [job for job in jobs(REFERENCES[name]) if job.network in chosen and (not only or job.proxy.name in only)]
    left = [job for job in every if job.key not in done]
    folders = {side: prepare(data, side) for side in {job.proxy.resolution for job in left}}
    print(f"{name}: {len(every)} trainings, {len(left)} to do", flush=True)
    executor = LocalExecutor([0 if device == "cuda" else None] * workers)
    running: dict[Future[dict[str, Any]], Job] = {}
    try:
        while left or running:
            while left and len(running) < workers:
                job = left.pop(0)
                training = ProxyTraining(job.proxy, folders[job.proxy.resolution], device=device)
                running[executor.submit(work, training, job)] = job
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                running.pop(future)
                row = future.result()
                with file.open("a") as out:
                    out.write(json.dumps(row) + "\n")
                print(f"{row['proxy']:24} {row['network']:16} seed {row['seed']}  {100 * row['accuracy']:.1f} %  "
                      f"{row['seconds']:.0f} s", flush=True)  # fmt: skip
    finally:
        executor.stop()


def jobs(reference: Proxy) -> Iterator[Job]:
    """The trainings, in the order in which they are done."""
    drawn = networks()
    for proxy, seed in ((reference, 0), *((each, 0) for each in CANDIDATES), (reference, 1)):
        for index, (network, architecture) in enumerate(drawn.items()):
            if seed == 0 or index % REPEATED == 0:
                yield Job(network, architecture, proxy, seed)


def networks() -> dict[str, Architecture]:
    """B0, MnasNet-A1, and the first networks of a random sequence (seed 0) whose FLOPs are in the window."""
    mixed, rng = space.load("mixed"), random.Random(0)
    chosen = {"b0": EFFICIENTNET_B0, "mnasnet_a1": MNASNET_A1}
    while len(chosen) < DRAWN + 2:
        drawn = mixed.decode(mixed.sample(rng))
        flops = cost(drawn, 224, 1000).flops
        if WINDOW[0] <= flops <= WINDOW[1] and drawn not in chosen.values():
            chosen[f"random{len(chosen) - 1:02}-{flops / 1e6:.0f}M"] = drawn
    return chosen


def work(training: ProxyTraining, job: Job) -> dict[str, Any]:
    """The row of one training; it is also validated halfway, where that is the end of an epoch."""
    start, half = time.process_time(), job.proxy.epochs // 2
    looks = []
    checkpoint = None
    for epochs in sorted({half, job.proxy.epochs} - {0}):
        done = training(job.architecture, job.seed, epochs, checkpoint)
        checkpoint = done.checkpoint
        looks.append([epochs, done.accuracy, done.history[-1].validation_loss])
    return {
        "proxy": job.proxy.name,
        "network": job.network,
        "seed": job.seed,
        "accuracy": done.accuracy,
        "validation_loss": done.history[-1].validation_loss,
        "looks": looks,
        "losses": [round(epoch.loss, 5) for epoch in done.history],
        "seconds": round(sum(epoch.seconds for epoch in done.history), 2),
        "cpu_seconds": round(time.process_time() - start, 2),
        "device": training.device,
    }


def read(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def ranked_by(row: Mapping[str, Any]) -> dict[str, float]:
    """What a training may rank by, the larger the better."""
    losses = row["losses"]
    found = {"accuracy": row["accuracy"], "log-likelihood": -row["validation_loss"], "sum of losses": -sum(losses)}
    if len(losses) >= 4:
        found["learning curve"] = -extrapolated(losses)
    return found


def extrapolated(losses: Sequence[float]) -> float:
    """The loss to which a power law c + a * epoch^-b through the losses falls after ten times as many epochs."""
    epochs = np.arange(1, len(losses) + 1)
    best = (math.inf, losses[-1])
    for power in np.linspace(0.1, 2.0, 20):
        terms = np.stack([np.ones(len(losses)), epochs**-power], axis=1)
        solved, *_ = np.linalg.lstsq(terms, np.array(losses), rcond=None)
        error = float(((terms @ solved - losses) ** 2).sum())
        best = min(best, (error, float(solved[0] + solved[1] * (10 * len(losses)) ** -power)))
    return best[1]


@dataclass(frozen=True)
class Ranked:
    """How well a candidate ranks by one of its measurements: Kendall tau, its interval, and `true` without noise."""

    proxy: str
    what: str
    networks: int
    tau: float
    low: float
    high: float
    true: float
    seconds: float


def ranked(rows: Sequence[dict[str, Any]]) -> Iterator[Ranked]:
    """The candidates, by all that each may rank by."""
    reference = accuracies(rows)
    share = reliability(reference)
    for candidate, mine in trained(rows):
        true = np.array([fmean(reference[row["network"]]) for row in mine])
        seconds = median(row["cpu_seconds"] for row in mine)
        for what in ranked_by(mine[0]):
            tau, low, high = kendall_tau(np.array([ranked_by(row)[what] for row in mine]), true)
            if tau is not None and low is not None and high is not None:
                yield Ranked(candidate, what, len(mine), tau, low, high, corrected(tau, share), seconds)


def trained(rows: Sequence[dict[str, Any]]) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """The candidates that have trained four networks of the reference, with the rows of these."""
    reference = accuracies(rows)
    for candidate in CANDIDATES:
        mine = [row for row in rows if row["proxy"] == candidate.name and row["network"] in reference]
        if len(mine) >= 4:
            yield candidate.name, mine


def accuracies(rows: Sequence[dict[str, Any]], what: str = "accuracy") -> dict[str, list[float]]:
    """What the reference reached, by network, one value for each seed."""
    found: dict[str, list[float]] = {}
    for row in rows:
        if row["proxy"] == REFERENCE:
            found.setdefault(row["network"], []).append(ranked_by(row)[what])
    return found


def report(data: str, rows: Sequence[dict[str, Any]]) -> list[Ranked]:
    """Prints how well the reference repeats itself and the candidates rank, and returns the latter."""
    count = len(accuracies(rows))
    if count < 4:
        print(f"{data}: the reference has trained {count} networks, and a ranking takes four")
        return []
    for what in ("accuracy", "log-likelihood"):
        print(f"{data}, reference by {what}: {repeatability(accuracies(rows, what))}")
    print(f"\n| {data}: proxy | ranks by | networks | Kendall tau (95 % interval) | corrected | CPU seconds |")
    print("| --- | --- | ---: | ---: | ---: | ---: |")
    found = list(ranked(rows))
    for each in found:
        print(f"| {each.proxy} | {each.what} | {each.networks} | {each.tau:.2f} ({each.low:.2f} to {each.high:.2f}) | "
              f"{each.true:.2f} | {each.seconds:.0f} |")  # fmt: skip
    print()
    places(rows)
    blocks(rows)
    return found


def places(rows: Sequence[dict[str, Any]]) -> None:
    """Prints what each candidate puts first, by its places in the reference, what that loses, and where B0 is.

    A place is among the networks that the candidate has trained, and 1 is the best.
    """
    reference = {name: 100 * fmean(values) for name, values in accuracies(rows).items()}
    print("| proxy | networks | its first three, by the reference | points lost by its first | B0 | by the reference |")
    print("| --- | ---: | --- | ---: | ---: | ---: |")
    for candidate, mine in trained(rows):
        order = [row["network"] for row in sorted(mine, key=lambda row: -row["accuracy"])]
        true = sorted(order, key=lambda name: -reference[name])
        first = ", ".join(str(true.index(name) + 1) for name in order[:3])
        lost = reference[true[0]] - reference[order[0]]
        b0 = [str(ranking.index("b0") + 1) if "b0" in ranking else "" for ranking in (order, true)]
        print(f"| {candidate} | {len(order)} | {first} | {lost:.1f} | {' | '.join(b0)} |")
    print()


def blocks(rows: Sequence[dict[str, Any]]) -> None:
    """Prints how candidates rank halfway and among networks that are mostly MBConv, and how they favour other blocks.

    That is by least squares of the reference's accuracy on a candidate's and on the share of layers that are MBConv.
    """
    shares = {name: mbconv_share(network) for name, network in networks().items()}
    reference = {name: 100 * fmean(values) for name, values in accuracies(rows).items()}
    for most, words in ((True, "at least half of their layers are MBConv"), (False, "fewer are")):
        reached = [value for name, value in reference.items() if (shares[name] >= 0.5) == most]
        print(f"{len(reached)} networks of which {words}: {fmean(reached):.1f} % by the reference")
    print(
        "\n| proxy | tau halfway | tau at the end | of those mostly MBConv | points for MBConv alone (standard error) |"
    )
    print("| --- | ---: | ---: | ---: | ---: |")
    for candidate, mine in trained(rows):
        true = np.array([reference[row["network"]] for row in mine])
        half, end = (np.array([100 * row["looks"][look][1] for row in mine]) for look in (0, -1))
        share = np.array([shares[row["network"]] for row in mine])
        mostly = share >= 0.5
        terms = np.stack([np.ones(len(mine)), end, share], axis=1)
        solved, *_ = np.linalg.lstsq(terms, true, rcond=None)
        variance = ((true - terms @ solved) ** 2).sum() / (len(mine) - 3)
        error = math.sqrt(variance * np.linalg.inv(terms.T @ terms)[2, 2])
        taus = (kendalltau(half, true), kendalltau(end, true), kendalltau(end[mostly], true[mostly]))
        print(f"| {candidate} | {' | '.join(f'{each.statistic:.2f}' for each in taus)} | "
              f"{solved[2]:.1f} ({error:.1f}) |")  # fmt: skip
    print()


def compare(sets: Mapping[str, Sequence[dict[str, Any]]], found: Mapping[str, Sequence[Ranked]]) -> None:
    """Prints how much better candidates rank than `quick`, and other measurements than accuracy, on each set and all.

    That is over the networks of which every set has the reference, and by the candidates that have trained all of them.
    """
    references = {data: accuracies(rows) for data, rows in sets.items()}
    names = sorted(set.intersection(*map(set, references.values())))
    measured = {data: measurements(rows, names) for data, rows in sets.items()}
    true = {data: np.array([fmean(each[name]) for name in names]) for data, each in references.items()}
    quick = (QUICK, "accuracy")

    each_set = " | ".join(f"more than quick on {data}" for data in sets)
    print(f"| proxy | networks | mean tau | more than quick (95 % interval) | {each_set} | CPU time (quick = 1) |")
    print("| --- | ---: | ---: | ---: |" + " ---: |" * (len(sets) + 1))
    for mine in ((candidate.name, "accuracy") for candidate in CANDIDATES):
        if not all({mine, quick} <= each.keys() for each in measured.values()):
            continue
        values = np.array([[measured[data][mine], measured[data][quick], true[data]] for data in sets])
        tau, _ = mean_taus(values, np.ones(len(names)))
        more = ["" if mine == quick else gain(each) for each in (values, *values[:, np.newaxis])]
        seconds = [{one.proxy: one.seconds for one in found[data]} for data in sets]
        share = fmean(each[mine[0]] / each[QUICK] for each in seconds)
        print(f"| {mine[0]} | {len(names)} | {tau:.2f} | {' | '.join(more)} | {share:.2f} |")

    print("\n| ranks by | image sets | candidates | more tau than accuracy (95 % interval) |")
    print("| --- | --- | ---: | ---: |")
    for what in sorted({what for each in measured.values() for _, what in each} - {"accuracy"}):
        rankings = {
            data: [[each[mine, what], each[mine, "accuracy"], true[data]] for mine, other in each if other == what]
            for data, each in measured.items()
        }
        for data, triples in [*rankings.items(), ("all", list(chain.from_iterable(rankings.values())))]:
            if triples:
                print(f"| {what} | {data} | {len(triples)} | {gain(np.array(triples))} |")
    print()


def measurements(rows: Sequence[dict[str, Any]], names: Sequence[str]) -> dict[tuple[str, str], Array]:
    """What candidates that have trained all of these networks measured, by their names and what they may rank by."""
    found = {}
    for candidate, mine in trained(rows):
        of = {row["network"]: ranked_by(row) for row in mine}
        if of.keys() >= set(names):
            for what in of[names[0]]:
                found[candidate, what] = np.array([of[name][what] for name in names])
    return found


def gain(values: Array) -> str:
    """How much more tau the first measurement has than the second, with its 95 % interval by bootstrap over networks.

    Of values (rankings, (first, second, reference), networks), the mean over rankings.
    """
    first, second = mean_taus(values, np.ones(values.shape[-1]))
    low, high = np.percentile(np.subtract(*mean_taus(values, resamples(values.shape[-1]))), [2.5, 97.5])
    return f"{first - second:+.2f} ({low:+.2f} to {high:+.2f})"


def mean_taus(values: Array, counts: Array) -> tuple[Array, Array]:
    """Kendall's tau with the reference, the mean over rankings, of the first measurement and of the second."""
    first, second = (np.mean([kendall_taus(each[i], each[2], counts) for each in values], axis=0) for i in (0, 1))
    return first, second


def mbconv_share(network: Architecture) -> float:
    """The share of the layers in stages that are MBConv."""
    layers = [stage.op for stage in network.stages for _ in range(stage.layers)]
    return layers.count("mbconv") / len(layers)


def picture(found: Mapping[str, Sequence[Ranked]], file: Path) -> None:
    """Kendall tau by accuracy and by log-likelihood, the cheapest candidate first, a panel for each image set."""
    sets = {data: each for data, each in found.items() if each}
    figure = Figure(figsize=(6 * len(sets), 4.5), layout="constrained")
    panels = figure.subplots(1, len(sets), squeeze=False, sharex=True)[0]
    for axes, (data, each) in zip(panels, sets.items(), strict=True):
        seconds = {one.proxy: one.seconds for one in sorted(each, key=lambda one: one.seconds)}
        places = {proxy: place for place, proxy in enumerate(seconds)}
        for what, colour, side in (("accuracy", LIGHT["blue"], -0.14), ("log-likelihood", LIGHT["vermillion"], 0.14)):
            mine = [one for one in each if one.what == what]
            bars = [[one.tau - one.low for one in mine], [one.high - one.tau for one in mine]]
            x, y = [one.tau for one in mine], [places[one.proxy] + side for one in mine]
            axes.errorbar(x, y, xerr=bars, fmt="o", color=colour, label=f"by {what}", markersize=5, elinewidth=1)
        axes.set_yticks(list(places.values()), [f"{proxy}  {seconds[proxy]:.0f} s" for proxy in places], fontsize=8)
        axes.set(title=data, xlabel="Kendall tau with the reference (bars: 95 %)")
        axes.invert_yaxis()
        axes.axvline(0, color=LIGHT["grey"], linewidth=0.8)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=2, fontsize=8)
    save_figure(figure, file)


def repeatability(values: Mapping[str, Sequence[float]]) -> str:
    """How well a second seed of the reference ranks as the first does."""
    pairs = np.array([group[:2] for group in values.values() if len(group) > 1])
    first = np.array([group[0] for group in values.values()])
    text = f"{len(first)} networks, standard deviation {first.std(ddof=1):.4f}"
    if len(pairs) < 4:
        return f"{text}; no second seeds yet"
    noise = math.sqrt(float(((pairs[:, 0] - pairs[:, 1]) ** 2).mean()) / 2)
    tau, low, high = kendall_tau(pairs[:, 0], pairs[:, 1])
    share = reliability(values)
    most = 2 / math.pi * math.asin(math.sqrt(share))
    return (
        f"{text}, of seeds {noise:.4f} ({len(pairs)} networks twice, tau {tau:.2f}, "
        f"{low:.2f} to {high:.2f}); reliability {share:.2f}, so that the true order would have tau {most:.2f} with it"
    )


def reliability(values: Mapping[str, Sequence[float]]) -> float:
    """The share of the variance of one reference training that is the network's, from those trained twice."""
    pairs = np.array([group[:2] for group in values.values() if len(group) > 1])
    if len(pairs) < 4:
        return 1.0
    noise = float(((pairs[:, 0] - pairs[:, 1]) ** 2).mean()) / 2
    return max(0.01, 1 - noise / float(np.var([group[0] for group in values.values()], ddof=1)))


def corrected(tau: float, share: float) -> float:
    """Kendall tau with a reference free of noise, for normal variables (tau = 2/pi arcsin r)."""
    return 2 / math.pi * math.asin(max(-1.0, min(1.0, math.sin(math.pi * tau / 2) / math.sqrt(share))))


if __name__ == "__main__":
    main()

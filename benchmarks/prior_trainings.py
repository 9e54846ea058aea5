"""Trains random networks of EfficientNet-B0's skeleton by a proxy, one seed each: a table that prior.py searches.

    python benchmarks/prior_trainings.py --data cifar10 --networks 48 --out cifar10.csv

The networks are the same for each image set and within 0.5 to 1.25 times 300M FLOPs. A row is written as it comes; a
table that was stopped is continued.
"""

import argparse
import csv
import random
from collections.abc import Iterator
from pathlib import Path

from effsearch import space as spaces
from effsearch.architecture import Architecture
from effsearch.costs import cost
from effsearch.data import prepare
from effsearch.evaluation import PROXIES
from effsearch.evaluation.proxy_training import ProxyTraining
from effsearch.executors.threads import single_thread

FLOPS = (0.5 * 300e6, 1.25 * 300e6)
DECIDED = ("expansion", "kernel", "layers", "se_ratio")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="scenes", help="name or path of an image set")
    parser.add_argument("--proxy", choices=sorted(PROXIES), default="quick")
    parser.add_argument("--networks", type=int, default=48)
    parser.add_argument("--out", type=Path, required=True, help="the table; read again when continued")
    arguments = parser.parse_args()
    single_thread()
    proxy = PROXIES[arguments.proxy]
    train = ProxyTraining(proxy, prepare(arguments.data, proxy.resolution))
    done = len(arguments.out.read_text().splitlines()) - 1 if arguments.out.exists() else 0
    for index, network in zip(range(arguments.networks), networks(), strict=False):
        if index >= done:
            reached, total = train(network, 0), cost(network)
            row = decisions(network) | {"accuracy": reached.accuracy, "flops": total.flops, "params": total.params}
            append(arguments.out, row)
            print(f"{index:3} accuracy {reached.accuracy:.4f} in {reached.seconds:5.1f} s", flush=True)


def networks() -> Iterator[Architecture]:
    """Random ones, each once."""
    space, rng, had = spaces.load("b0"), random.Random(0), set()
    while True:
        network = space.decode(space.sample(rng))
        if FLOPS[0] <= cost(network).flops <= FLOPS[1] and network.key not in had:
            had.add(network.key)
            yield network


def decisions(network: Architecture) -> dict[str, float]:
    """What the stages choose, as the columns of Accel-NASBench name it."""
    return {
        f"stage{number}_{name}": getattr(stage, name)
        for number, stage in enumerate(network.stages, 1)
        for name in DECIDED
    }


def append(path: Path, row: dict[str, float]) -> None:
    new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, row)
        if new:
            writer.writeheader()
        writer.writerow(row)


if __name__ == "__main__":
    main()

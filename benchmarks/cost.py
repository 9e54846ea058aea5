"""Times the closed-form cost beside fvcore's count of the built network, in one run.

python benchmarks/cost.py
"""

import random
import statistics
import time
from collections.abc import Callable

import torch

from effsearch.architecture import Architecture
from effsearch.costs import cost
from effsearch.network import build
from effsearch.network.count import count
from effsearch.space import load

ROUNDS = 5


def seconds(work: Callable[[Architecture], object], architectures: list[Architecture]) -> float:
    """Seconds an architecture: the best of some rounds, since other processes only add."""
    times = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        for architecture in architectures:
            work(architecture)
        times.append((time.perf_counter() - start) / len(architectures))
    return min(times)


def main() -> None:
    torch.set_num_threads(1)
    space, rng = load("mixed"), random.Random(0)
    architectures = [space.decode(space.sample(rng)) for _ in range(200)]
    layers = statistics.mean(architecture.layers for architecture in architectures)
    ours = seconds(cost, architectures)
    built = seconds(lambda architecture: build(architecture, 1000), architectures[:3])
    peer = seconds(lambda architecture: count(build(architecture, 1000), 224), architectures[:3])
    print(f"{len(architectures)} random architectures of mixed, {layers:.1f} layers in the mean, one thread")
    print(f"closed form: {1e6 * ours:.1f} microseconds an architecture")
    print(f"fvcore: {peer:.2f} s, of which building the network takes {built:.2f} s")
    print(f"ratio: {peer / ours:,.0f}")


if __name__ == "__main__":
    main()

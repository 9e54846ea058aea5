"""Measures how many workers one driver can keep busy: the real loop, a simulated executor, a clock that skips waiting.

    python benchmarks/driver.py --trials 10000 --workers 1,10,100,1000
    python benchmarks/driver.py --storage postgresql://user:password@host/database

Trainings take ten seconds, give or take a tenth, and one in twenty loses its worker. They cost nothing: where the
driver would wait, the clock is set to the next end, so that what is measured is the driver's own time, with what it
writes. Each number of workers has a process and a run of its own in a folder that is thrown away.
"""

import argparse
import random
import resource
import tempfile
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

from effsearch import space as spaces
from effsearch.architecture import Architecture
from effsearch.engine import driver
from effsearch.engine.search_problems import NasProblem
from effsearch.evaluation import QUICK, Evaluation
from effsearch.executors.local import WorkerLost
from effsearch.runs import storage
from effsearch.runs.folder import create
from effsearch.runs.manifest import About, Data, Manifest
from effsearch.runs.settings import NasSettings

SECONDS, SPREAD, CRASHES = 10.0, 0.1, 0.05


class Measured(NamedTuple):
    """What one driver did: trials ended a second of its own time, in all and over the last tenth; memory in MB."""

    workers: int
    trials: int
    rate: float
    last: float
    memory: float
    waiting: float


class Simulation:
    """Workers that only take time: real time while the driver works, and skipped time while it would wait."""

    def __init__(self, workers: int, seed: int = 0) -> None:
        self.workers, self.shared = workers, False
        self.skipped = self.worked = 0.0
        self._rng, self._ends = random.Random(seed), {}

    def monotonic(self) -> float:
        """Seconds of the simulated clock."""
        return time.perf_counter() + self.skipped

    def submit(self, function: Callable[..., Any], *args: Any, timeout: float | None = None) -> "Future[Evaluation]":
        future: Future[Evaluation] = Future()
        seconds = SECONDS * self._rng.uniform(1 - SPREAD, 1 + SPREAD)
        self.worked += seconds
        self._ends[future] = (self.monotonic() + seconds, args[0], seconds)
        return future

    def wait(self, pending: Iterable["Future[Evaluation]"], timeout: float, return_when: str) -> "Waited":
        """In place of concurrent.futures.wait: ends what is due, or what is next."""
        ends = self._ends
        now = self.monotonic()
        first = min(end for end, *_ in ends.values())
        if first > now:
            self.skipped += first - now
            now = first
        done = {future for future, (end, *_) in ends.items() if end <= now}
        for future in done:
            _, architecture, seconds = ends.pop(future)
            self._end(future, architecture, seconds)
        return Waited(done)

    def _end(self, future: "Future[Evaluation]", architecture: Architecture, seconds: float) -> None:
        if self._rng.random() < CRASHES:
            future.set_exception(WorkerLost("killed"))
        else:
            size = sum(stage.channels * stage.layers for stage in architecture.stages)
            future.set_result(Evaluation(min(0.95, 0.3 + size / 20_000), 1, seconds))

    def stop(self) -> None:
        """Nothing runs."""


@dataclass(frozen=True)
class Waited:
    """As concurrent.futures.wait gives it."""

    done: set["Future[Evaluation]"]


class Skipping(NamedTuple):
    """In place of the module `time`."""

    monotonic: Callable[[], float]


def measure(workers: int, trials: int, sampler: str, url: str | None) -> Measured:
    """Drives one search to its end."""
    simulation = Simulation(workers)
    driver.wait, driver.time = simulation.wait, Skipping(simulation.monotonic)  # type: ignore[assignment]
    space = spaces.load("mixed")
    settings = NasSettings(
        "mixed", 4e8, 224, data="none", proxy=QUICK, sampler=sampler, repeats=1, warm_start=False, window=None
    )
    with tempfile.TemporaryDirectory() as folder:
        name = f"driver-{workers}-{time.time_ns()}"
        database = storage.describe(url, name)
        manifest = Manifest(About("nas"), settings, Data(), storage=database)
        run = storage.stored(create(Path(folder), name, manifest.to_document()), database, url)
        problem = NasProblem(space, settings, trials)
        marks, began = [], simulation.monotonic()
        for status in driver.drive(run, problem, lambda *_: None, simulation):  # type: ignore[arg-type]
            if status.ended is not None:
                marks.append(simulation.monotonic() - simulation.skipped)
        total = simulation.monotonic() - began
        busy = total - simulation.skipped
    tenth = max(1, len(marks) // 10)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    last = tenth / max(1e-9, marks[-1] - marks[-tenth - 1])
    return Measured(workers, len(marks), len(marks) / busy, last, memory, 1 - simulation.worked / (workers * total))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--workers", default="1,10,100,1000")
    parser.add_argument("--sampler", default="evolution")
    parser.add_argument("--storage", help="a database in place of journals; studies are left in it")
    parser.add_argument(
        "--profile", action="store_true", help="print where the first number of workers spends its time"
    )
    arguments = parser.parse_args()
    options = (arguments.trials, arguments.sampler, arguments.storage)
    counts = [int(count) for count in arguments.workers.split(",")]
    if arguments.profile:
        import cProfile

        cProfile.runctx("measure(counts[0], *options)", globals() | {"counts": counts, "options": options}, {}, sort=2)
        return
    kind = "a journal" if arguments.storage is None else storage.without_password(arguments.storage)
    print(f"{arguments.trials:,} trials of {SECONDS:g} s, {CRASHES:.0%} crash; {arguments.sampler} sampler; {kind}")
    print("workers   trials/s   last tenth   GPUs one driver feeds   waiting   peak memory")
    for count in counts:
        with ProcessPoolExecutor(1, get_context("spawn")) as pool:
            found = pool.submit(measure, count, *options).result()
        fed = SECONDS * min(found.rate, found.last)
        print(
            f"{found.workers:>7,} {found.rate:>10.1f} {found.last:>12.1f} {fed:>23,.0f} "
            f"{found.waiting:>8.1%} {found.memory:>10,.0f} MB",
            flush=True,
        )


if __name__ == "__main__":
    main()

"""A search without training: accuracies by formula, in this process or in workers."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from effsearch.architecture import Architecture
from effsearch.engine import driver
from effsearch.engine.driver import Status
from effsearch.engine.search_problems import NasProblem
from effsearch.evaluation import QUICK, Evaluation
from effsearch.executors.latency_profiler import LatencyProfiler
from effsearch.runs.folder import Run, create
from effsearch.runs.manifest import About, Data, Limits, Manifest
from effsearch.runs.settings import NasSettings
from effsearch.space import Space, load, locate

TINY = load("tiny")


def toy_accuracy(architecture: Architecture, seed: int) -> float:
    """More accurate with more channels and layers, and a little by chance of key and seed."""
    size = sum(stage.channels * stage.layers for stage in architecture.stages)
    chance = (int(architecture.key, 16) ^ (seed * 2654435761)) % 1000 / 1000
    return min(0.95, 0.3 + size / 500 + 0.02 * chance)


def toy(architecture: Architecture, seed: int) -> Evaluation:
    return Evaluation(toy_accuracy(architecture, seed), epochs=1, seconds=0.01)


def slow_toy(architecture: Architecture, seed: int) -> Evaluation:
    time.sleep(0.3)
    return toy(architecture, seed)


def dies(architecture: Architecture, seed: int) -> Evaluation:
    """Every third architecture kills its worker."""
    if int(architecture.key, 16) % 3 == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return toy(architecture, seed)


class InProcess:
    """An executor that works at once, in this process."""

    def __init__(self, workers: int = 1) -> None:
        self.workers, self.shared = workers, True
        self.stopped = False
        self.tasks: list[tuple[Architecture, int]] = []

    def submit(self, function: Callable[..., Any], *args: Any, timeout: float | None = None) -> Future[Any]:
        self.tasks.append((args[0], args[1]))
        future: Future[Any] = Future()
        try:
            future.set_result(function(*args))
        except Exception as error:
            future.set_exception(error)
        return future

    def stop(self) -> None:
        self.stopped = True


def settings(**changes: Any) -> NasSettings:
    values: dict[str, Any] = {
        "space": "tiny",
        "target": 8e6,
        "resolution": 64,
        "data": "scenes",
        "proxy": QUICK,
        "repeats": 1,
        "finalists": 2,
    }
    return NasSettings(**(values | changes))


def new_run(results: Path, name: str = "toy") -> Run:
    manifest = Manifest(About("nas"), settings(), Data("scenes"))
    return create(results, name, manifest.to_document(), {"space.toml": locate("tiny").read_text(encoding="utf-8")})


def search(
    run: Run,
    space: Space,
    chosen: NasSettings,
    limits: Limits,
    evaluator: Any,
    executor: Any,
    stopping: Callable[[], bool] = lambda: False,
    profiler: LatencyProfiler | None = None,
) -> Iterator[Status]:
    """Searches a space, as the workflow does."""
    problem = NasProblem(space, chosen, limits.trials, profiler)
    return driver.drive(run, problem, evaluator, executor, limits.seconds, stopping)


def drive(
    run: Run,
    chosen: NasSettings,
    trials: int,
    evaluator: Any = toy,
    executor: Any = None,
    space: Space = TINY,
    seconds: float | None = None,
    stopping: Callable[[], bool] = lambda: False,
) -> Status:
    """Runs a search to its end and returns its last status."""
    executor = executor or InProcess()
    *_, last = search(run, space, chosen, Limits(trials, seconds), evaluator, executor, stopping)
    assert isinstance(last, Status)
    return last

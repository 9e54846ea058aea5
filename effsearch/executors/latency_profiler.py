"""Latencies of the networks of a search, each measured once while no training runs, and predicted by a fitted model."""

import json
import math
import multiprocessing
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import nnls

from effsearch.architecture import Architecture, Stage, parse
from effsearch.costs import cost, out_side, stage_cost
from effsearch.errors import EffsearchError, RunError
from effsearch.evaluation.hardware import send
from effsearch.executors.local import LocalExecutor, call
from effsearch.files import write_atomically
from effsearch.runs.settings import LatencyConditions

SECONDS = 1.0  # for which each network is timed (at least 20 runs)
MOST_SECONDS = 300.0  # timeout of one measurement
SHORTEST = 1e-9  # seconds below which a latency in a file is invalid
FAILURES = 3  # networks in a row that cannot be measured, after which the machine is at fault
LEAST_SECONDS = 1e-6  # least prediction, since the fitted rates of all kinds of work that a network does may be 0
LEAST = 12  # networks that a model is fitted to, at least


class LatencyProfiler:
    """Measures latencies in seconds in a process of its own, while the workers of this process are paused.

    A model fitted to a first sample predicts latencies of candidates; those proposed are measured and kept in `file`.
    Raises RunError where the file cannot be read, or nothing can be measured.
    """

    def __init__(self, conditions: LatencyConditions, classes: int) -> None:
        self.conditions, self._classes = conditions, classes
        self.file: Path | None = None
        self._known: dict[str, tuple[str, float]] = {}  # notation and seconds, by key
        self._sample: list[str] = []
        self._failed = 0
        self._model: LatencyModel | None = None
        self._executor: LocalExecutor | None = None

    @classmethod
    def read(cls, conditions: LatencyConditions, classes: int, file: Path) -> "LatencyProfiler":
        """A profiler with the measurements of an earlier one of the same run; raises RunError."""
        try:
            document = json.loads(file.read_text(encoding="utf-8"))
            profiler = cls(conditions, classes)
            for text, seconds in document["latencies"].items():
                profiler._known[parse(text).key] = text, math.inf if seconds is None else _latency(seconds)
            if any(document["latencies"].get(text) is None for text in document["sample"]):
                raise ValueError("the sample was not measured")
            profiler.learn(list(map(parse, document["sample"])))
        except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError, EffsearchError) as error:
            raise RunError(f"{file} does not hold the latencies of a run: {error}") from None
        profiler.file = file
        return profiler

    def close(self) -> None:
        if self._executor is not None:
            self._executor.stop()
            self._executor = None

    def learn(self, architectures: Sequence[Architecture]) -> None:
        """Measures a sample, unless that was done before, and fits the model to it."""
        seconds = [self.measure(architecture) for architecture in architectures]
        self._sample = [architecture.notation for architecture in architectures]
        self._model = fit_latency(architectures, seconds, self._classes)

    @property
    def error(self) -> float:
        """The relative error of predictions (root mean square of cross-validation)."""
        assert self._model is not None
        return self._model.error

    def expect(self, architecture: Architecture) -> float:
        """The predicted latency, also of a network that was measured."""
        assert self._model is not None
        return self._model.predict(architecture, self._classes)

    def measure(self, architecture: Architecture) -> float:
        """The median latency, or infinity if it cannot be measured; raises RunError where FAILURES in a row cannot."""
        key = architecture.key
        if key not in self._known:
            try:
                seconds, self._failed = self._measure(architecture), 0
            except RunError:
                seconds, self._failed = math.inf, self._failed + 1
                if self._failed == FAILURES or self._model is None:
                    raise
            self._known[key] = architecture.notation, seconds
            if self.file is not None:
                write_atomically(self.file, self.document())
        return self._known[key][1]

    def document(self) -> str:
        """The text of the file: seconds by notation, null where a network cannot be measured."""
        found = {text: None if math.isinf(seconds) else seconds for text, seconds in self._known.values()}
        return json.dumps({"sample": self._sample, "latencies": found}, indent=1) + "\n"

    def _measure(self, architecture: Architecture) -> float:
        how = self.conditions
        if self._executor is None:
            self._executor = LocalExecutor([0 if how.device == "cuda" else None])
        beside: list[int] = []
        try:
            own = self._executor.submit(call, "os", "getpid").result()
            beside = [child.pid for child in multiprocessing.active_children() if child.pid not in (None, own)]
            where = ("effsearch.evaluation.timing", "measure_alone")
            task = (beside, architecture, how.device, how.batch, how.threads, None, self._classes, SECONDS)
            found = self._executor.submit(call, *where, *task, timeout=MOST_SECONDS).result()
        except Exception as error:
            reason = str(error).partition("\n")[0] or type(error).__name__
            raise RunError(f"the latency of {architecture.notation} cannot be measured: {reason}") from error
        finally:
            send(beside, signal.SIGCONT)  # as the process that measures has done, unless it was killed
        return float(found.median)


def _latency(seconds: Any) -> float:
    if type(seconds) not in (int, float) or not SHORTEST <= seconds <= MOST_SECONDS:
        raise ValueError(f"{seconds!r:.80} is no latency")
    return float(seconds)


@dataclass(frozen=True)
class LatencyModel:
    """Seconds as a weighted sum of the kinds of work that `work` lists.

    `error` is the root mean square of the relative errors for networks that were left out, one at a time.
    """

    weights: tuple[float, ...]
    error: float

    def predict(self, architecture: Architecture, classes: int) -> float:
        """The latency in seconds."""
        return max(LEAST_SECONDS, float(np.dot(work(architecture, classes), self.weights)))


def fit_latency(architectures: Sequence[Architecture], seconds: Sequence[float], classes: int) -> LatencyModel:
    """Fits rates that are not negative, so that relative errors are small; raises ValueError for under LEAST."""
    if len(architectures) < LEAST:
        raise ValueError(f"a model of latency needs {LEAST} networks at least, got {len(architectures)}")
    # Rows are divided by their latency, so that errors are relative and each fitted sum is 1.
    rows = np.array([work(network, classes) for network in architectures]) / np.array(seconds)[:, None]
    errors = [row @ _rates(np.delete(rows, index, 0)) - 1 for index, row in enumerate(rows)]
    return LatencyModel(tuple(_rates(rows).tolist()), float(np.sqrt(np.mean(np.square(errors)))))


def _rates(rows: np.ndarray) -> np.ndarray:
    scale = np.where(rows.max(0) == 0, 1.0, rows.max(0))
    return np.asarray(nnls(rows / scale, np.ones(len(rows)))[0] / scale)


def work(architecture: Architecture, classes: int) -> tuple[float, ...]:
    """The amount of each kind of work that a network does for one image.

    A constant, blocks, blocks with squeeze-and-excitation, elements written, elements that depthwise convolutions and
    the excitations after them write, multiply-adds of depthwise convolutions, of the stem and all stages without these,
    and of all else, and parameters.
    """
    total, stem = cost(architecture, classes=classes), architecture.stem
    excited = depthwise_elements = excited_elements = depthwise = 0
    side = out_side(architecture.resolution, stem.stride)
    dense = 3 * stem.channels * stem.kernel**2 * side * side
    side = out_side(side, 2) if stem.pool else side
    channels = stem.channels
    for stage in architecture.stages:
        flops, _, _, after = stage_cost(stage, channels, side)
        excited += stage.layers if stage.se_ratio else 0
        if written := after**2 * _channels(stage, channels, "depthwise"):
            depthwise_elements += written
            depthwise += written * stage.kernel**2
            excited_elements += after**2 * _channels(stage, channels, "excitation")
        else:
            dense += flops
        channels, side = stage.channels, after
    elements = total.activations, depthwise_elements, excited_elements
    multiply_adds = depthwise, dense, total.flops - dense - depthwise
    return 1.0, architecture.layers, excited, *elements, *multiply_adds, total.params


def _channels(stage: Stage, channels: int, kind: str) -> int:
    """The channels that all parts of one kind in a stage put out together."""
    first, others = stage.widths(channels), stage.widths(stage.channels)
    gives = [part.gives for part in stage.parts if part.kind == kind]
    return sum(first[width] + (stage.layers - 1) * others[width] for width in gives)

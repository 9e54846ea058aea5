"""Latencies of the networks of a search, each measured once while no training runs, and kept with the run."""

import json
import math
import multiprocessing
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from effsearch.architecture import Architecture, parse
from effsearch.errors import EffsearchError, RunError
from effsearch.evaluation.hardware import send
from effsearch.evaluation.latency_model import LatencyModel, fit_latency
from effsearch.executors.local import LocalExecutor, call
from effsearch.files import write_atomically
from effsearch.runs.settings import LatencyConditions

SECONDS = 1.0  # for which each network is timed (at least 20 runs)
MOST_SECONDS = 300.0  # timeout of one measurement
SHORTEST = 1e-9  # seconds below which a latency in a file is invalid
FAILURES = 3  # networks in a row that cannot be measured, after which the machine is at fault


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

"""Runs trainings on a Ray cluster, of many machines or of this one: Ray places the work, the driver keeps the run."""

import logging
import os
import socket
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import ray
from ray import exceptions

from effsearch.data.cache import ship, unpacked
from effsearch.errors import ExecutorError
from effsearch.evaluation.hardware import ContextLost, keep_freed_memory
from effsearch.executors.local import WorkerLost, cores

T = TypeVar("T")

RETRIES = 3  # times that Ray itself tries a training again whose worker or node has died
CALLS = 100  # trainings on a GPU after which their process is replaced; of itself Ray begins one for each
POLL = 0.1  # seconds between two looks at what has ended
SECONDS_TO_ANSWER = 10  # within which a cluster answers
LOCAL = "local"  # the address of a cluster that is begun here, and ends with the executor
LOST = (
    exceptions.WorkerCrashedError,
    exceptions.NodeDiedError,
    exceptions.LocalRayletDiedError,
    exceptions.RaySystemError,
    exceptions.ObjectLostError,
    exceptions.OwnerDiedError,
)


class RayExecutor:
    """Tasks of a cluster at `address` (auto, ray://HOST:PORT, or local for one of this machine's processes).

    Each training asks Ray for a CPU, and for `gpus` (a share of 1, or whole ones; None: one if any node has any).
    `workers` are as many as fit into the cluster now, unless more are asked for: where the cluster grows by itself, it
    then sees what waits. The packed images go through the object store to those nodes that do not have them. Raises
    ExecutorError where there is no cluster, or none that can run a training.
    """

    def __init__(
        self, address: str, *, workers: int | None = None, gpus: float | None = 0.0, images: Path | None = None
    ) -> None:
        _connect(address, workers)
        self.gpus = float(_has_gpus()) if gpus is None else gpus
        self.workers = workers or _room(self.gpus)
        self.shared = self.gpus < 1
        # A cluster of this machine alone has the images, which need not be read into memory for it.
        self._folder = None if address == LOCAL else images
        self._images: Any = None
        if not self.workers:
            ray.shutdown()
            need = f"{self.gpus:g} of a GPU" if self.gpus else "a CPU"
            raise ExecutorError(f"no node of the Ray cluster has {need} for a training; give --workers to wait for one")
        calls = (CALLS if _one_gpu_a_node() else 1) if self.gpus else 0  # 0: for ever
        task = ray.remote(num_cpus=1, num_gpus=self.gpus, max_retries=RETRIES, retry_exceptions=False, max_calls=calls)
        self._task: Any = task(_work)
        self._pending: dict[Any, tuple[Future[Any], float | None]] = {}
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name="ray-watcher", daemon=True)
        self._watcher.start()

    def submit(self, function: Callable[..., T], *args: Any, timeout: float | None = None) -> "Future[T]":
        """Runs function(*args) on some node."""
        if self._folder is not None and self._images is None:
            self._images = ray.put(ship(self._folder))
        future: Future[T] = Future()
        # In a list, so that Ray does not fetch the images for a node that has them.
        task = self._task.remote(function, args, [] if self._images is None else [self._images])
        with self._lock:
            self._pending[task] = future, None if timeout is None else time.monotonic() + timeout
        return future

    def stop(self) -> None:
        """Ends all work, and leaves the cluster; one that was begun here ends."""
        if self._stopped.is_set():
            return
        self._stopped.set()
        self._watcher.join()
        for task in self._pending:
            ray.cancel(task, force=True)
        ray.shutdown()

    def _watch(self) -> None:
        while not self._stopped.wait(POLL if not self._pending else 0):
            with self._lock:
                tasks = list(self._pending)
            if not tasks:
                continue
            ready, _ = ray.wait(tasks, num_returns=1, timeout=POLL)
            for task in ready:
                with self._lock:
                    future, _ = self._pending.pop(task)
                _settle(future, task)
            self._end_overdue()

    def _end_overdue(self) -> None:
        now = time.monotonic()
        with self._lock:
            overdue = [task for task, (_, until) in self._pending.items() if until is not None and now > until]
            futures = [self._pending.pop(task)[0] for task in overdue]
        for task, future in zip(overdue, futures, strict=True):
            ray.cancel(task, force=True)
            future.set_exception(TimeoutError())


def _connect(address: str, workers: int | None) -> None:
    own = {"num_cpus": max(workers or 0, cores()), "include_dashboard": False}
    where: dict[str, Any] = own if address == LOCAL else {"address": address}
    try:
        host, _, port = address.removeprefix("ray://").rpartition(":")
        if host:  # Ray itself tries for minutes.
            socket.create_connection((host.strip("[]"), int(port)), SECONDS_TO_ANSWER).close()
        # The output of workers is in Ray's own log.
        ray.init(**where, log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise ExecutorError(f"no Ray cluster at {address}: {reason}; start one with: ray start --head") from None


def _room(gpus: float) -> int:
    """How many trainings fit into the nodes as they are."""
    nodes = _nodes()
    rooms = [min(node.get("CPU", 0), node.get("GPU", 0) / gpus if gpus else node.get("CPU", 0)) for node in nodes]
    return sum(int(room + 1e-9) for room in rooms)


def _has_gpus() -> bool:
    """Whether any node of the cluster that this process is connected to has a GPU."""
    return any(node.get("GPU", 0) for node in _nodes())


def _one_gpu_a_node() -> bool:
    """Whether a process may be kept: CUDA stays on the GPU that it began with, also where Ray gives it another one."""
    return all(node.get("GPU", 0) <= 1 for node in _nodes())


def _nodes() -> list[dict[str, float]]:
    """The resources of each node that is alive."""
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]


def _work(function: Callable[..., T], args: tuple[Any, ...], images: list[Any]) -> T:
    """In a worker, to which Ray has given one thread: runs function(*args), on the images as this node has them.

    A process whose GPU can no longer be used ends, so that Ray begins the training again in another one.
    """
    keep_freed_memory()
    if images:
        fetched: Callable[[], bytes] = lambda: ray.get(images[0])  # noqa: E731
        function = replace(function, folder=unpacked(function.folder, fetched))  # type: ignore[type-var, attr-defined]
    try:
        return function(*args)
    except ContextLost as error:
        print(f"this worker ends, since its GPU failed: {error}", file=sys.stderr, flush=True)
        os._exit(1)


def _settle(future: "Future[Any]", task: Any) -> None:
    try:
        result = ray.get(task)
    except exceptions.RayTaskError as error:
        future.set_exception(error.cause if isinstance(error.cause, Exception) else error)
    except exceptions.OutOfMemoryError as error:
        future.set_exception(MemoryError(str(error).strip().partition("\n")[0]))
    except LOST as error:
        future.set_exception(WorkerLost(f"on the Ray cluster: {type(error).__name__}"))
    except exceptions.RayError as error:
        future.set_exception(error)
    else:
        future.set_result(result)

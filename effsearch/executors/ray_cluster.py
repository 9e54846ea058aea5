"""Runs trainings on a Ray cluster, of many machines or of this one."""

import logging
import math
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import ray
from ray import exceptions

from effsearch.data.cache import ship, unpacked
from effsearch.errors import ExecutorError
from effsearch.evaluation.hardware import ContextLost, keep_freed_memory
from effsearch.executors.local import WorkerLost, cores

T = TypeVar("T")

RETRIES = 3  # by Ray itself, of a training whose worker or node has died
CALLS = 100  # trainings on a GPU after which their process is replaced; Ray's default is 1
POLL = 0.1  # seconds
SECONDS_TO_ANSWER = 10  # timeout of the connection to a cluster
LOCAL = "local"  # the address of a cluster that starts and ends with the executor
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

    A training takes a CPU and `gpus` (a share of 1, or whole ones; None: one if any node has any). `workers` are those
    that fit into the cluster now, unless more are given, which makes an autoscaling cluster grow. Packed images reach
    nodes through the object store. Raises ExecutorError where there is no cluster, or none that can run a training.
    """

    def __init__(
        self, address: str, *, workers: int | None = None, gpus: float | None = 0.0, images: Sequence[Path] = ()
    ) -> None:
        _connect(address, workers)
        self.gpus = float(any(_gpus())) if gpus is None else gpus
        rooms = (
            min(node.get("CPU", 0), node.get("GPU", 0) / self.gpus if self.gpus else math.inf) for node in _nodes()
        )
        self.workers = workers or sum(int(room + 1e-9) for room in rooms)
        self.shared = self.gpus < 1
        # A cluster of this machine alone reads the images from its disk.
        self._folders = () if address == LOCAL else tuple(images)
        self._images: list[Any] = []
        if not self.workers:
            ray.shutdown()
            need = f"{self.gpus:g} of a GPU" if self.gpus else "a CPU"
            raise ExecutorError(f"no node of the Ray cluster has {need} for a training; give --workers to wait for one")
        # On a node of several GPUs each training has a new process, as CUDA cannot change to another GPU. 0: no limit.
        calls = (CALLS if max(_gpus(), default=0) <= 1 else 1) if self.gpus else 0
        task = ray.remote(num_cpus=1, num_gpus=self.gpus, max_retries=RETRIES, retry_exceptions=False, max_calls=calls)
        self._task: Any = task(_work)
        self._pending: dict[Any, tuple[Future[Any], float | None]] = {}
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name="ray-watcher", daemon=True)
        self._watcher.start()

    def submit(self, function: Callable[..., T], *args: Any, timeout: float | None = None) -> "Future[T]":
        if self._folders and not self._images:
            self._images = [ray.put(ship(folder)) for folder in self._folders]
        future: Future[T] = Future()
        # In a list, so that Ray does not fetch the images for a node that has them.
        task = self._task.remote(function, args, self._images)
        with self._lock:
            self._pending[task] = future, None if timeout is None else time.monotonic() + timeout
        return future

    def stop(self) -> None:
        """Ends all work, and leaves the cluster; a local one ends."""
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
                _settle(self._pop(task), task)
            now = time.monotonic()
            with self._lock:
                overdue = [task for task, (_, until) in self._pending.items() if until is not None and now > until]
            for task in overdue:
                ray.cancel(task, force=True)
                self._pop(task).set_exception(TimeoutError())

    def _pop(self, task: Any) -> "Future[Any]":
        with self._lock:
            return self._pending.pop(task)[0]


def _connect(address: str, workers: int | None) -> None:
    own = {"num_cpus": max(workers or 0, cores()), "include_dashboard": False}
    where: dict[str, Any] = own if address == LOCAL else {"address": address}
    try:
        host, _, port = address.removeprefix("ray://").rpartition(":")
        if host:  # Ray itself would try for minutes.
            socket.create_connection((host.strip("[]"), int(port)), SECONDS_TO_ANSWER).close()
        # Ray logs the output of workers itself.
        ray.init(**where, log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise ExecutorError(f"no Ray cluster at {address}: {reason}; start one with: ray start --head") from None


def _gpus() -> list[float]:
    return [node.get("GPU", 0) for node in _nodes()]


def _nodes() -> list[dict[str, float]]:
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]


def _work(function: Callable[..., T], args: tuple[Any, ...], images: list[Any]) -> T:
    """Runs function(*args) in a worker, on the images of its node."""
    keep_freed_memory()
    if images:
        trained: Any = function
        pairs = zip(trained.folders, images, strict=True)
        fetches: list[tuple[Path, Any]] = [(folder, partial(ray.get, image)) for folder, image in pairs]
        function = trained.with_folders([unpacked(*each) for each in fetches])
    try:
        return function(*args)
    except ContextLost as error:  # Ray begins the training again in another process.
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

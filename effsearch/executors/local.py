"""Runs trainings in worker processes of this machine, each of which may die without harm to the others."""

import importlib
import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import get_context
from threading import Thread
from typing import Any, Protocol, TypeVar

from pebble import ProcessExpired, ProcessPool

from effsearch.evaluation.hardware import ContextLost, keep_freed_memory

T = TypeVar("T")

MOST_WORKERS = 16  # unless more are asked for: each takes about 0.7 GB
ENDING_SECONDS = 10  # timeout for the processes of a pool that was replaced


class WorkerLost(Exception):
    """The process or the machine that a training ran on has died."""


class Executor(Protocol):
    """Where trainings run; a search submits as many at a time as there are `workers`."""

    workers: int
    shared: bool  # whether trainings compete for the memory of one device

    def submit(self, function: Callable[..., T], *args: Any, timeout: float | None = None) -> "Future[T]":
        """Runs function(*args) elsewhere; the future fails if that raises, dies or takes over `timeout` seconds."""

    def stop(self) -> None:
        """Ends all work at once."""


class LocalExecutor:
    """Spawned processes, one a slot: a slot is a GPU's number, or None for one CPU thread."""

    def __init__(self, slots: list[int | None]) -> None:
        self._slots = slots
        # A pool a slot, so that the process which replaces a dead one is pinned to the same GPU.
        self._pools = [_pool(gpu) for gpu in slots]
        self._ending: list[Thread] = []
        self._busy: dict[int, Future[Any]] = {}
        self.workers = len(slots)
        self.shared = None in slots or len(set(slots)) < len(slots)

    def submit(self, function: Callable[..., T], *args: Any, timeout: float | None = None) -> "Future[T]":
        """Runs function(*args) in a free slot, or after the work of the first."""
        free = [slot for slot in range(self.workers) if slot not in self._busy or self._busy[slot].done()]
        # All that are lost, since one whose CUDA context failed still holds memory of its GPU.
        for lost in [slot for slot in free if slot in self._busy and _lost_worker(self._busy[slot])]:
            self._replace(lost)
            del self._busy[lost]
        slot = free[0] if free else 0
        try:
            future: Future[T] = self._pools[slot].schedule(function, args=args, timeout=timeout)
        except RuntimeError:  # The worker has died while idle.
            self._replace(slot)
            future = self._pools[slot].schedule(function, args=args, timeout=timeout)
        self._busy[slot] = future
        return future

    def stop(self) -> None:
        for pool in self._pools:
            pool.stop()  # type: ignore[no-untyped-call]
        for pool in self._pools:
            pool.join()
        for thread in self._ending:
            thread.join(ENDING_SECONDS)

    def _replace(self, slot: int) -> None:
        """Gives a slot a new pool: a process that dies may hold the lock of its pool's pipe."""
        broken, self._pools[slot] = self._pools[slot], _pool(self._slots[slot])
        broken.stop()  # type: ignore[no-untyped-call]
        # Processes that the old pool has restarted are ended in the background.
        thread = Thread(target=broken.join, daemon=True)
        thread.start()
        self._ending = [*filter(Thread.is_alive, self._ending), thread]


def _pool(gpu: int | None) -> ProcessPool:
    return ProcessPool(1, initializer=_begin, initargs=(gpu,), context=get_context("spawn"))


def _lost_worker(future: "Future[Any]") -> bool:
    return not future.cancelled() and isinstance(future.exception(), ProcessExpired | BrokenProcessPool | ContextLost)


class InlineExecutor:
    """Runs everything at once in this process, whatever the number of `workers`: for evaluations that take no time."""

    def __init__(self, workers: int = 1) -> None:
        self.workers, self.shared = workers, False

    def submit(self, function: Callable[..., T], *args: Any, timeout: float | None = None) -> "Future[T]":
        future: Future[T] = Future()
        try:
            future.set_result(function(*args))
        except Exception as error:
            future.set_exception(error)
        return future

    def stop(self) -> None:
        """Nothing is left running."""


def _begin(gpu: int | None) -> None:
    # Ctrl-C reaches every process of the terminal, but it is the driver that stops the workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    single_thread()
    if gpu is not None:
        visible = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
        os.environ["CUDA_VISIBLE_DEVICES"] = visible[gpu] if gpu < len(visible) else str(gpu)
        return
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    keep_freed_memory()
    import torch

    torch.set_num_threads(1)


def single_thread() -> None:
    """Limits linear algebra to one thread in this process, if called before it is imported, and in its children."""
    # Threads of several processes on the same cores wait for one another, many times slower than one thread each.
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = "1"


@contextmanager
def child() -> Iterator[Callable[..., Any]]:
    """Gives `call` in another process, so that this one need not import torch."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        yield lambda module, name, *args: pool.submit(call, module, name, *args).result()


def call(module: str, name: str, *args: Any) -> Any:
    """Calls a function by name, so that only the process that runs it imports its module."""
    return getattr(importlib.import_module(module), name)(*args)


def cores() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

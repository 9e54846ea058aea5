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


ENDING_SECONDS = 10  # what the processes of a pool that was replaced may take to end


class WorkerLost(Exception):
    """The process or the machine that a training ran on has died."""


class Executor(Protocol):
    """Where trainings run: a search submits as many as there are `workers` and does not know where they are."""

    workers: int
    shared: bool
    """Whether what one training leaves of the memory that it uses is what another one gets."""

    def submit(self, function: Callable[..., T], *args: Any, timeout: float | None = None) -> "Future[T]":
        """Runs function(*args) elsewhere; the future fails if that raises, dies or takes over `timeout` seconds."""
        ...

    def stop(self) -> None:
        """Ends all work at once."""
        ...


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
        """Runs function(*args) in a free slot, or behind the work of the first."""
        free = [slot for slot in range(self.workers) if slot not in self._busy or self._busy[slot].done()]
        # All of them, since one that lost its GPU's context still has its memory there.
        for lost in [slot for slot in free if slot in self._busy and _lost_worker(self._busy[slot])]:
            self._replace(lost)
            del self._busy[lost]
        slot = free[0] if free else 0
        try:
            future: Future[T] = self._pools[slot].schedule(function, args=args, timeout=timeout)
        except RuntimeError:  # Its worker has died while it had nothing to do.
            self._replace(slot)
            future = self._pools[slot].schedule(function, args=args, timeout=timeout)
        self._busy[slot] = future
        return future

    def stop(self) -> None:
        """Kills the workers."""
        for pool in self._pools:
            pool.stop()  # type: ignore[no-untyped-call]
        for pool in self._pools:
            pool.join()
        for thread in self._ending:
            thread.join(ENDING_SECONDS)

    def _replace(self, slot: int) -> None:
        """Gives a slot a new pool: a process may die with the lock of its pool's pipe, or between two trainings."""
        broken, self._pools[slot] = self._pools[slot], _pool(self._slots[slot])
        broken.stop()  # type: ignore[no-untyped-call]
        # Whatever it has started anew is ended beside the work, which need not wait for that.
        thread = Thread(target=broken.join, daemon=True)
        thread.start()
        self._ending = [*filter(Thread.is_alive, self._ending), thread]


def _pool(gpu: int | None) -> ProcessPool:
    return ProcessPool(1, initializer=_begin, initargs=(gpu,), context=get_context("spawn"))


def _lost_worker(future: "Future[Any]") -> bool:
    lost = ProcessExpired | BrokenProcessPool | ContextLost
    return not future.cancelled() and isinstance(future.exception(), lost)


class InlineExecutor:
    """Works at once, in this process, as if there were so many workers: for what is only looked up."""

    def __init__(self, workers: int = 1) -> None:
        self.workers = workers
        self.shared = False

    def submit(self, function: Callable[..., T], *args: Any, timeout: float | None = None) -> "Future[T]":
        """Runs function(*args); the future is done when this returns."""
        future: Future[T] = Future()
        try:
            future.set_result(function(*args))
        except Exception as error:
            future.set_exception(error)
        return future

    def stop(self) -> None:
        """Nothing is left running."""


def _begin(gpu: int | None) -> None:
    """Sets a worker's surroundings, before it imports torch."""
    # Ctrl-C reaches every process of the terminal: the driver alone decides what becomes of the workers.
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
    """Gives linear algebra one thread in this process and its children, if it is not imported yet.

    Two threads in each of two processes wait for one another at every barrier, many times slower than one thread.
    """
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = "1"


@contextmanager
def child() -> Iterator[Callable[..., Any]]:
    """Gives a function that calls MODULE, NAME, *args in one other process: what torch tells, without importing it."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        yield lambda module, name, *args: pool.submit(call, module, name, *args).result()


def call(module: str, name: str, *args: Any) -> Any:
    """Calls a function by its name, so that only the process which runs it imports its module."""
    return getattr(importlib.import_module(module), name)(*args)


def cores() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

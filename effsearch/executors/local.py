"""Runs trainings in worker processes of this machine, each of which may die without harm to the others."""

import importlib
import multiprocessing
import os
import pickle
import signal
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future, InvalidStateError, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from multiprocessing import active_children, forkserver, parent_process, resource_tracker
from multiprocessing.context import BaseContext
from threading import Thread, Timer
from typing import Any, Protocol, TypeVar

from effsearch.evaluation.hardware import ContextLost, keep_freed_memory
from effsearch.executors.threads import single_thread

T = TypeVar("T")

STARTING_SECONDS = 30  # how long a process is tried to be started where that fails
ENDING_SECONDS = 10  # how long the end of a killed process is waited for
MOST_WORKERS = 16  # unless more are asked for: each takes 0.4 GB, and 0.7 where it is spawned


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
    """Processes, one a slot: a slot is a GPU's number, or None for one CPU thread."""

    def __init__(self, slots: list[int | None]) -> None:
        self._slots = slots
        self._processes = [_Worker(gpu) for gpu in slots]
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
            future = self._processes[slot].submit(function, args, timeout)
        except BrokenProcessPool:  # The worker has died while idle.
            self._replace(slot)
            future = self._processes[slot].submit(function, args, timeout)
        self._busy[slot] = future
        return future

    def stop(self) -> None:
        for process in self._processes:
            process.kill()
        for process in self._processes:
            process.join(ENDING_SECONDS)

    def _replace(self, slot: int) -> None:
        self._processes[slot].kill()  # Not waited for: one that hangs in a driver may not end for long.
        self._processes[slot] = _Worker(self._slots[slot])


class _Worker:
    """A process that runs one function after another, and that nothing restarts when it has died."""

    def __init__(self, gpu: int | None) -> None:
        others = active_children()
        self._pool = _started(_begin, gpu)
        (self._process,) = (process for process in active_children() if process not in others)

    def submit(self, function: Callable[..., T], args: tuple[Any, ...], timeout: float | None) -> "Future[T]":
        """A future that fails with WorkerLost if the process dies, and with TimeoutError, at which it is killed.

        Raises BrokenProcessPool if it is known to have died already.
        """
        # A task that the process cannot read, such as a function of a notebook, is to fail alone, not to end it.
        inner, future = self._pool.submit(_run, pickle.dumps((function, args))), Future[T]()
        timer = Timer(timeout or 0, self._overrun, (future,))
        timer.daemon = True
        if timeout is not None:
            timer.start()

        def pass_on(inner: "Future[T]") -> None:
            timer.cancel()
            error = CancelledError() if inner.cancelled() else inner.exception()
            if isinstance(error, BrokenProcessPool):
                error = WorkerLost(self._death())
            with suppress(InvalidStateError):  # It was over the time.
                if error is None:
                    future.set_result(inner.result())
                else:
                    future.set_exception(error)

        inner.add_done_callback(pass_on)
        return future

    def kill(self) -> None:
        """Ends the process, whatever it does, and what waits for it."""
        self._process.kill()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def join(self, seconds: float) -> None:
        """Waits for the end of the process."""
        self._process.join(seconds)

    def _overrun(self, future: "Future[Any]") -> None:
        with suppress(InvalidStateError):
            future.set_exception(TimeoutError())
        self._process.kill()

    def _death(self) -> str:
        self._process.join(1)  # Its pipes are closed a moment before it has an exit code.
        code = self._process.exitcode or 0
        return f"signal {-code}; perhaps out of memory" if code < 0 else f"exit {code}"


def _run(task: bytes) -> Any:
    function, args = pickle.loads(task)
    return function(*args)


def _lost_worker(future: "Future[Any]") -> bool:
    lost = WorkerLost | ContextLost | TimeoutError
    return not future.cancelled() and isinstance(future.exception(), lost)


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


def _context() -> BaseContext:
    """How processes begin: on Linux as forks of one that has imported torch already, which takes some seconds."""
    if sys.platform != "linux":  # Libraries of macOS may not survive a fork.
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["effsearch.executors.preload"])
    resource_tracker.ensure_running()  # which the server needs, and which lets signals through again
    # Ctrl-C reaches every process of the terminal, but it is the driver that stops the others.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    return context


def _started(begin: Callable[..., None], *arguments: Any) -> ProcessPoolExecutor:
    """A pool whose one process has been started, and begins by begin(variables of the environment, *arguments)."""
    deadline = time.monotonic() + STARTING_SECONDS
    while True:
        pool = ProcessPoolExecutor(1, _context(), begin, (dict(os.environ), *arguments))
        try:
            pool.submit(os.getpid)  # which starts the process
            return pool
        except (OSError, EOFError):  # What it is forked from has died, and is started anew once that is known.
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def _begin(variables: dict[str, str], gpu: int | None) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # as in `_context`, where it is not blocked already
    Thread(target=_end_with_parent, daemon=True).start()
    _take(variables)
    single_thread()
    import numpy as np

    np.random.seed()  # Forks would all draw the same; Python's own generator is seeded anew by itself.
    if gpu is not None:
        visible = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
        os.environ["CUDA_VISIBLE_DEVICES"] = visible[gpu] if gpu < len(visible) else str(gpu)
        return
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    keep_freed_memory()
    import torch

    torch.set_num_threads(1)


def _take(variables: dict[str, str]) -> None:
    # A fork has those that its server began with.
    os.environ.clear()
    os.environ.update(variables)


def _end_with_parent() -> None:
    """Ends this process when the driver has died, or what it was forked from: without that, it is taken for dead."""
    begun_by = os.getppid()
    if (parent := parent_process()) is not None:
        while parent.is_alive() and os.getppid() == begun_by:
            parent.join(1)
        os._exit(1)


@contextmanager
def child() -> Iterator[Callable[..., Any]]:
    """Gives `call` in another process, so that this one need not import torch."""
    with _started(_take) as pool:
        yield lambda module, name, *args: pool.submit(call, module, name, *args).result()


def call(module: str, name: str, *args: Any) -> Any:
    """Calls a function by name, so that only the process that runs it imports its module."""
    return getattr(importlib.import_module(module), name)(*args)


def cores() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

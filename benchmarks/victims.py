"""What of a search can be killed: its driver, and what it trains on, workers of this machine or nodes of Ray."""

import random
import signal
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Literal, Protocol, Self

from effsearch.evaluation.hardware import send

Kind = Literal["driver", "worker", "node"]

Kill = Callable[[], None]

SERVER = b"multiprocessing.forkserver"
MARKS = b"multiprocessing.spawn", SERVER, b"ray::_work", b"ray::IDLE"
"""What the command line of a worker has in it, of this machine or of Ray; a fork has that of its server."""


class Victims(Protocol):
    """What can be killed; `shares` are those of the kills that each kind gets."""

    shares: Mapping[Kind, float]

    def workers(self, driver: int) -> set[int]:
        """The processes that a driver trains in, and others that work for it."""
        ...

    def kills(self, kind: Kind, driver: int) -> list[Kill]:
        """A function for each that kills it."""
        ...

    def tend(self) -> None:
        """Replaces what no search can replace, when it is time."""
        ...


class LocalVictims:
    """A driver, and its workers on this machine."""

    shares: Mapping[Kind, float] = {"driver": 0.5, "worker": 0.5}

    def workers(self, driver: int) -> set[int]:
        """Its children that are workers."""
        return workers_under(driver)

    def kills(self, kind: Kind, driver: int) -> list[Kill]:
        """Each by SIGKILL."""
        found = [driver] if kind == "driver" else sorted(self.workers(driver))
        return [partial(send, [process], signal.SIGKILL) for process in found]

    def tend(self) -> None:
        """Nothing: the search replaces its workers."""


class RayVictims(LocalVictims):
    """A driver, and a Ray cluster of this machine: a head without CPUs, and two nodes of one CPU each.

    A node that was killed is replaced by a fresh one after at most `absence` (s). To be used with `with`.
    """

    shares: Mapping[Kind, float] = {"driver": 0.34, "worker": 0.33, "node": 0.33}

    def __init__(self, absence: float, seed: int = 0) -> None:
        self.absence = absence
        self._rng = random.Random(seed)
        self._due: list[float] = []

    def __enter__(self) -> Self:
        from ray.cluster_utils import Cluster

        head = {"num_cpus": 0, "include_dashboard": False}
        self._cluster = Cluster(initialize_head=True, head_node_args=head)
        self.address: str = self._cluster.address
        self._nodes = [self._begin(), self._begin()]
        return self

    def __exit__(self, *_: object) -> None:
        for node in list(self._nodes):
            self._end(node)
        self._cluster.shutdown()

    def workers(self, driver: int) -> set[int]:
        """Those of all nodes, and the children of the driver that work for it."""
        parents = [driver, *(process for node in self._nodes for process in _raylets(node))]
        return set().union(*map(workers_under, parents))

    def kills(self, kind: Kind, driver: int) -> list[Kill]:
        """Each by SIGKILL, a node with everything that runs on it."""
        if kind == "node":
            return [partial(self._lose, node) for node in self._nodes]
        return super().kills(kind, driver)

    def tend(self) -> None:
        """Begins a node where one was killed long enough ago."""
        if self._due and time.monotonic() >= min(self._due):
            self._due.remove(min(self._due))
            self._nodes.append(self._begin())

    def _begin(self) -> Any:
        return self._cluster.add_node(num_cpus=1)

    def _lose(self, node: Any) -> None:
        self._end(node)
        self._due.append(time.monotonic() + self._rng.uniform(0, self.absence))

    def _end(self, node: Any) -> None:
        send(_with_all_below(_raylets(node)), signal.SIGKILL)
        self._cluster.remove_node(node, allow_graceful=False)
        self._nodes.remove(node)


def left(workers: set[int], patience: float = 30.0) -> int:
    """How many of the processes are still there after a while."""
    deadline = time.monotonic() + patience
    while (alive := sum(map(_is_worker, workers))) and time.monotonic() < deadline:
        time.sleep(0.1)
    return alive


def workers_under(parent: int) -> set[int]:
    """The children of a process that are workers, and those of the servers among them, which fork workers."""
    children = _children(parent)
    servers = [child for child in children if SERVER in _command(child)]
    forked = [child for server in servers for child in _children(server)]
    return set(filter(_is_worker, [child for child in children if child not in servers] + forked))


def _raylets(node: Any) -> list[int]:
    """The process that all others of a node are below, if it is there."""
    return [begun.process.pid for begun in node.all_processes.get("raylet", [])]


def _with_all_below(processes: list[int]) -> list[int]:
    return [*processes, *(below for process in processes for below in _with_all_below(_children(process)))]


def _children(process: int) -> list[int]:
    # Each thread lists the children that it began.
    try:
        files = list(Path(f"/proc/{process}/task").glob("*/children"))
        return [int(child) for file in files for child in file.read_text().split()]
    except OSError:
        return []


def _is_worker(process: int) -> bool:
    return any(mark in _command(process) for mark in MARKS)


def _command(process: int) -> bytes:
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes()
    except OSError:
        return b""

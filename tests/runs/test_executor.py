import os
import random
import signal
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from effsearch.evaluation.hardware import ContextLost
from effsearch.executors.local import LocalExecutor, WorkerLost, child, cores


def surroundings() -> dict[str, str | int | None]:
    import torch

    names = ("OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES")
    return {name: os.environ.get(name) for name in names} | {"threads": torch.get_num_threads(), "pid": os.getpid()}


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def device() -> str | None:
    return os.environ.get("CUDA_VISIBLE_DEVICES")


def fail() -> None:
    raise ValueError("for a reason")


@pytest.fixture
def executor():
    made = LocalExecutor([None, None])
    yield made
    made.stop()


def test_workers_have_one_thread_and_no_gpu_and_work_side_by_side(executor):
    first, second = (executor.submit(surroundings) for _ in range(2))
    results = [first.result(), second.result()]
    assert {result["pid"] for result in results}.isdisjoint({os.getpid()})
    assert results[0]["pid"] != results[1]["pid"]
    for result in results:
        assert (result["OMP_NUM_THREADS"], result["CUDA_VISIBLE_DEVICES"], result["threads"]) == ("1", "", 1)


def test_where_libraries_may_not_survive_a_fork_workers_are_spawned(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    one = LocalExecutor([None])
    try:
        found = one.submit(surroundings).result()
        assert (found["OMP_NUM_THREADS"], found["CUDA_VISIBLE_DEVICES"], found["threads"]) == ("1", "", 1)
        assert one.submit(os.getppid).result() == os.getpid()
        with pytest.raises(WorkerLost, match="signal 9"):
            one.submit(die).result()
        assert one.submit(os.getpid).result() != found["pid"]
    finally:
        one.stop()
    with child() as ask:
        assert ask("os", "getppid") == os.getpid()


def test_an_exception_a_death_and_a_hang_fail_their_own_task_alone(executor):
    hangs = executor.submit(time.sleep, 60, timeout=1.0)
    dies = executor.submit(die)
    with pytest.raises(WorkerLost, match="signal 9"):
        dies.result()
    with pytest.raises(ValueError, match="for a reason"):
        executor.submit(fail).result()
    with pytest.raises(TimeoutError):
        hangs.result()
    assert executor.submit(os.getpid).result() != os.getpid()


class Unreadable:
    def __reduce__(self):
        return int, ("no number",)


def test_a_task_that_cannot_be_read_fails_alone():
    one = LocalExecutor([None])
    try:
        before = one.submit(os.getpid).result()
        with pytest.raises(ValueError, match="no number"):
            one.submit(print, Unreadable()).result()
        assert one.submit(os.getpid).result() == before
    finally:
        one.stop()


def lose() -> None:
    raise ContextLost("CUDA error: an illegal memory access was encountered")


def test_a_worker_whose_gpu_failed_is_replaced_before_its_next_training(executor):
    one = LocalExecutor([None])
    try:
        before = one.submit(os.getpid).result()
        assert one.submit(os.getpid).result() == before
        with pytest.raises(ContextLost, match="illegal memory access"):
            one.submit(lose).result()
        after = one.submit(os.getpid).result()
        assert after != before
        assert one.submit(os.getpid).result() == after
    finally:
        one.stop()


def test_each_slot_is_pinned_to_its_gpu_even_after_a_death(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,7")
    executor = LocalExecutor([0, 1])
    try:
        for _ in range(2):
            seen = [executor.submit(device), executor.submit(device)]
            assert sorted(future.result() for future in seen) == ["4", "7"]
            deaths = [executor.submit(die), executor.submit(die)]
            assert all(isinstance(future.exception(), WorkerLost) for future in deaths)
    finally:
        executor.stop()


def test_a_worker_that_dies_while_it_has_nothing_to_do_is_replaced():
    executor = LocalExecutor([0])
    try:
        for pause in (0.0, 0.05, 1.0):  # Before its death is noticed, and after.
            os.kill(executor.submit(os.getpid).result(timeout=60), signal.SIGKILL)
            time.sleep(pause)
            future = executor.submit(os.getpid)
            if isinstance(future.exception(timeout=60), WorkerLost):
                future = executor.submit(os.getpid)
            assert future.result(timeout=60) != os.getpid()
    finally:
        executor.stop()


def draw() -> tuple[float, float]:
    return random.random(), float(np.random.rand())


def test_workers_draw_differently_and_have_the_environment_of_now(executor, monkeypatch):
    assert len({number for future in [executor.submit(draw), executor.submit(draw)] for number in future.result()}) == 4
    monkeypatch.setenv("EFFSEARCH_CACHE", "elsewhere")
    one = LocalExecutor([None])
    try:
        assert one.submit(os.getenv, "EFFSEARCH_CACHE").result() == "elsewhere"
    finally:
        one.stop()


@pytest.mark.skipif(sys.platform != "linux", reason="workers are forked from a server on Linux alone")
def test_the_death_of_the_server_that_forks_workers_costs_only_what_they_train(executor):
    workers = [executor.submit(os.getpid).result()]
    server = executor.submit(os.getppid).result()
    running = executor.submit(time.sleep, 60)
    os.kill(server, signal.SIGKILL)
    with pytest.raises(WorkerLost):
        running.result(timeout=60)
    deadline = time.monotonic() + 30
    while any(Path(f"/proc/{pid}").exists() for pid in workers) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not any(Path(f"/proc/{pid}").exists() for pid in workers)
    again = executor.submit(os.getppid)
    if isinstance(again.exception(timeout=60), WorkerLost):  # Its death was not noticed yet.
        again = executor.submit(os.getppid)
    assert again.result(timeout=60) != server


def test_stop_ends_running_work_at_once():
    executor = LocalExecutor([None])
    pid = executor.submit(os.getpid).result()
    executor.submit(time.sleep, 60)
    start = time.monotonic()
    executor.stop()
    assert time.monotonic() - start < 30
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_cores_are_those_of_this_process():
    assert 1 <= cores() <= os.cpu_count()

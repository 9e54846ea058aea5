"""What a failed training does to a search."""

import os
import signal
from collections import Counter
from concurrent.futures import Future
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Timer

import pytest
import torch
from toys import InProcess, drive, new_run, settings, toy

from effsearch.engine import retries
from effsearch.engine.retries import ATTEMPTS, FAILURES, STREAK, attempt, failure_of, is_due
from effsearch.errors import ExecutorError
from effsearch.evaluation import Evaluation
from effsearch.evaluation.hardware import ContextLost
from effsearch.executors.local import LocalExecutor, WorkerLost
from effsearch.runs.records import Candidate, Record, RecordIndex, read_failures
from effsearch.training import Diverged

CANDIDATE = Candidate("key", "notation", 1, 1, 0, "auto")


def failed(fault: str | None, key: str = "key", number: int = 0) -> Record:
    candidate = replace(CANDIDATE, key=key)
    return Record(number, "failed", candidate, reason=f"for {fault}", failure_kind=fault)  # type: ignore[arg-type]


def many(fault: str, count: int, number: int = 0) -> list[Record]:
    """Trainings of so many networks that failed once, from trial `number` on."""
    return [failed(fault, f"key{index}", index) for index in range(number, number + count)]


def complete(number: int = 0) -> Record:
    return Record(number, "complete", CANDIDATE, accuracy=0.5, reward=0.5)


def given_up(records: list[Record], planned: int = 0) -> str | None:
    numbered = [replace(record, number=number) for number, record in enumerate(records)]
    return retries.given_up(RecordIndex(numbered), planned)


def keys(status) -> list[str]:
    return [record.candidate.key for record in status.records if record.state == "complete"]


@pytest.mark.parametrize(
    ("error", "fault", "reason"),
    [
        (MemoryError(), "memory", "out of memory: MemoryError"),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB\nmore"), "memory", None),
        (RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be"), "memory", None),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), "memory", None),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"), "memory", None),
        (ContextLost("CUDA error: launch failure"), "lost", "its worker died (CUDA error: launch failure)"),
        (ExecutorError("torch 2.14 on n1 finds no GPU"), "lost", "torch 2.14 on n1 finds no GPU"),
        (ValueError("a mistake"), "error", "ValueError: a mistake"),
    ],
)  # fmt: skip
def test_what_kind_of_fault_an_exception_is(error, fault, reason):
    found = failure_of(error)
    assert found[0] == fault
    assert "\n" not in found[1]
    assert reason is None or found[1] == reason


@pytest.mark.parametrize(
    ("fault", "attempts"), [("lost", ATTEMPTS), ("memory", 2), ("diverged", 1), ("hung", 1), ("error", 1), (None, 1)]
)
def test_a_training_is_tried_again_where_that_may_help(fault, attempts):
    group: list[Record] = []
    while is_due(group):
        group.append(failed(fault))
    assert len(group) == attempts


def test_what_is_queued_running_or_complete_is_not_due():
    for state in ("queued", "running", "complete"):
        assert not is_due([failed("lost"), Record(1, state, CANDIDATE)])  # type: ignore[arg-type]


def test_only_what_ran_out_of_memory_is_trained_in_parts():
    assert attempt(CANDIDATE, [failed("lost")]) == CANDIDATE
    assert attempt(CANDIDATE, [failed("memory")]).accumulation == 2
    assert attempt(CANDIDATE, [failed("memory"), failed("lost")]).accumulation == 2


def test_a_search_is_given_up_when_nothing_but_failures_is_seen():
    assert given_up(many("error", FAILURES - 1)) is None
    assert given_up(many("error", FAILURES)) == f"{FAILURES} trainings failed, the last: for error"
    assert given_up([complete(), *many("error", STREAK - 1, 1)]) is None
    row = f"{STREAK} trainings in a row failed, the last: for error"
    assert given_up([complete(), *many("error", STREAK, 1)]) == row
    assert given_up([*many("error", STREAK), complete(STREAK)]) is None
    diverged = [*many("diverged", 8), complete(8)]
    assert given_up(diverged, planned=8) == "8 networks failed, the last: for diverged"
    assert given_up(diverged, planned=9) is None


def test_what_is_tried_again_is_no_reason_to_give_up():
    lost = many("lost", 8)
    assert given_up(lost) is None
    # Neither once the first of them are under way again.
    again = [replace(record, number=8 + record.number, state="running") for record in lost[:6]]
    assert given_up([*lost, *again]) is None
    assert given_up([complete(), *many("lost", STREAK, 1)], planned=5) is None


def test_what_failed_at_every_attempt_is_one():
    twice = [failed("lost", key, number) for number, key in enumerate("aaabbb")]
    assert given_up(twice[:-1]) is None
    assert given_up(twice) == "6 attempts of 2 trainings failed, the last: for lost"
    later = [failed("lost", key, number) for number, key in enumerate("aaabbbcccddd", 1)]
    assert given_up([complete(), *later[:-1]]) is None
    row = "12 attempts of 4 trainings in a row failed, the last: for lost"
    assert given_up([complete(), *later]) == row
    # Those of a training that was finished in the end are none.
    mended = [*later[:-1], replace(complete(99), candidate=later[-1].candidate)]
    assert given_up([complete(), *mended], planned=4) is None


class Preempted(InProcess):
    """All of its workers are lost at once, `times` times, once `after` trainings have been begun."""

    def __init__(self, workers: int, times: int, after: int = 0) -> None:
        super().__init__(workers)
        self.lost = range(after, after + workers * times)

    def submit(self, function, *args, timeout=None):
        if len(self.tasks) in self.lost:
            self.tasks.append(args[:2])
            future: Future[Evaluation] = Future()
            future.set_exception(WorkerLost("its node was lost"))
            return future
        return super().submit(function, *args, timeout=timeout)


@pytest.mark.parametrize(("workers", "after"), [(8, 0), (12, 0), (12, 12)])
@pytest.mark.parametrize("times", [1, ATTEMPTS - 1])
def test_workers_that_are_all_lost_at_once_do_not_end_a_search(workers, after, times, tmp_path):
    executor = Preempted(workers, times, after)
    status = drive(new_run(tmp_path), settings(), 24, executor=executor)
    assert status.problem is None
    assert len(keys(status)) == 24
    assert len(executor.tasks) == 24 + workers * times


@pytest.mark.parametrize(("workers", "after", "tried"), [(1, 0, 6), (8, 0, 24), (1, 4, 16)])
def test_a_search_whose_workers_are_lost_again_and_again_is_given_up(workers, after, tried, tmp_path):
    executor = Preempted(workers, 1000, after)
    status = drive(new_run(tmp_path), settings(), 50, executor=executor)
    assert "its node was lost" in (status.problem or "")
    assert len(executor.tasks) == tried


@pytest.mark.parametrize("fails", [0, 4])
def test_a_search_that_was_given_up_goes_on_once_what_was_wrong_is_mended(fails, tmp_path):
    run, chosen, tried = new_run(tmp_path), settings(), []

    def broken(architecture, seed) -> Evaluation:
        tried.append(architecture.key)
        if len(tried) > fails:
            raise OSError("the images are gone")
        return toy(architecture, seed)

    for _ in range(2):  # It may not be mended yet.
        assert "the images are gone" in (drive(run, chosen, 24, broken).problem or "")
    assert read_failures(run)
    status = drive(run, chosen, 24)
    assert status.problem is None
    assert len(keys(status)) == 24 == len(set(keys(status)))
    assert set(tried) <= set(keys(status))
    assert not read_failures(run)


def test_a_killed_worker_is_tried_again_and_leaves_the_search_as_it_would_have_been(tmp_path):
    seen: Counter[str] = Counter()

    def shaky(architecture, seed) -> Evaluation:
        seen[architecture.key] += 1
        if int(architecture.key, 16) % 3 == 0 and seen[architecture.key] == 1:
            raise WorkerLost("killed")
        return toy(architecture, seed)

    whole = drive(new_run(tmp_path, "whole"), settings(), 12)
    shaken = drive(new_run(tmp_path, "shaken"), settings(), 12, shaky)
    assert sum(count == 2 for count in seen.values()) > 1
    assert keys(shaken) == keys(whole)


def failing(key: str) -> bool:
    """Whether a network is too large for `Short`: every third."""
    return int(key, 16) % 3 == 0


def tried(log: Path) -> list[str]:
    """The networks whose training has begun."""
    return [line.split()[0] for line in log.read_text().splitlines()] if log.exists() else []


@dataclass(frozen=True)
class Short:
    """Out of memory wherever `parts` are fewer than `enough`; writes down what it was asked."""

    log: Path
    enough: int
    parts: int = 1

    def with_accumulation(self, count: int) -> "Short":
        return replace(self, parts=count)

    def __call__(self, architecture, seed) -> Evaluation:
        with self.log.open("a") as file:
            file.write(f"{architecture.key} {self.parts}\n")
        if failing(architecture.key) and self.parts < self.enough:
            raise MemoryError("CUDA out of memory")
        return toy(architecture, seed)


def test_what_runs_out_of_memory_is_trained_in_two_parts_and_then_fails(tmp_path):
    log = tmp_path / "log"
    status = drive(new_run(tmp_path, "mended"), settings(), 8, Short(log, enough=2))
    tried = [line.split() for line in log.read_text().splitlines()]
    short = [key for key, parts in tried if parts == "2"]
    assert short
    assert all(tried.count([key, "1"]) == tried.count([key, "2"]) == 1 for key in short)
    assert len(keys(status)) == 8
    run = new_run(tmp_path, "hopeless")
    drive(run, settings(), 8, Short(log, enough=3))
    assert {(failure.attempts, failure.reason) for failure in read_failures(run)} == {
        (2, "out of memory: CUDA out of memory")
    }


class Room(InProcess):
    """Two workers whose trainings end one after the other, so that others are running when the next begins."""

    def __init__(self) -> None:
        super().__init__(2)
        self.running: list[tuple[Future, object]] = []
        self.beside: list[tuple[int, int]] = []

    def submit(self, function, *args, timeout=None):
        future = super().submit(function, *args)
        waiting: Future = Future()
        self.beside.append((getattr(function, "parts", 1), len(self.running)))
        self.running.append((waiting, future))
        if len(self.running) == self.workers or getattr(function, "parts", 1) > 1:
            self.finish()
        else:
            Timer(0.05, self.finish).start()
        return waiting

    def finish(self) -> None:
        while self.running:
            waiting, future = self.running.pop()
            error = future.exception()
            waiting.set_exception(error) if error is not None else waiting.set_result(future.result())


def test_what_ran_out_of_memory_is_tried_again_with_nothing_beside_it(tmp_path):
    room = Room()
    drive(new_run(tmp_path), settings(), 8, Short(tmp_path / "log", enough=2), room)
    assert (2, 0) in room.beside
    assert not [beside for beside in room.beside if beside[0] == 2 and beside[1]]
    assert (1, 1) in room.beside


def test_what_waits_to_be_alone_is_not_begun_once_the_time_is_up_and_is_not_lost(tmp_path):
    """It is queued again, with its parts, and a resumed search trains it."""
    log, room, run = tmp_path / "log", Room(), new_run(tmp_path)
    # Stopped as soon as a training has run out of memory, while the other worker is still busy.
    drive(run, settings(), 8, Short(log, enough=2), room, stopping=lambda: any(failing(key) for key in tried(log)))
    assert (2, 0) not in room.beside
    ended = drive(run, settings(), 8, Short(log, enough=2))
    assert len(keys(ended)) == 8
    parts = {
        record.candidate.key: record.candidate.accumulation for record in ended.records if record.state == "complete"
    }
    assert any(map(failing, parts))
    assert all((count == 2) == failing(key) for key, count in parts.items())


def test_failures_are_kept_with_their_stack_trace(tmp_path):
    def broken(architecture, seed) -> Evaluation:
        kind = int(architecture.key, 16) % 4
        if kind == 0:
            raise Diverged("at once")
        if kind == 1:
            raise ValueError("a mistake\nin two lines")
        return toy(architecture, seed)

    run = new_run(tmp_path)
    drive(run, settings(), 8, broken)
    failures = read_failures(run)
    assert {failure.kind for failure in failures} == {"diverged", "error"}
    for failure in failures:
        assert failure.attempts == 1
        assert "in broken" in failure.traceback
    assert {failure.reason for failure in failures} == {"diverged: at once", "ValueError: a mistake"}


def test_an_accuracy_that_is_no_number_is_a_failure(tmp_path):
    def odd(architecture, seed) -> Evaluation:
        return Evaluation(float("nan"), 1, 0.1)

    status = drive(new_run(tmp_path), settings(), 3, odd)
    assert {record.failure_kind for record in status.records} == {"diverged"}


def test_no_training_may_run_for_ever_not_even_the_first(tmp_path):
    class Timed(InProcess):
        def submit(self, function, *args, timeout=None):
            limits.append(timeout)
            return super().submit(function, *args, timeout=timeout)

    limits: list[float | None] = []
    drive(new_run(tmp_path), settings(), 3, executor=Timed())
    assert limits == [24 * 3600, 600, 600]


def stuck(architecture, seed) -> Evaluation:
    from effsearch.evaluation.hardware import watchdog

    with watchdog(seconds=1.0):
        signal.sigwait([signal.SIGUSR1])
    return toy(architecture, seed)


def test_a_worker_that_makes_no_step_is_ended():
    executor = LocalExecutor([None])
    try:
        with pytest.raises(WorkerLost):
            executor.submit(stuck, None, 0).result(timeout=60)
        assert executor.submit(os.getpid).result(timeout=60)
    finally:
        executor.stop()

"""What a failed training does to a search."""

import os
import signal
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from pebble import ProcessExpired
from toys import InProcess, drive, new_run, settings, toy

from effsearch.evaluation import Evaluation
from effsearch.runs.executor import LocalExecutor
from effsearch.runs.failures import read_failures
from effsearch.runs.records import Candidate, Record
from effsearch.search.faults import ATTEMPTS, FAILURES, STREAK, attempt, given_up, is_due
from effsearch.training import Diverged

CANDIDATE = Candidate("key", "notation", 1, 1, 0, "auto")


def failed(fault: str | None, key: str = "key") -> Record:
    return Record(0, "failed", replace(CANDIDATE, key=key), reason=f"for {fault}", fault=fault)  # type: ignore[arg-type]


def complete() -> Record:
    return Record(0, "complete", CANDIDATE, accuracy=0.5, reward=0.5)


def keys(status) -> list[str]:
    return [record.candidate.key for record in status.records if record.state == "complete"]


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
    assert given_up([failed("error")] * (FAILURES - 1)) is None
    assert given_up([failed("error")] * FAILURES) == f"{FAILURES} trainings failed, the last: for error"
    assert given_up([complete(), *[failed("error")] * (STREAK - 1)]) is None
    assert "in a row" in (given_up([complete(), *[failed("error")] * STREAK]) or "")
    assert given_up([*[failed("error")] * STREAK, complete()]) is None
    many = [failed("diverged", str(number)) for number in range(8)]
    assert given_up([*many, complete()], planned=8) == "8 networks failed, the last: for diverged"


def test_a_killed_worker_is_tried_again_and_leaves_the_search_as_it_would_have_been(tmp_path):
    seen: Counter[str] = Counter()

    def shaky(architecture, seed) -> Evaluation:
        seen[architecture.key] += 1
        if int(architecture.key, 16) % 3 == 0 and seen[architecture.key] == 1:
            raise ProcessExpired("killed", code=-9)
        return toy(architecture, seed)

    whole = drive(new_run(tmp_path, "whole"), settings(), 12)
    shaken = drive(new_run(tmp_path, "shaken"), settings(), 12, shaky)
    assert sum(count == 2 for count in seen.values()) > 1
    assert keys(shaken) == keys(whole)


@dataclass(frozen=True)
class Short:
    """Out of memory wherever `parts` are fewer than `enough`; writes down what it was asked."""

    log: Path
    enough: int
    parts: int = 1

    def in_parts(self, count: int) -> "Short":
        return replace(self, parts=count)

    def __call__(self, architecture, seed) -> Evaluation:
        with self.log.open("a") as file:
            file.write(f"{architecture.key} {self.parts}\n")
        if int(architecture.key, 16) % 3 == 0 and self.parts < self.enough:
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
    assert {failure.fault for failure in failures} == {"diverged", "error"}
    for failure in failures:
        assert failure.attempts == 1
        assert "in broken" in failure.traceback
    assert {failure.reason for failure in failures} == {"diverged: at once", "ValueError: a mistake"}


def test_an_accuracy_that_is_no_number_is_a_failure(tmp_path):
    def odd(architecture, seed) -> Evaluation:
        return Evaluation(float("nan"), 1, 0.1)

    status = drive(new_run(tmp_path), settings(), 3, odd)
    assert {record.fault for record in status.records} == {"diverged"}


def test_no_training_may_run_for_ever_not_even_the_first(tmp_path):
    class Timed(InProcess):
        def submit(self, function, *args, timeout=None):
            limits.append(timeout)
            return super().submit(function, *args, timeout=timeout)

    limits: list[float | None] = []
    drive(new_run(tmp_path), settings(), 3, executor=Timed())
    assert limits == [24 * 3600, 600, 600]


def stuck(architecture, seed) -> Evaluation:
    from effsearch.evaluation.watchdog import Watchdog

    with Watchdog(seconds=1.0):
        signal.sigwait([signal.SIGUSR1])
    return toy(architecture, seed)


def test_a_worker_that_makes_no_step_is_ended():
    executor = LocalExecutor([None])
    try:
        with pytest.raises(ProcessExpired):
            executor.submit(stuck, None, 0).result(timeout=60)
        assert executor.submit(os.getpid).result(timeout=60)
    finally:
        executor.stop()

import json
import math
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from toys import TINY, InProcess, dies, drive, new_run, settings, toy

from effsearch.costs import cost
from effsearch.engine.plan import most_further
from effsearch.engine.posterior import DECIDED
from effsearch.engine.retries import failure_of
from effsearch.evaluation import Evaluation
from effsearch.executors.local import LocalExecutor
from effsearch.runs.ranking import from_csv
from effsearch.space import Space, load
from effsearch.training import Diverged


def keys(status) -> list[tuple[str, int]]:
    return [(record.candidate.key, record.candidate.seed) for record in status.records if record.state == "complete"]


def test_finishes_the_trials_within_the_window_and_writes_their_ranking(tmp_path):
    run, chosen = new_run(tmp_path), settings()
    status = drive(run, chosen, 12)
    assert status.problem is None
    assert len(set(keys(status))) == len(keys(status)) == 12
    rows = from_csv(run.ranking.read_text())
    assert [row.rank for row in rows] == list(range(1, 13))
    assert all(0.9 <= row.target_ratio <= 1.1 for row in rows)
    rewards = [row.reward for row in rows]
    assert rewards == sorted(rewards, reverse=True)
    first = rows[0]
    assert first.reward == pytest.approx(first.accuracy * (first.flops / 8e6) ** -0.07)


def test_trains_the_likely_best_under_other_seeds(tmp_path):
    run, chosen = new_run(tmp_path), settings(repeats=3, finalists=2)
    status = drive(run, chosen, 8)
    rows = from_csv(run.ranking.read_text())
    seeds = Counter(seed for _, seed in keys(status))
    assert seeds[0] == 8
    assert 2 <= seeds.total() - 8 <= most_further(chosen, 8) == 4
    first = rows[0]
    assert first.probability_best == max(row.probability_best for row in rows)
    assert sum(row.probability_best for row in rows) == pytest.approx(1)
    assert first.seeds >= 3 if first.probability_best >= DECIDED else seeds.total() == 12


def test_same_seed_same_trials_and_another_seed_others(tmp_path):
    first, second, third = (
        keys(drive(new_run(tmp_path, name), settings(seed=seed), 10)) for name, seed in (("a", 0), ("b", 0), ("c", 1))
    )
    assert first == second
    assert {key for key, _ in first} != {key for key, _ in third}


def test_a_resumed_run_ends_as_one_that_was_never_stopped(tmp_path):
    chosen = settings(repeats=2)
    whole = drive(new_run(tmp_path, "whole"), chosen, 14)
    stopped = new_run(tmp_path, "stopped")
    drive(stopped, chosen, 5)
    drive(stopped, chosen, 5)
    # The finalists of 5 trials are repeated before the other 9 are known: only first trainings are compared.
    resumed = drive(stopped, chosen, 14)
    first = [key for key, seed in keys(whole) if seed == 0]
    assert [key for key, seed in keys(resumed) if seed == 0][:5] == first[:5]
    assert len(set(keys(resumed))) == len(keys(resumed))
    plain = settings(repeats=1)
    short = new_run(tmp_path, "short")
    drive(short, plain, 6)
    assert keys(drive(short, plain, 14)) == keys(drive(new_run(tmp_path, "long"), plain, 14))


def test_a_wish_to_stop_leaves_nothing_running_and_a_ranking(tmp_path):
    run, chosen = new_run(tmp_path), settings()
    seen = []

    def stopping() -> bool:
        return len(seen) >= 3

    def watched(architecture, seed) -> Evaluation:
        seen.append(architecture.key)
        return toy(architecture, seed)

    executor = InProcess()
    status = drive(run, chosen, 10, watched, executor, stopping=stopping)
    assert executor.stopped
    assert len(from_csv(run.ranking.read_text())) == 3
    assert all(record.state != "running" for record in status.records)
    resumed = drive(run, chosen, 10)
    assert keys(resumed) == keys(drive(new_run(tmp_path, "whole"), chosen, 10))


def test_known_architectures_go_first_unless_cold(tmp_path):
    mbconv = load("mbconv")
    chosen = settings(space="mbconv", target=4e8, resolution=224, window=(0.5, 1.25))
    warm = drive(new_run(tmp_path, "warm"), chosen, 4, space=mbconv)
    assert [record.candidate.source for record in warm.records][:2] == ["b0", "mnasnet_a1"]
    cold = drive(new_run(tmp_path, "cold"), settings(**vars_of(chosen, warm_start=False)), 4, space=mbconv)
    assert [record.candidate.source for record in cold.records] == ["auto"] * 4 + ["b0"]


def vars_of(chosen, **changes):
    return {name: getattr(chosen, name) for name in chosen.__dataclass_fields__} | changes


def test_a_failed_training_is_kept_with_its_reason_and_another_takes_its_place(tmp_path):
    failed = []

    def sometimes(architecture, seed) -> Evaluation:
        if not failed:
            failed.append(architecture.key)
            raise Diverged("the loss is not finite in epoch 1, step 3 of 9")
        return toy(architecture, seed)

    run = new_run(tmp_path)
    status = drive(run, settings(), 6, sometimes)
    assert len(keys(status)) == 6
    rows = [row for row in from_csv(run.ranking.read_text()) if row.state == "failed"]
    assert [(row.key, row.rank, row.accuracy) for row in rows] == [(failed[0], None, None)]
    assert rows[0].reason == "diverged: the loss is not finite in epoch 1, step 3 of 9"
    assert "Traceback" in run.journal.read_text()


def test_gives_up_when_every_training_fails(tmp_path):
    def broken(architecture, seed) -> Evaluation:
        raise MemoryError

    executor = InProcess()
    status = drive(new_run(tmp_path), settings(), 50, broken, executor)
    assert len(executor.tasks) == 5
    assert "out of memory" in status.problem


def test_a_space_smaller_than_the_trials_ends_with_a_reason_and_its_results(tmp_path):
    fields = tuple(
        field if field.name in ("stage1_kernel", "stage2_kernel") else type(field)(field.name, field.choices[:1])
        for field in TINY.fields
    )
    four = Space("four", fields, TINY.depth)
    assert four.size == 4
    run = new_run(tmp_path)
    status = drive(run, settings(window=None), 10, executor=InProcess(3), space=four)
    assert "already tried" in status.problem
    assert [row.state for row in from_csv(run.ranking.read_text())] == ["complete"] * 4
    assert [record.state for record in status.records] == ["complete"] * 4


def test_a_time_limit_starts_nothing_that_would_outlast_it(tmp_path):
    start = time.monotonic()
    status = drive(new_run(tmp_path), settings(), 1000, slow_toy_timed, seconds=2.0)
    assert time.monotonic() - start < 4
    assert 3 <= len(keys(status)) <= 8


def slow_toy_timed(architecture, seed) -> Evaluation:
    time.sleep(0.3)
    evaluation = toy(architecture, seed)
    return Evaluation(evaluation.accuracy, 1, 0.3)


def test_hard_reward_and_no_window(tmp_path):
    run = new_run(tmp_path)
    drive(run, settings(reward="hard", window=None), 10)
    for row in from_csv(run.ranking.read_text()):
        assert row.reward == pytest.approx(row.accuracy / max(1.0, row.target_ratio))


class TestWorkers:
    """In processes of their own, as a real search has them."""

    def test_a_killed_worker_fails_its_own_trial_alone(self, tmp_path):
        run = new_run(tmp_path)
        status = drive(run, settings(), 6, dies, LocalExecutor([None, None]))
        assert len(keys(status)) == 6
        reasons = {record.reason for record in status.records if record.state == "failed"}
        assert reasons == {"its worker died (signal 9; perhaps out of memory)"}

    def test_a_killed_driver_loses_and_repeats_nothing(self, tmp_path):
        run = new_run(tmp_path)
        script = (
            "import sys; sys.path.insert(0, sys.argv[1])\n"
            "from pathlib import Path\n"
            "from toys import *\n"
            "from effsearch.executors.local import LocalExecutor\n"
            "if __name__ == '__main__':\n"
            "    run = Run(Path(sys.argv[2]))\n"
            "    with run.locked():\n"
            "        drive(run, settings(), 8, slow_toy, LocalExecutor([None]))\n"
        )
        file = tmp_path / "driver.py"
        file.write_text(script)
        command = [sys.executable, str(file), str(Path(__file__).parent), str(run.path)]
        driver = subprocess.Popen(command, start_new_session=True)
        deadline = time.monotonic() + 60
        while not run.ranking.exists() or run.ranking.read_text().count("complete") < 3:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        os.killpg(driver.pid, signal.SIGKILL)
        driver.wait()
        before = {row.key for row in from_csv(run.ranking.read_text()) if row.state == "complete"}
        with run.locked():
            status = drive(run, settings(), 8)
        assert keys(status) == keys(drive(new_run(tmp_path, "whole"), settings(), 8))
        assert before <= {key for key, _ in keys(status)}


def test_failure_reasons_are_one_line():
    assert failure_of(ValueError("bad\nworse")) == ("error", "ValueError: bad")
    assert failure_of(TimeoutError()) == ("hung", "took far longer than the others and was stopped")
    fault, reason = failure_of(RuntimeError("DefaultCPUAllocator: can't allocate memory"))
    assert (fault, reason.partition(":")[0]) == ("memory", "out of memory")


def test_evaluations_in_the_journal_are_plain_json(tmp_path):
    run = new_run(tmp_path)
    drive(run, settings(), 2)
    lines = [json.loads(line) for line in run.journal.read_text().splitlines()]
    assert len(lines) > 4
    assert all(
        math.isfinite(cost(TINY.decode({d.name: d.choices[0] for d in TINY.decisions})).flops) for _ in lines[:1]
    )

"""Drivers and workers killed at random moments; `benchmarks/chaos.py` does the same for longer, with trainings."""

import os
import sys
from dataclasses import replace
from pathlib import Path

from chaos import Chaos, finished, records, repeated
from toys import drive, new_run, settings

from effsearch.runs.records import Candidate, Record

DRIVER = """
import sys, time
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from toys import Run, drive, settings, slow_toy
from effsearch.runs.executor import LocalExecutor
if __name__ == '__main__':
    run = Run(Path(sys.argv[2]))
    with run.held():
        # As if pinned to two GPUs, since a worker on a CPU imports torch first, which takes longer than the test.
        drive(run, settings(), 16, slow_toy, LocalExecutor([0, 1]))
"""


def test_kills_at_random_moments_lose_repeat_and_hang_nothing(tmp_path):
    run, file = new_run(tmp_path), tmp_path / "driver.py"
    file.write_text(DRIVER)
    command = [sys.executable, str(file), str(Path(__file__).parent), str(run.path)]
    path = os.pathsep.join(filter(None, [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH")]))
    outcome = Chaos(command, run, 5, 2.0, seed=1, patience=60, environment=os.environ | {"PYTHONPATH": path})()
    assert outcome.sound, outcome
    assert outcome.drivers >= 1, outcome
    assert outcome.drivers + outcome.workers >= 3, outcome
    assert outcome.finished == 16


def test_the_count_sees_what_is_lost_and_what_is_repeated(tmp_path):
    run = new_run(tmp_path)
    drive(run, settings(), 3)
    assert len(finished(records(run))) == 3
    assert repeated(records(run)) == 0
    done = Record(0, "complete", Candidate("key", "notation", 1, 1, 0, "auto"), accuracy=0.5)
    assert repeated([done, replace(done, number=1, state="running")]) == 1
    assert repeated([replace(done, state="interrupted"), replace(done, number=1)]) == 0

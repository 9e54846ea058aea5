"""Drivers and workers killed at random moments; `benchmarks/chaos.py` does the same for longer, with trainings."""

import sys
from dataclasses import replace

import toy_driver
from chaos import Chaos, finished, records, repeated
from toys import drive, new_run, settings

from effsearch.runs.records import Candidate, Record


def test_kills_at_random_moments_lose_repeat_and_hang_nothing(tmp_path):
    run = new_run(tmp_path)
    command = [sys.executable, toy_driver.__file__, str(run.path)]
    outcome = Chaos(command, run, 5, 2.0, seed=1, patience=60, environment=toy_driver.environment())()
    assert outcome.sound, outcome
    assert outcome.killed["driver"] >= 1, outcome
    assert outcome.killed.total() >= 3, outcome
    assert outcome.finished == 16


def test_the_count_sees_what_is_lost_and_what_is_repeated(tmp_path):
    run = new_run(tmp_path)
    drive(run, settings(), 3)
    assert len(finished(records(run))) == 3
    assert repeated(records(run)) == 0
    done = Record(0, "complete", Candidate("key", "notation", 1, 1, 0, "auto"), accuracy=0.5)
    assert repeated([done, replace(done, number=1, state="running")]) == 1
    assert repeated([replace(done, state="interrupted"), replace(done, number=1)]) == 0

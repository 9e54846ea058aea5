"""A journal read without writing: what it tells of trainings and decisions, and what is not one."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "report"))

from folders import manifest, nas_run, record, write_run

from effsearch.errors import RunError
from effsearch.runs.history import importances, longest, read_history


def test_a_journal_tells_every_training_and_is_left_as_it_was(tmp_path):
    run = nas_run(tmp_path, count=6)
    before = run.journal.read_bytes()
    run.journal.chmod(0o444)
    history = read_history(run)
    assert [training.record.number for training in history.trainings] == list(range(7))
    assert [training.record.state for training in history.trainings].count("failed") == 1
    assert history.trainings[0].losses == (2.0, 1.0, 2 / 3, 0.5)
    assert history.trainings[0].record.accuracy == 0.66
    assert longest(history.records) == 4
    assert run.journal.read_bytes() == before
    assert not list(run.path.glob("*.lock"))


def test_a_line_that_is_just_being_written_is_left_out(tmp_path):
    run = nas_run(tmp_path, count=6)
    with run.journal.open("a") as file:
        file.write('{"op_code": 4, "worker')
    assert len(read_history(run).trainings) == 7


def test_a_run_without_a_journal_has_no_history_and_none_is_made(tmp_path):
    run = nas_run(tmp_path, count=6, journal=False)
    assert read_history(run) is None
    assert not run.journal.exists()


@pytest.mark.parametrize("text", ["nonsense\n", "[]\n", '{"op_code": 77}\n', '{"op_code": 0}\n', "\xff\n", "", "{}\n"])
def test_what_is_no_journal_is_said(tmp_path, text):
    run = nas_run(tmp_path, count=6)
    run.journal.write_bytes(text.encode("latin-1"))
    with pytest.raises(RunError, match="is not the journal of a run"):
        read_history(run)


def test_the_decision_that_matters_is_first_and_shorter_trainings_do_not_count(tmp_path):
    # The accuracy goes by the width (the number modulo 7) alone, but for trainings of one epoch.
    found = [record(n, f"{n}", f"n-{n}", 4 * 10**8, 0.5 + 0.05 * (n % 7)) for n in range(42)]
    short = [record(n, f"{n}", f"n-{n}", 4 * 10**8, 0.9 if n % 2 else 0.1, trained=1) for n in range(42, 90)]
    history = read_history(write_run(tmp_path, "both", manifest("nas"), [*found, *short]))
    shares = importances(history, 4)
    assert list(shares) == ["width", "kernel"]
    assert sum(shares.values()) == pytest.approx(1)
    assert shares["width"] > 0.9
    assert importances(history, 3) == "0 trainings are too few to say which decisions matter; it takes 20"

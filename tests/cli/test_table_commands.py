"""`effsearch nas --table` and `effsearch replay`, end to end."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from user import run, without_torch

from effsearch.evaluation.tables import to_csv

sys.path.insert(0, str(Path(__file__).parent.parent / "search"))

from tables import part_of, toy_table, write


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("user")
    table = toy_table()
    (root / "toy.csv").write_text(to_csv(table))
    (root / "part.csv").write_text(to_csv(part_of(table, 0.5)))
    write(root / "percent.csv", ["a,accuracy,flops", "1,70.0,100", "2,71.5,200"])
    return root


@pytest.fixture(scope="module")
def first(folder) -> subprocess.CompletedProcess[str]:
    asked = ("--table", "toy.csv", "--target-flops", "50M", "--trials", "15", "--run", "first")
    return without_torch(folder, "nas", *asked)


def shown(folder: Path, name: str) -> list[dict]:
    return json.loads(run(folder, "show", name, "--format", "json").stdout)


def test_a_table_is_searched_without_torch_and_shown_as_any_run(folder, first):
    assert (first.returncode, first.stderr) == (0, "")
    assert "table toy: 5 decisions; every combination has a row" in first.stdout
    rows = shown(folder, "first")
    assert [row["rank"] for row in rows] == list(range(1, 16))
    assert all(0.9 <= row["target_ratio"] <= 1.1 for row in rows)
    assert {row["source"] for row in rows} == {"auto"}
    table = toy_table()
    entry = table.parse(rows[0]["notation"])
    assert (entry.accuracy, entry.flops) == (rows[0]["accuracy"], rows[0]["flops"])
    text = run(folder, "show", "first").stdout
    assert "acc: of table toy, 243 rows" in text
    assert "best with FLOPs <= 50M" in text


def test_a_run_on_a_table_goes_on_as_if_it_had_not_ended(folder, first):
    again = run(folder, "nas", "--resume", "first", "--trials", "22")
    assert (again.returncode, again.stderr) == (0, "")
    whole = run(folder, "nas", "--table", "toy.csv", "--target-flops", "50M", "--trials", "22", "--run", "whole")
    assert whole.returncode == 0
    assert shown(folder, "first") == shown(folder, "whole")


def test_trials_on_a_table_may_be_in_a_database(folder, first):
    asked = ["--table", "toy.csv", "--target-flops", "50M", "--trials", "10", "--run", "stored"]
    begun = run(folder, "nas", *asked, "--storage", "sqlite:///trials.db")
    again = run(folder, "nas", "--resume", "stored", "--trials", "15")
    assert [(done.returncode, done.stderr) for done in (begun, again)] == [(0, "")] * 2
    assert not (folder / "results" / "stored" / "journal.log").exists()
    assert (folder / "results" / "first" / "journal.log").exists()
    keys = {row["key"] for row in shown(folder, "stored")}
    assert len(keys) == 15
    assert keys <= {row["key"] for row in shown(folder, "first")}


def test_a_run_on_a_table_is_not_continued_under_other_settings(folder, first):
    other = run(folder, "nas", "--resume", "first", "--reward", "hard")
    assert (other.returncode, other.stderr.count("\n")) == (2, 1)
    assert "reward is soft, not hard" in other.stderr
    rows = run(folder, "nas", "--table", "part.csv", "--target-flops", "50M", "--run", "first")
    assert rows.returncode == 2
    assert "table is toy, not part" in rows.stderr


def test_an_incomplete_table_is_completed_or_searched_as_it_is(folder):
    common = ("nas", "--table", "part.csv", "--target-flops", "50M", "--trials", "30")
    completed = run(folder, *common, "--run", "completed")
    assert (completed.returncode, completed.stderr) == (0, "")
    assert "accuracy of rows left out is predicted to" in completed.stdout
    assert "Kendall tau" in completed.stdout
    assert {row["source"] for row in shown(folder, "completed")} == {"auto", "auto (predicted)"}
    assert "(predicted): no row, by a Gaussian process" in run(folder, "show", "completed").stdout
    pool = run(folder, *common, "--pool", "--run", "pool")
    assert (pool.returncode, pool.stderr) == (0, "")
    assert {row["source"] for row in shown(folder, "pool")} == {"auto"}
    listed = part_of(toy_table(), 0.5)
    assert all(listed.parse(row["notation"]) for row in shown(folder, "pool"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("nas --table percent.csv --target-flops 50M", "a fraction from 0 to 1, got 70 in row 1"),
        ("nas --table missing.csv --target-flops 50M", "no table 'missing.csv'"),
        ("nas --table toy.csv", "needs --target-flops"),
        ("nas --table toy.csv --target-flops 5G", "no row of table toy has 4.5B to 5.5B FLOPs"),
        ("nas --table toy.csv --target-flops 50M --space tiny", "it takes no --space"),
        ("nas --table toy.csv --target-flops 50M --epochs 2", "it takes no --epochs"),
        ("nas --table toy.csv --target-flops 50M --sampler foo", "auto, .*'foo'"),
        ("nas --target-flops 50M --pool", "for a --table"),
        ("replay percent.csv", "a fraction from 0 to 1"),
        ("replay toy.csv --samplers auto,foo", "random, tpe, nsga2, gp, got 'foo'"),
        ("replay toy.csv --seeds 0", "from 1 to 1,000, got 0"),
        ("replay toy.csv --reward foo", "soft, hard, absolute"),
        ("replay toy.csv --out curves.txt", r"\.png, \.svg"),
        ("replay toy.csv --target-flops none", "400M"),
    ],
)
def test_what_a_user_can_mend_is_one_line_and_status_2(folder, arguments, message):
    done = run(folder, *arguments.split())
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert re.search(message, done.stderr)


def test_replay_prints_json_alone_and_draws(folder):
    command = "replay toy.csv --samplers auto,random --seeds 3 --trials 30 --workers 1 --target-flops 50M --format json"
    done = without_torch(folder, *command.split(), "--out", "curves.svg")
    assert done.returncode == 0
    rows = json.loads(done.stdout)
    assert [row["sampler"] for row in rows] == ["auto", "random"]
    assert all(row["seeds"] == 3 and row["trials"] == 30 for row in rows)
    assert rows[0]["regret"]["25"] <= rows[1]["regret"]["25"]
    assert "auto" in (folder / "curves.svg").read_text()


def test_replay_prints_a_table(folder):
    command = "replay toy.csv --samplers evolution --seeds 2 --trials 30 --workers 1 --reward hard"
    done = run(folder, *command.split())
    assert done.returncode == 0
    assert "to 0.1 %" in done.stdout
    assert "ACC up to T" in done.stdout

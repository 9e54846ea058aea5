"""Run folders that version 0.1 wrote, one of each kind: shown, reported, and continued or refused in one line."""

import json
import zipfile
from pathlib import Path

import pytest
from user import run

ARCHIVE = Path(__file__).parent.parent / "fixtures" / "runs-0.1.zip"
KINDS = ("nas", "prior", "table", "grid", "curves", "train", "train-part")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A folder with images and a table, and in results/ the runs that were made of them."""
    found = tmp_path_factory.mktemp("old")
    with zipfile.ZipFile(ARCHIVE) as archive:
        archive.extractall(found)
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_shown_and_reported(folder, kind):
    shown = run(folder, "show", kind)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert kind in shown.stdout
    made = run(folder, "report", kind, "--out", f"{kind}.html")
    assert (made.returncode, made.stderr) == (0, "")
    assert "0.1.0" in (folder / f"{kind}.html").read_text()


@pytest.mark.parametrize(
    ("kind", "command", "more", "said"),
    [
        ("nas", "nas", ("--trials", "5"), "5/5 architectures"),
        ("prior", "nas", ("--trials", "14"), "14/14 architectures"),
        # Three networks of the table lie in the window, and the run has them already.
        ("table", "nas", ("--trials", "6"), "the search ended early: space table: 20,000 proposals in a row"),
        ("grid", "grid", (), "best at equal FLOPs"),
        ("train", "train", (), "test: top-1"),
        ("train-part", "train", ("--time-limit", "5s"), "stopped; go on with: effsearch train --resume train-part"),
    ],
)
def test_it_is_continued(folder, kind, command, more, said):
    before = _trainings(folder, kind)
    done = run(folder, command, "--resume", kind, *more)
    assert done.stderr == ""
    assert done.returncode == (130 if kind == "train-part" else 0)
    assert said in done.stdout
    assert "the time was up" not in done.stdout
    after = _trainings(folder, kind)
    assert before <= after
    assert (len(after) > len(before)) == (kind not in ("table", "grid", "train"))


def test_curves_are_refused_in_one_line_that_names_the_version(folder):
    refused = run(folder, "curves", "--resume", "curves")
    assert refused.returncode == 2
    assert refused.stderr.count("\n") == 1
    assert "is of effsearch 0.1.0, which kept multipliers as coefficients" in refused.stderr


def _trainings(folder: Path, kind: str) -> set[str]:
    """What a run has finished: networks, or epochs."""
    if kind.startswith("train"):
        lines = (folder / "results" / kind / "metrics.jsonl").read_text().splitlines()
        return {str(json.loads(line)["epoch"]) for line in lines}
    shown = json.loads(run(folder, "show", kind, "--format", "json").stdout)
    return {row["key"] for row in shown if row["state"] == "complete"}

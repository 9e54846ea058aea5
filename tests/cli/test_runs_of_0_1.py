"""Run folders that version 0.1 wrote, one of each kind: shown, reported, and continued or refused in one line."""

import json
import zipfile
from pathlib import Path

import pytest

from effsearch.runs.ranking import read_ranking

ARCHIVE = Path(__file__).parent.parent / "fixtures" / "runs-0.1.zip"
KINDS = ("nas", "prior", "table", "grid", "curves", "train", "train-part")


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """A folder with images and a table, and in results/ the runs that were made of them."""
    with zipfile.ZipFile(ARCHIVE) as archive:
        archive.extractall(tmp_path)
    monkeypatch.setenv("EFFSEARCH_CACHE", str(tmp_path / "cache"))
    return tmp_path


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_shown_and_reported(effsearch, folder, kind):
    code, out, err = effsearch("show", kind)
    assert (code, err) == (0, "")
    assert kind in out
    code, _, err = effsearch("report", kind, "--out", "page.html")
    assert (code, err) == (0, "")
    assert "0.1.0" in (folder / "page.html").read_text()


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
def test_it_is_continued(effsearch, folder, kind, command, more, said):
    before = _trainings(folder, kind)
    code, out, err = effsearch(command, "--resume", kind, *more)
    assert err == ""
    assert code == (130 if kind == "train-part" else 0)
    assert said in " ".join(out.split())
    assert "the time was up" not in out
    after = _trainings(folder, kind)
    assert before <= after
    assert (len(after) > len(before)) == (kind not in ("table", "grid", "train"))


def test_curves_are_refused_in_one_line_that_names_the_version(effsearch, folder):
    code, _, err = effsearch("curves", "--resume", "curves")
    assert code == 2
    assert err.count("\n") == 1
    assert "is of effsearch 0.1.0, which kept multipliers as coefficients" in err


def _trainings(folder: Path, kind: str) -> set[str]:
    """What a run has finished: networks, or epochs."""
    run = folder / "results" / kind
    if kind.startswith("train"):
        return {str(json.loads(line)["epoch"]) for line in (run / "metrics.jsonl").read_text().splitlines()}
    return {row.key for row in read_ranking(run / "ranking.csv") if row.state == "complete"}

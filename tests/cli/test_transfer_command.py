"""`effsearch transfer` end to end, with real trainings of tiny networks on tiny images, and what it refuses."""

import json
import shutil
from pathlib import Path

import pytest
from user import paint, run

from effsearch.runs.folder import Run
from effsearch.runs.history import read_history

ARCH = "16px-stem_k3_s2_c8-ds_r1_k3_s1_e1_c8-ir_r2_k3_s2_e2_c16_se0.25-head_c32-silu"
QUICK = ["--recipe", "quick.toml", "--workers", "1"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two sets of images and a trained network."""
    folder = paint(tmp_path_factory.mktemp("user"), {"train": 60, "test": 10})
    shutil.copytree(folder / "images" / "train", folder / "others")
    (folder / "quick.toml").write_text("epochs = 2\nbatch = 16\nrate = 0.1\n")
    done = run(folder, "train", ARCH, "--data", "images", *QUICK[:2], "--device", "cpu", "--run", "known")
    assert done.returncode == 0, done.stderr
    return folder


def test_networks_are_transferred_continued_and_shown(folder):
    command = ["transfer", "--networks", f"known,{ARCH}", "--data", "images,others", *QUICK, "--run", "both"]
    done = run(folder, *command)
    assert done.returncode == 0, done.stderr
    words = " ".join(done.stdout.split())
    for expected in (
        "the-architecture has no weights to begin from",
        "images: 2 classes, 96 images to train on, 24 to validate on, 20 to test on",
        "others: 2 classes, 76 images to train on, 20 to validate on, 24 to test on",
        "4 trainings on 1 worker",
        "over 2 sets",
    ):
        assert expected in words
    assert "reward" not in words  # It would be the accuracy again.
    more = run(folder, "transfer", "--resume", "both", "--seeds", "2", "--workers", "1", "--format", "json")
    assert more.returncode == 0, more.stderr
    rows = json.loads(more.stdout)
    assert [(row["set"], row["network"]) for row in rows] == [
        ("images", "known"),
        ("images", "the-architecture"),
        ("others", "known"),
        ("others", "the-architecture"),
    ]
    assert {row["seeds"] for row in rows} == {2}
    assert [row["images"] for row in rows] == [20, 20, 24, 24]
    assert rows[0]["accuracy"] > 0.9  # from weights that know these images
    assert rows[0]["accuracy_low"] < rows[0]["accuracy"] <= rows[0]["accuracy_high"] <= 1
    history = read_history(Run(folder / "results/both"))
    assert history is not None
    assert all(record.test is not None for record in history.records)
    shown = run(folder, "show", "both", "--format", "csv")
    assert len(shown.stdout.splitlines()) == 5
    drawn = run(folder, "plot", "both", "--out", "both.svg")
    assert drawn.returncode == 0, drawn.stderr
    assert "known" in (folder / "both.svg").read_text()
    written = run(folder, "report", "both", "--out", "both.html")
    assert written.returncode == 0, written.stderr
    assert "the-architecture" in (folder / "both.html").read_text()


def test_a_run_that_is_named_again_is_continued_and_not_changed(folder):
    again = run(folder, "transfer", "--networks", f"known,{ARCH}", "--data", "images,others", *QUICK, "--run", "both")
    assert again.returncode == 0, again.stderr
    for changed, says in (
        (["known", "--data", "images,others", *QUICK], "networks"),
        (["--networks", f"known,{ARCH}", "--data", "images", *QUICK], "sets"),
        (["--networks", f"known,{ARCH}", "--data", "images,others", *QUICK, "--epochs", "3"], "epochs is 2, not 3"),
    ):
        refused = run(folder, "transfer", *changed, "--run", "both")
        assert refused.returncode == 2
        assert refused.stderr.count("\n") == 1
        assert says in refused.stderr


def test_a_linear_classifier_on_features_of_imagenet_keeps_them(folder):
    command = ["transfer", "efficientnet_lite0", "--data", "images", "--resolution", "64", "--linear", "--workers", "1"]
    first = run(folder, *command, "--format", "json")
    assert first.returncode == 0, first.stderr
    kept = sorted((folder / "cache/features").iterdir())
    assert len(kept) == 3
    kept[0].write_bytes(b"damaged")
    second = run(folder, *command, "--format", "json")
    assert second.returncode == 0, second.stderr
    (before,), (after,) = json.loads(first.stdout), json.loads(second.stdout)
    assert before["accuracy"] == after["accuracy"] > 0.8
    assert before["weights"] == "imagenet"


def test_a_plan_says_how_long_and_writes_nothing(folder):
    before = sorted((folder / "results").iterdir())
    plan = run(folder, "transfer", "known", "--data", "images", "--scratch", *QUICK, "--dry-run")
    assert plan.returncode == 0, plan.stderr
    assert "known-scratch" in plan.stdout
    assert "2 trainings" in plan.stdout
    assert "in all, from a short measurement" in plan.stdout
    assert sorted((folder / "results").iterdir()) == before


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ([], "transfer needs a network"),
        (["known"], "transfer needs image sets"),
        (["nothing", "--data", "images"], "no architecture 'nothing'"),
        (["known", "--data", "nowhere"], "nowhere"),
        (["--networks", "known,known", "--data", "images"], "two networks are called known: name each once"),
        (["known", "--data", "images,images"], "two image sets are called images: name each once"),
        (
            ["known", "--data", "images", "--reference", "b0"],
            "--reference must be one of the networks, known; got 'b0'",
        ),
        (["known", "--data", "images", "--recipe", "fast"], "--recipe must be one of"),
        (["known", "--data", "images", "--seeds", "0"], "--seeds must be from 1 to 100, got 0"),
        (["known", "--data", "images", "--images", "0"], "--images must be from 1"),
        (["known", "--data", "images", "--linear", "--seeds", "2"], "leave out --seeds with --linear"),
        (["known", "--data", "images", "--images", "20"], "a batch has 64 images, but images trains on 20"),
        (["--resume", "known"], "run known is of effsearch train, not of transfer"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line(folder, effsearch, monkeypatch, asked, says):
    monkeypatch.chdir(folder)
    monkeypatch.setenv("EFFSEARCH_CACHE", str(folder / "cache"))
    before = sorted((folder / "results").iterdir())
    status, _, error = effsearch("transfer", *asked)
    assert (status, error.count("\n")) == (2, 1), error
    assert says in error
    assert sorted((folder / "results").iterdir()) == before

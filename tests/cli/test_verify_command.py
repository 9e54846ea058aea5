"""`effsearch verify` end to end, with real trainings of tiny networks on tiny images, and what it refuses."""

import json
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest
from user import EFFSEARCH, environment, paint, run

from effsearch.engine.search_problems import Budget
from effsearch.evaluation import QUICK, STANDARD
from effsearch.runs.folder import Run, create
from effsearch.runs.history import read_history
from effsearch.runs.manifest import About, Data, Manifest
from effsearch.runs.ranking import Row, to_csv
from effsearch.runs.settings import NasSettings, TableSettings, VerifySettings
from effsearch.space import load, locate
from effsearch.workflows import verify
from effsearch.workflows.common import Listener
from effsearch.workflows.request import VerifyRequest

BASELINE = "32px-stem_k3_s2_c8-ds_r1_k3_s1_e1_c8-ir_r1_k3_s2_e2_c16-head_c32-relu"
SMALL = ["--proxy-resolution", "12", "--proxy-images", "64", "--epochs", "1", "--workers", "1", "--data", "images"]
VERIFY = ["verify", "first", "--times", "2", "--seeds", "2", "--workers", "1"]
RIVALS = f"{BASELINE},random:2"  # smaller than B0


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with images of two classes and a search of them."""
    folder = paint(tmp_path_factory.mktemp("user"), {"train": 60, "test": 17})
    searched = run(folder, "nas", "--target-flops", "8M", "--space", "tiny", "--trials", "3", *SMALL, "--run", "first")
    assert searched.returncode == 0, searched.stderr
    return folder


def test_a_plan_says_what_would_be_trained_and_writes_nothing(folder):
    before = sorted((folder / "results").iterdir())
    plan = run(folder, *VERIFY, "--seeds", "3", "--dry-run")
    assert plan.returncode == 0, plan.stderr
    words = " ".join(plan.stdout.split())
    for expected in (
        "found",
        "b0 33.25M 5.289M",
        "random 3",
        "5 networks under 3 seeds",
        "15 trainings of 1 epoch x 96 images, about",  # twice as long as 64 images, of which there are no more
        "can tell two networks apart that differ by",
        "as in first",
    ):
        assert expected in words
    assert sorted((folder / "results").iterdir()) == before


def test_a_verification_is_stopped_continued_shown_and_drawn(folder, effsearch):
    command = [*EFFSEARCH, *VERIFY, "--against", RIVALS, "--run", "verified"]
    process = subprocess.Popen(
        command, cwd=folder, env=environment(folder), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    ranking = folder / "results" / "verified" / "ranking.csv"
    deadline = time.monotonic() + 120
    while process.poll() is None and not (ranking.exists() and "complete" in ranking.read_text()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert err == ""
    assert process.returncode == 130, out
    assert "go on with: effsearch verify --resume verified" in out
    resumed = run(folder, "verify", "--resume", "verified", "--workers", "1", "--format", "json")
    assert resumed.returncode == 0, resumed.stderr
    rows = json.loads(resumed.stdout)
    assert "effsearch verify --resume verified --seeds 4" in resumed.stderr
    assert [row["role"] for row in rows] == ["found", rows[1]["key"], "random", "random"]
    assert {row["seeds"] for row in rows} == {2}
    # Of two trainings, on 34 test images; there are 24 to validate on.
    assert all(68 * row["accuracy"] == pytest.approx(round(68 * row["accuracy"])) for row in rows)
    assert all(row["accuracy_low"] <= row["accuracy"] <= row["accuracy_high"] for row in rows)
    assert [row["difference"] is None for row in rows] == [False, True, False, False]
    assert rows[0]["difference"] == pytest.approx(rows[0]["accuracy"] - rows[1]["accuracy"])
    here = ("verified", "--results", str(folder / "results"))
    assert json.loads(effsearch("show", *here, "--format", "json")[1]) == rows
    shown = " ".join(effsearch("show", *here)[1].split())
    assert f"found is not told apart from {rows[1]['key']}" in shown or f"than {rows[1]['key']} by" in shown
    assert "the mean of 2 random networks" in shown
    assert "acc: test top-1 on images" in shown
    assert "after 1 epoch of 96 images (first had 1 epoch of 64;" in shown
    assert effsearch("plot", *here)[0] == 0
    assert "<svg" in (folder / "results" / "verified" / "means.svg").read_text(encoding="utf-8")
    assert effsearch("report", *here)[0] == 0
    # The weights of the first seed are kept, by the names of the networks.
    assert len(list((folder / "results" / "verified" / "weights").iterdir())) == 4
    light = folder / "images" / "test" / "light"
    drawn = run(folder, "cam", "verified", "--images", str(light), "--most", "2", "--out", "maps.svg")
    assert (drawn.returncode, drawn.stderr) == (0, "")
    assert "2 images of 17, evenly from their order (--most draws more), 4 networks" in drawn.stdout
    picture = (folder / "maps.svg").read_text(encoding="utf-8")
    assert all(name in picture for name in ("found", "random 1", "random 2"))
    told = run(folder, "evaluate", "verified:random 2", "--data", "images", "--format", "json")
    assert told.returncode == 0, told.stderr
    verified = Run(folder / "results" / "verified")
    first = verified.settings(VerifySettings).seed
    records = [record for record in read_history(verified).records if record.state == "complete"]
    [reached] = [r.accuracy for r in records if (r.candidate.key, r.candidate.seed) == (rows[3]["key"], first)]
    assert json.loads(told.stdout)["accuracy"]["top1"]["share"] == pytest.approx(reached)
    code, _, err = effsearch("show", *here, "--top", "1")
    assert (code, err.count("\n")) == (2, 1)


def test_the_same_command_trains_nothing_more_and_another_is_refused(folder, effsearch):
    again = run(folder, *VERIFY, "--against", RIVALS, "--run", "verified")
    assert again.returncode == 0, again.stderr
    assert not [line for line in again.stdout.splitlines() if line.startswith("[")]
    for changed, said in ((("--times", "3"), "proxy.epochs is 1, not 2"), (("--top", "2"), "top is 1, not 2")):
        code, _, err = effsearch("verify", "--resume", "verified", *changed, "--results", str(folder / "results"))
        assert code == 2
        assert said in err
    images = paint(folder / "others", {"train": 61}) / "images"
    refused = run(folder, *VERIFY, "--against", RIVALS, "--data", str(images))
    assert refused.returncode == 2
    assert "run first was made with other images" in refused.stderr


def test_a_grid_is_verified_against_its_own_references(folder, effsearch):
    grid = ["grid", "--baseline", BASELINE, "--step", "0.25", "--tolerance", "0.15", "--method", "grid"]
    searched = run(folder, *grid, "--repeats", "1", *SMALL, "--run", "grown")
    assert searched.returncode == 0, searched.stderr
    done = run(folder, "verify", "grown", "--times", "1", "--seeds", "2", "--workers", "1", "--run", "kept")
    assert done.returncode == 0, done.stderr
    results = ("--results", str(folder / "results"))
    rows = json.loads(effsearch("show", "kept", "--format", "json", *results)[1])
    roles = [row["role"] for row in rows]
    assert roles[0] == "compound"
    assert {"resolution", "baseline"} <= set(roles) <= {"compound", "paper", "depth", "width", "resolution", "baseline"}
    assert len({row["key"] for row in rows}) == len(rows)
    compared = next(row["role"] for row in rows if row["difference"] is None)
    assert compared in ("depth", "width", "resolution")
    assert f"compound is not told apart from {compared}" in done.stdout or f"than {compared} by" in done.stdout
    assert "Kendall's tau" in done.stdout or "the order of accuracies" in done.stdout
    code, _, err = effsearch("verify", "grown", "--against", "random:2", *results)
    assert code == 2
    assert "a grid has no space to draw random networks from" in err


def settings(**changes: object) -> NasSettings:
    return NasSettings(**{"space": "tiny", "target": 8e6, "resolution": 64, "data": "scenes", "proxy": QUICK} | changes)


@pytest.fixture
def searched(tmp_path: Path) -> Run:
    """A search whose one network has an accuracy, and which trained under seeds 0 to 2."""
    manifest = Manifest(About("nas"), settings(), Data("scenes", digest="abc"))
    files = {"space.toml": locate("tiny").read_text(encoding="utf-8")}
    made = create(tmp_path / "results", "first", manifest.to_document(), files)
    network = load("tiny").at(64).decode({d.name: d.choices[0] for d in load("tiny").at(64).decisions})
    numbers = (0.5, 0.01, 3, 0.5, 8_000_000, 1.0, 100_000, 4, 9.5, True, True, "auto", None)
    made.ranking.write_text(to_csv([Row(1, network.key, network.notation, "complete", *numbers)]))
    return made


MISTAKES = {
    "verify": "verify needs a RUN",
    "verify nowhere": "no run 'nowhere'",
    "verify first --times 0": "--times must be from 1",
    "verify first --times 2 --epochs 3": "--times and --epochs",
    "verify first --seeds 1": "--seeds must be from 2 to 100, got 1",
    "verify first --seeds 101": "--seeds must be from 2 to 100, got 101",
    "verify first --seed 2": "--seed must be one from which no seed is the run's own, got 2: it used 2",
    "verify first --top 0": "--top must be from 1",
    "verify first --against nobody": "--against: no architecture 'nobody'.* or random:N",
    "verify first --against random": "--against: no architecture 'random'",
    "verify first --against random:0": "takes N from 1 to 100, got random:0",
    "verify first --against random:101": "takes N from 1 to 100, got random:101",
    "verify first --against first:1": "must name a network besides found, got 'first:1'",
    "verify first --proxy slow": "--proxy must be one of",
    "verify first --format json --dry-run": "--dry-run prints a table",
    "verify --resume first": "is of effsearch nas, not of verify",
}


@pytest.mark.parametrize("command", MISTAKES)
def test_a_mistake_is_one_line(effsearch, searched, tmp_path, command):
    before = sorted(tmp_path.rglob("*"))
    code, out, err = effsearch(*command.split())
    assert code == 2
    assert err.count("\n") == 1
    assert re.search(MISTAKES[command], err)
    assert sorted(tmp_path.rglob("*")) == before, out


def test_runs_that_cannot_be_verified_are_refused(effsearch, searched):
    rows = searched.ranking.read_text().splitlines()
    searched.ranking.write_text(rows[0] + "\n")
    assert "has no accuracy yet" in effsearch("verify", "first")[2]
    text = (searched.path / "run.toml").read_text()
    (searched.path / "run.toml").write_text(text.replace('digest = "abc"\n', ""))
    assert "trained nothing on images: say by --data" in effsearch("verify", "first")[2]


def test_a_search_of_a_table_is_refused(effsearch, searched, tmp_path):
    manifest = Manifest(About("nas"), TableSettings("toy.csv", "abc", 8e6), Data("toy"))
    create(tmp_path / "results", "table", manifest.to_document())
    said = effsearch("verify", "table")[2]
    assert said == "effsearch: run table looks networks up in a table; verify takes a run of nas or of grid\n"


def test_a_run_that_trained_nothing_is_verified_on_images_that_are_named(searched):
    text = (searched.path / "run.toml").read_text()
    (searched.path / "run.toml").write_text(text.replace('digest = "abc"\n', "").replace('"training"', '"prior"'))
    asked = VerifyRequest(searched="first", settings={"data": "cifar10"}, results=searched.path.parent)
    made = verify.settings_of(asked, searched, verify.read_ranking(searched.ranking), Listener())
    assert (made.data, made.proxy.name) == ("cifar10", "quick")
    assert (made.proxy.epochs, made.proxy.train_images) == (40, 4000)  # How many it has only a download would tell.


def test_random_networks_are_seeded_distinct_and_within_the_window(searched):
    chosen = settings(window=(0.9, 1.1), max_params=170e3)
    found = verify.random_networks(searched, chosen, 4, ())
    assert len(found) == 4
    budget = Budget(chosen)
    assert all(budget.feasible(network.architecture) for network in found.values())
    assert verify.random_networks(searched, chosen, 4, ()) == found
    first = next(iter(found))
    assert first not in verify.random_networks(searched, chosen, 4, {first})
    assert verify.random_networks(searched, settings(window=(0.9, 1.1), max_params=170e3, seed=1), 4, ()) != found


def test_a_window_without_networks_is_said(searched, monkeypatch):
    monkeypatch.setattr(verify, "DRAWS", 200)
    with pytest.raises(verify.SpaceError, match=r"--against random:3: 0 of 200 random architectures of space tiny"):
        verify.random_networks(searched, settings(window=(1.0, 1.000001)), 3, ())


def test_seeds_follow_those_that_the_run_used(searched):
    rows = verify.read_ranking(searched.ranking)
    asked = VerifyRequest(searched="first", results=searched.path.parent)
    made = verify.settings_of(asked, searched, rows, Listener())
    assert made.seed == 3
    assert [network.role for network in made.networks] == ["found", "b0", "random", "random", "random"]
    assert made.networks[0].accuracy == 0.5
    assert (made.proxy.epochs, made.proxy.train_images) == (10, 16_000)  # all that scenes has
    assert (made.run_epochs, made.run_images) == (4, 4000)
    few = VerifyRequest(searched="first", changes={"train_images": 5000}, times=2, results=searched.path.parent)
    made = verify.settings_of(few, searched, rows, Listener())
    assert (made.proxy.epochs, made.proxy.train_images) == (8, 5000)
    late = VerifyRequest(searched="first", settings={"seed": 7}, proxy="standard", results=searched.path.parent)
    made = verify.settings_of(late, searched, rows, Listener())
    assert (made.seed, made.proxy) == (7, STANDARD)
    with pytest.raises(TypeError, match="verify takes no colour"):
        VerifyRequest(settings={"colour": 1})

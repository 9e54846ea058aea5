"""`effsearch grid` and `effsearch curves` end to end, with real trainings of tiny networks on tiny images."""

import json
import signal
import subprocess
import time
from pathlib import Path

import pytest
from PIL import Image
from user import EFFSEARCH, environment, paint, run

BASELINE = "32px-stem_k3_s2_c8-ds_r1_k3_s1_e1_c8-ir_r1_k3_s2_e2_c16-head_c32-relu"
TINY = ["--baseline", BASELINE, "--step", "0.25", "--tolerance", "0.15", "--epochs", "2", "--proxy-resolution", "12"]
TINY += ["--proxy-images", "64", "--workers", "1", "--data", "images", "--repeats", "2"]
HALVED = [*TINY, "--method", "halving"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with images of two classes, in which commands are run."""
    return paint(tmp_path_factory.mktemp("user"), {"train": 60})


@pytest.fixture(scope="module")
def first(folder: Path) -> subprocess.CompletedProcess[str]:
    return run(folder, "grid", *HALVED, "--run", "first")


def test_a_grid_ends_with_coefficients_and_the_family_they_give(folder, first):
    assert first.returncode == 0, first.stderr
    assert first.stderr == ""
    for expected in (
        "triples in steps of 0.25",
        "epochs in all, about",
        "best at equal FLOPs: alpha",
        "noise: seed sd",
        "formula",
    ):
        assert expected in first.stdout
    found = json.loads((folder / "results" / "first" / "coefficients.json").read_text())
    rows = json.loads(run(folder, "show", "first", "--format", "json").stdout)
    best = next(row for row in rows if row["source"].startswith("candidate"))
    assert [found[name] for name in ("alpha", "beta", "gamma")] == [best["alpha"], best["beta"], best["gamma"]]
    assert {"baseline", "resolution"} <= {row["source"] for row in rows}
    assert {row["epochs"] for row in rows} == {1, 2}
    assert "best at equal FLOPs: alpha" in run(folder, "show", "first").stdout
    assert "grid" in run(folder, "runs").stdout


def test_what_a_grid_found_grows_a_network(folder, first):
    grown = json.loads(run(folder, "scale", BASELINE, "--from", "first", "--phi", "2", "--format", "json").stdout)
    found = json.loads((folder / "results" / "first" / "coefficients.json").read_text())
    assert grown["width"] == pytest.approx(found["beta"] ** 2)
    described = run(folder, "describe", "first")
    assert described.returncode == 0, described.stderr


def test_a_finished_grid_trains_nothing_more_and_other_settings_are_refused(folder, first):
    again = run(folder, "grid", *HALVED, "--run", "first")
    assert again.returncode == 0, again.stderr
    assert not [line for line in again.stdout.splitlines() if line.startswith("[")]
    refused = run(folder, "grid", "--resume", "first", "--step", "0.5", "--repeats", "3")
    assert refused.returncode == 2
    assert refused.stderr.count("\n") == 1
    assert "grid.step is 0.25, not 0.5" in refused.stderr
    assert "repeats is 2, not 3" in refused.stderr


def test_a_grid_is_steered_by_its_surface_until_its_trainings_are_used_up(folder):
    done = run(folder, "grid", *TINY, "--trials", "14", "--run", "steered")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    for expected in (
        "at most 14 trainings of about",
        "ends earlier once alpha, beta and gamma are each known to a third of their range",
        "can tell directions of growth apart that differ by about",
        "best at equal FLOPs: alpha",
        "to be expected at equal FLOPs",
        "80 % intervals",
        "fitted: a doubling of FLOPs brings",
        "candidates are ranked by it, before the references",
    ):
        assert expected in " ".join(done.stdout.split()), expected
    files = folder / "results" / "steered"
    assert "trials = 14" in (files / "run.toml").read_text()
    found = json.loads((files / "coefficients.json").read_text())
    assert {"alpha_80", "networks", "trainings", "accuracy_per_doubling", "noise_sd"} <= found["fit"].keys()
    rows = json.loads(run(folder, "show", "steered", "--format", "json").stdout)
    assert sum(row["seeds"] for row in rows) == 14
    assert rows[0]["source"].startswith("candidate")
    assert (files / "surface.png").is_file()
    again = run(folder, "grid", "--resume", "steered")
    assert again.returncode == 0, again.stderr
    assert not [line for line in again.stdout.splitlines() if line.startswith("[")]
    further = run(folder, "grid", "--resume", "steered", "--trials", "16")
    assert len([line for line in further.stdout.splitlines() if line.startswith("[")]) <= 2


def test_a_signal_stops_a_grid_and_it_goes_on_from_there(folder):
    command = [*EFFSEARCH, "grid", *TINY, "--method", "grid", "--run", "stopped"]
    process = subprocess.Popen(
        command, cwd=folder, env=environment(folder), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    ranking = folder / "results" / "stopped" / "ranking.csv"
    deadline = time.monotonic() + 90
    while not ranking.exists() or ranking.read_text().count("complete") < 2:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "go on with: effsearch grid --resume stopped" in out
    assert err == ""
    resumed = run(folder, "grid", "--resume", "stopped")
    assert resumed.returncode == 0, resumed.stderr
    rows = json.loads(run(folder, "show", "stopped", "--format", "json").stdout)
    assert {row["seeds"] for row in rows} == {2}
    assert {row["state"] for row in rows} == {"complete"}


def test_curves_end_with_a_table_a_csv_and_pictures(folder):
    options = ["--baseline", BASELINE, "--points", "1,2", "--axes", "width,depth", "--no-under", "--epochs", "1"]
    options += ["--proxy-resolution", "12", "--proxy-images", "64", "--workers", "1", "--data", "images"]
    done = run(folder, "curves", *options, "--run", "curves")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    for expected in ("2 curves through 3 distinct networks", "gain", "F/F0", "noise: seed sd", "curves.svg"):
        assert expected in done.stdout
    files = folder / "results" / "curves"
    lines = (files / "curves.csv").read_text().splitlines()
    assert lines[0].startswith("curve,depth,width,resolution_multiplier,resolution,layers,flops,params,accuracy")
    assert len(lines) == 5
    with Image.open(files / "curves.png") as picture:
        assert min(picture.size) > 300
    assert ">width<" in (files / "curves.svg").read_text()
    assert "gain" in run(folder, "show", "curves").stdout
    again = run(folder, "curves", "--resume", "curves")
    assert again.returncode == 0
    assert not [line for line in again.stdout.splitlines() if line.startswith("[")]
    refused = run(folder, "curves", "--resume", "curves", "--points", "1,3")
    assert refused.returncode == 2
    assert "points is" in refused.stderr

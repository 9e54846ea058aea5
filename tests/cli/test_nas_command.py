"""`effsearch nas` end to end, with real trainings of tiny networks on tiny images."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from user import EFFSEARCH, environment, paint, run

TINY = [
    "--space",
    "tiny",
    "--target-flops",
    "8M",
    "--epochs",
    "1",
    "--proxy-resolution",
    "16",
    "--proxy-images",
    "64",
    "--workers",
    "1",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A folder with images of two classes, in which commands are run."""
    return paint(tmp_path_factory.mktemp("user"), {"train": 60})


@pytest.fixture(scope="module")
def first(folder) -> subprocess.CompletedProcess[str]:
    return run(folder, "nas", *TINY, "--data", "images", "--trials", "3", "--run", "first")


def test_a_search_ends_with_a_ranked_table(folder, first):
    assert first.returncode == 0, first.stderr
    assert first.stderr == ""
    for expected in ("data images, 2 classes", "3 trained architectures", "noise: seed sd", "best with FLOPs <= 8M"):
        assert expected in first.stdout
    assert "EfficientNet-B0 (33.25M FLOPs) is not in space tiny" in first.stdout
    shown = json.loads(run(folder, "show", "first", "--format", "json").stdout)
    assert [row["rank"] for row in shown] == [1, 2, 3]
    assert {row["state"] for row in shown} == {"complete"}
    assert all(0 <= row["accuracy"] <= 1 and row["epochs"] == 1 for row in shown)


def test_everything_that_gives_a_trial_meaning_is_in_the_run_file(folder, first):
    text = (folder / "results" / "first" / "run.toml").read_text()
    for name in ("command", "torch", "seed", "digest", "label_smoothing", "train_images", "target", "device"):
        assert name in text


def test_the_prior_is_of_the_run_and_not_of_the_command(folder):
    size = ("--epochs", "1", "--proxy-resolution", "32", "--proxy-images", "64", "--workers", "1", "--data", "images")
    begun = run(
        folder, "nas", "--space", "b0", "--target-flops", "300M", *size, "--prior", "--trials", "2", "--run", "p"
    )
    assert begun.returncode == 0, begun.stderr
    assert "begins from predicted ImageNet accuracies" in " ".join(begun.stdout.split())
    assert "prior = true" in (folder / "results" / "p" / "run.toml").read_text()
    refused = run(folder, "nas", "--resume", "p", "--no-prior")
    assert refused.returncode == 2
    assert "prior is True, not False" in refused.stderr


def test_a_run_is_continued_by_either_name_and_trains_nothing_twice(folder, first):
    again = run(folder, "nas", "--resume", "first", "--trials", "4")
    assert again.returncode == 0, again.stderr
    trained = [line for line in again.stdout.splitlines() if "acc " in line and "seed 0)" in line]
    assert len(trained) == 1
    assert ", reward " in trained[0]
    done = run(folder, "nas", *TINY, "--data", "images", "--run", "first", "--trials", "4")
    assert done.returncode == 0
    assert not [line for line in done.stdout.splitlines() if line.startswith("[")]


def test_a_run_is_not_continued_under_other_settings(folder, first):
    before = (folder / "results" / "first" / "journal.log").read_bytes()
    refused = run(folder, "nas", "--resume", "first", "--seed", "7", "--epochs", "2")
    assert refused.returncode == 2
    assert refused.stderr.count("\n") == 1
    assert "seed is 0, not 7" in refused.stderr
    assert "proxy.epochs is 1, not 2" in refused.stderr
    other = run(folder, "nas", "--resume", "first", "--data", "scenes")
    assert "was made with other images" in other.stderr
    assert (folder / "results" / "first" / "journal.log").read_bytes() == before


@pytest.mark.parametrize("which", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_cleanly_and_says_how_to_go_on(folder, which):
    name = f"stopped-{which.name}"
    command = [*EFFSEARCH, "nas", *TINY, "--data", "images", "--trials", "100", "--run", name]
    process = subprocess.Popen(
        command, cwd=folder, env=environment(folder), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    ranking = folder / "results" / name / "ranking.csv"
    deadline = time.monotonic() + 90
    while not ranking.exists() or ranking.read_text().count("complete") < 1:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    process.send_signal(which)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert f"go on with: effsearch nas --resume {name}" in out
    assert err == ""
    shown = json.loads(run(folder, "show", name, "--format", "json").stdout)
    assert {row["state"] for row in shown} <= {"complete", "queued"}
    finished = sum(row["state"] == "complete" for row in shown)
    resumed = run(folder, "nas", "--resume", name, "--trials", str(finished + 1))
    assert resumed.returncode == 0, resumed.stderr
    assert f"{finished + 1} trained architectures" in resumed.stdout


def test_a_search_for_latency_measures_what_it_trains(folder):
    # As the command is, but with a smaller sample and shorter measurements.
    quick = "import effsearch.workflows.nas as s, effsearch.executors.latency_profiler as m; "
    quick += "s.TIMED, m.SECONDS = 12, 0.05; "
    code = quick + "from effsearch.cli import main; main()"
    asked = ["--space", "tiny", "--target-latency", "2ms", "--window", "none", "--max-params", "200K", *TINY[4:]]
    command = [sys.executable, "-c", code, "nas", *asked, "--data", "images", "--trials", "3", "--run", "timed"]
    done = subprocess.run(command, cwd=folder, env=environment(folder), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "target 2 ms, any latency, at most 200K parameters are trained" in done.stdout
    assert "ms: latency of a batch of 1 on " in done.stdout
    assert "T = 2 ms" in done.stdout
    rows = json.loads(run(folder, "show", "timed", "--format", "json").stdout)
    assert all(row["latency"] > 0 and row["params"] <= 200e3 for row in rows)
    assert all(row["target_ratio"] == pytest.approx(row["latency"] / 2e-3) for row in rows)
    assert "| FLOPs | LAT/T | params | ms |" in run(folder, "show", "timed", "--format", "markdown").stdout
    kept = json.loads((folder / "results" / "timed" / "latency.json").read_text())
    assert {row["notation"] for row in rows} <= kept["latencies"].keys()
    again = run(folder, "nas", "--resume", "timed", "--trials", "4")
    assert again.returncode == 0, again.stderr
    refused = run(folder, "nas", "--resume", "timed", "--target-flops", "8M")
    assert refused.returncode == 2
    assert "measure is latency, not flops" in refused.stderr

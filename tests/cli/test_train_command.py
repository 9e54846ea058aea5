"""`effsearch train` and `effsearch export` end to end, with a tiny network on tiny images."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from user import EFFSEARCH, environment, paint, run

from effsearch.families import EFFICIENTNET_LITE0
from effsearch.network.weights import load, read_weights
from effsearch.scaling import Multipliers, grow

ARCH = "24px-stem_k3_s2_c8-ds_r1_k3_s1_e1_c8-ir_r2_k3_s2_e2_c16_se0.25-head_c32-silu"
OPTIONS = ["--data", "images", "--batch", "16", "--resolution", "16", "--device", "cpu"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with images of two classes, of train and test, in which commands are run."""
    return paint(tmp_path_factory.mktemp("user"), {"train": 60, "test": 10})


@pytest.fixture(scope="module")
def first(folder: Path) -> subprocess.CompletedProcess[str]:
    return run(folder, "train", ARCH, *OPTIONS, "--epochs", "6", "--run", "first")


def test_a_training_ends_with_test_accuracy_and_weights(folder, first):
    assert first.returncode == 0, first.stderr
    assert first.stderr == ""
    for expected in ("epoch   6/6", "validation: top-1", "test: top-1", "of 20 images", "effsearch export first"):
        assert expected in first.stdout
    metrics = [json.loads(line) for line in (folder / "results/first/metrics.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in metrics] == [1, 2, 3, 4, 5, 6]
    assert metrics[-1]["accuracy"] > 0.9
    result = json.loads((folder / "results/first/result.json").read_text())
    assert result["test"]["top1"] > 0.8
    weights = read_weights(folder / "results/first/weights.safetensors")
    assert weights.classes == ("dark", "light")
    assert weights.architecture.resolution == 16
    assert "test: top-1" in run(folder, "show", "first").stdout
    again = run(folder, "train", "--resume", "first")
    assert again.returncode == 0
    assert "epoch   6" not in again.stdout


def test_an_evaluation_of_the_run_is_that_of_its_end_and_its_page_shows_it(folder, first):
    kept = folder / "results/first/evaluation.json"
    at_end = json.loads(kept.read_text())
    result = json.loads((folder / "results/first/result.json").read_text())
    assert (at_end["split"], at_end["images"]) == ("test", result["test"]["images"])
    assert at_end["accuracy"]["top1"]["share"] == result["test"]["top1"]
    kept.unlink()
    again = run(folder, "evaluate", "first", "--format", "json")
    assert (again.returncode, again.stderr) == (0, "wrote results/first/evaluation.json\n")
    # Another size of batch rounds otherwise.
    assert json.loads(again.stdout)["confusion"] == at_end["confusion"]
    assert json.loads(kept.read_text())["loss"] == pytest.approx(at_end["loss"], rel=1e-5)
    other = run(folder, "evaluate", "first", "--data", "images", "--split", "validation", "--resolution", "24")
    assert other.returncode == 0, other.stderr
    assert "24 images of the validation split of images at 24 px, 2 classes" in other.stdout
    assert "trained for 6 epochs on images at 16 px" in other.stdout
    assert json.loads(kept.read_text())["split"] == "test"  # At another resolution nothing is kept.
    assert run(folder, "report", "first").returncode == 0
    assert "Confusion matrix" in (folder / "results/first/report.html").read_text()


def test_the_weights_class_a_photograph(folder, first):
    network = load(folder / "results/first/weights.safetensors")
    image = torch.full((1, 3, 16, 16), (60 / 255 - 0.45) / 0.225)
    assert network(image).argmax().item() == 0


def test_a_killed_training_goes_on_to_the_same_weights_to_the_bit(folder, first):
    command = [*EFFSEARCH, "train", ARCH, *OPTIONS, "--epochs", "6", "--run", "killed"]
    process = subprocess.Popen(command, cwd=folder, env=environment(folder), stdout=subprocess.PIPE, text=True)
    checkpoint = folder / "results" / "killed" / "checkpoint.safetensors"
    deadline = time.monotonic() + 90
    while not checkpoint.exists() and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    resumed = run(folder, "train", "--resume", "killed")
    assert resumed.returncode == 0, resumed.stderr
    ours, whole = (read_weights(folder / f"results/{name}/weights.safetensors").tensors for name in ("killed", "first"))
    assert all(torch.equal(ours[name], whole[name]) for name in whole)
    assert len((folder / "results/killed/metrics.jsonl").read_text().splitlines()) == 6


def test_ctrl_c_stops_and_says_how_to_go_on(folder):
    command = [*EFFSEARCH, "train", ARCH, *OPTIONS, "--epochs", "5000", "--run", "stopped"]
    process = subprocess.Popen(
        command, cwd=folder, env=environment(folder), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    metrics = folder / "results" / "stopped" / "metrics.jsonl"
    deadline = time.monotonic() + 90
    while not metrics.exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (130, "")
    assert "go on with: effsearch train --resume stopped" in out


def test_training_may_start_from_weights_and_another_recipe(folder, first):
    (folder / "own.toml").write_text("epochs = 1\nrate = 0.01\noptimizer = 'rmsprop'\n[augmentation]\ncrop = 'pad'\n")
    weights = "results/first/weights.safetensors"
    tuned = run(folder, "train", ARCH, *OPTIONS, "--recipe", "own.toml", "--weights", weights, "--run", "tuned")
    assert tuned.returncode == 0, tuned.stderr
    assert "with its classifier" in tuned.stdout
    assert "rmsprop" in tuned.stdout
    metrics = json.loads((folder / "results/tuned/metrics.jsonl").read_text())
    assert metrics["accuracy"] > 0.9


def test_a_training_with_patience_stops_early_and_says_which_epoch_it_keeps(folder):
    options = [*OPTIONS, "--epochs", "40", "--patience", "2", "--mix", "--run", "patient"]
    done = run(folder, "train", ARCH, *options)
    assert (done.returncode, done.stderr) == (0, "")
    assert "mixup 0.2, cutmix 1, 40 epochs or 2 after the best, on the CPU" in " ".join(done.stdout.split())
    metrics = [json.loads(line) for line in (folder / "results/patient/metrics.jsonl").read_text().splitlines()]
    accuracies = [line["accuracy"] for line in metrics]
    best = len(metrics) - 2
    assert len(metrics) < 40
    assert accuracies.index(max(accuracies)) + 1 == best
    kept = f"stopped after {best + 2} of 40 epochs, 2 of them without a better one; the network is that of epoch {best}"
    for printed in (done.stdout, run(folder, "show", "patient").stdout):
        assert kept in " ".join(printed.split())
    result = json.loads((folder / "results/patient/result.json").read_text())
    assert result["validation"]["top1"] == pytest.approx(max(accuracies))
    assert f"trained for {best} epoch" in run(folder, "export", "patient", "--to", "safetensors").stdout
    assert run(folder, "train", "--resume", "patient").returncode == 0
    changed = run(folder, "train", "--resume", "patient", "--patience", "3")
    assert (changed.returncode, changed.stderr.count("\n")) == (2, 1)
    assert "patience is 2, not 3" in changed.stderr
    refused = run(folder, "train", ARCH, *OPTIONS, "--patience", "0")
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
    assert "--patience must be from 1 to" in refused.stderr


def test_training_may_start_from_weights_of_imagenet_and_go_on_from_them(folder):
    lite0 = ["train", "efficientnet_lite0", *OPTIONS, "--epochs", "1", "--weights", "imagenet", "--run", "lite0"]
    stopped = run(folder, *lite0, "--time-limit", "0.01s")
    assert stopped.returncode == 130, stopped.stderr
    assert "from ImageNet's weights, with a new classifier" in stopped.stdout
    done = run(folder, "train", "--resume", "lite0")
    assert done.returncode == 0, done.stderr
    assert "from ImageNet's weights" in done.stdout
    deeper = str(grow(EFFICIENTNET_LITE0, Multipliers(1.5, 1, 1)))
    grown = ["train", deeper, *OPTIONS, "--epochs", "1", "--weights", "lite0", "--run", "deeper"]
    refused = run(folder, *grown)
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
    assert "features.2.2.block.0.0.weight must be of shape" in refused.stderr
    assert not (folder / "results/deeper").exists()
    partly = run(folder, *grown, "--partial")
    assert partly.returncode == 0, partly.stderr
    assert " % of the parameters (296 of 440 tensors); the rest is new" in partly.stdout
    again = run(folder, "train", "--resume", "deeper")
    assert again.returncode == 0, again.stderr
    whole = run(folder, "train", "--resume", "lite0", "--partial", "--weights", "imagenet")
    assert (whole.returncode, whole.stderr.count("\n")) == (2, 1)
    assert "partial is False, not True" in whole.stderr


def test_an_export_says_whether_the_network_is_trained(folder, first):
    done = run(folder, "export", "first", "--to", "torch-export", "--out", "program")
    assert done.returncode == 0, done.stderr
    assert "trained for 6 epochs on images at 16 px; 2 classes" in done.stdout
    assert "torch.export.load" in done.stdout
    fresh = run(folder, "export", ARCH, "--to", "safetensors", "--classes", "5")
    assert fresh.returncode == 0, fresh.stderr
    assert "NOT TRAINED" in fresh.stdout


READ_EVENTS = """
import json, sys
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
events = EventAccumulator(sys.argv[1]).Reload()
print(json.dumps({tag: [[e.step, e.value] for e in events.Scalars(tag)] for tag in events.Tags()["scalars"]}))
"""


def test_tensorboard_gets_what_the_metrics_have(folder):
    done = run(folder, "train", ARCH, *OPTIONS, "--epochs", "2", "--run", "events", "--tensorboard")
    assert (done.returncode, done.stderr) == (0, "")
    written = folder / "results" / "events"
    # In a process of its own: TensorBoard warns of what it imports.
    command = [sys.executable, "-c", READ_EVENTS, str(written / "tensorboard")]
    read = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    metrics = [json.loads(line) for line in (written / "metrics.jsonl").read_text().splitlines()]
    for tag, name in (("loss/train", "loss"), ("accuracy/validation", "accuracy")):
        assert read[tag] == [[line["epoch"], pytest.approx(line[name], rel=1e-5)] for line in metrics]


def test_another_training_is_not_made_of_a_run(folder, first):
    done = run(folder, "train", "--resume", "first", "--epochs", "9")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "epochs is 6, not 9" in done.stderr

import numpy as np
import torch

from effsearch.architecture import parse
from effsearch.data.augment import normalise
from effsearch.data.imageset import Split
from effsearch.evaluation import linear_probe
from effsearch.evaluation.fine_tuning import Transfer
from effsearch.evaluation.linear_probe import Backbone, choose

TINY = parse("16px-stem_k3_s2_c8-ds_r1_k3_s1_e1_c8-ir_r2_k3_s2_e2_c16_se0.25-head_c32-relu-lite")


def clouds(count: int, spread: float, seed: int) -> tuple[torch.Tensor, np.ndarray]:
    """Features of three classes about three corners, and as many that tell nothing."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, count)
    useful = 10 + np.eye(3)[labels] + rng.normal(0, spread, (count, 3))
    return torch.from_numpy(np.hstack([useful, rng.normal(0, 5, (count, 40))]).astype(np.float32)), labels


def test_a_probe_separates_classes_by_the_penalty_that_validates_best(monkeypatch):
    (train, y), (validation, z), (test, t) = (clouds(count, 0.3, seed) for seed, count in enumerate((120, 200, 2000)))
    probe = choose({"train": train, "validation": validation}, y, z, 3)
    assert probe.accuracy(test, t) > 0.85
    # Without a penalty 120 images are told apart by features that tell nothing of others.
    monkeypatch.setattr(linear_probe, "PENALTIES", (1e-9,))
    loose = choose({"train": train, "validation": validation}, y, z, 3)
    assert loose.accuracy(train, y) == 1.0
    assert loose.accuracy(test, t) < probe.accuracy(test, t) - 0.02


def test_features_are_what_the_classifier_gets_and_are_read_back(tmp_path, monkeypatch):
    monkeypatch.setenv("EFFSEARCH_CACHE", str(tmp_path))
    pixels = np.random.default_rng(0).integers(0, 256, (70, 16, 16, 3), dtype=np.uint8)
    split = Split(pixels, np.arange(70), np.zeros(70, dtype=np.int64))
    backbone = Backbone.of(Transfer(TINY, None, 0), torch.device("cpu"), seed=3)
    found = backbone.features(split, "images-train")
    with torch.no_grad():
        network = backbone.network
        x = normalise(torch.from_numpy(pixels), 16, network.normalisation)
        logits = network(x)
    torch.testing.assert_close(network.classifier(found).detach(), logits, rtol=1e-4, atol=1e-5)
    (file,) = (tmp_path / "features").iterdir()
    written = file.stat().st_mtime_ns
    again = Backbone.of(Transfer(TINY, None, 0), torch.device("cpu"), seed=3).features(split, "images-train")
    assert torch.equal(again, found)
    assert file.stat().st_mtime_ns == written
    others = Backbone.of(Transfer(TINY, None, 0), torch.device("cpu"), seed=4).features(split, "images-train")
    assert not torch.equal(others, found)

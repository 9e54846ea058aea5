"""Predictions of image files: of the very pixels that a validation sees, whatever lies beside them."""

import numpy as np
import pytest
import torch
from PIL import Image

from effsearch.architecture import parse
from effsearch.data import held_out, info, prepare
from effsearch.data.photographs import decode_photographs, find_photographs
from effsearch.errors import DataError, WeightsError
from effsearch.evaluation.predictions import answer, predict
from effsearch.evaluation.scores import score
from effsearch.network import build
from effsearch.network.weights import Weights
from effsearch.training.batches import Batches
from effsearch.training.loop import validate

NETWORK = parse("24px-stem_k3_s2_c8-ds_r1_k3_s1_e1_c8-ir_r1_k3_s2_e2_c16_se0.25-head_c32-silu")
CLASSES = tuple("abcdefghijkl")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Images of twelve classes in train and val, of odd shapes, one of them grey with an alpha channel."""
    folder, rng = tmp_path_factory.mktemp("set"), np.random.default_rng(0)
    for split, count in (("train", 1), ("val", 3)):
        for name in CLASSES:
            for index in range(count):
                path = folder / split / name / f"{index}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                size = (40 + 3 * index, 31)
                kind = Image.fromarray(rng.integers(0, 256, (*size, 3), np.uint8))
                (kind.convert("LA") if (name, index) == ("c", 1) else kind).save(path)
    return folder


@pytest.fixture(scope="module")
def weights():
    torch.manual_seed(0)
    network = build(NETWORK, len(CLASSES))
    with torch.no_grad():
        network.train()(torch.randn(16, 3, 24, 24))
    return Weights(NETWORK, CLASSES, network.state_dict())


def test_a_prediction_is_of_the_pixels_of_a_validation(root, weights, tmp_path):
    folder = prepare(root, 24, cache=tmp_path)
    validation = held_out(folder)["validation"]
    photographs = find_photographs([str(root / "val")])
    batches = list(decode_photographs(photographs, 24, skipped := []))
    assert np.array_equal(np.concatenate([batch.pixels for batch in batches]), validation.images(validation.rows))
    assert not skipped
    rows = list(predict(weights, [each.path for each in photographs], batches, "cpu", 3))
    said = answer(weights.network(), validation, 24, "cpu", 7)
    assert [row.classes[0] for row in rows] == [CLASSES[number] for number in said.classes[:, 0]]
    assert [row.probabilities[0] for row in rows] == pytest.approx(said.probabilities[:, 0].tolist(), rel=1e-4)
    assert all(len(row.classes) == 3 for row in rows)
    assert [row.image for row in rows] == [str(root / "val" / name / f"{n}.png") for name in CLASSES for n in range(3)]


def test_scores_are_those_of_a_validation(root, weights, tmp_path):
    folder = prepare(root, 24, cache=tmp_path)
    validation, about = held_out(folder)["validation"], info(folder)
    expected = validate(weights.network(), Batches(validation, torch.device("cpu")), 24)
    said = answer(weights.network(), validation, 24, "cpu", 10)
    found = score(said, validation, about.classes, about.name, "validation", 24)
    assert found.shares() == pytest.approx({"top1": expected.accuracy, "top5": expected.top5, "images": 36})
    assert found.loss == pytest.approx(expected.loss, rel=1e-5)


def test_what_cannot_be_read_is_left_out_of_a_folder_and_refused_by_name(root, weights, tmp_path):
    (tmp_path / "in").mkdir()
    Image.new("RGB", (30, 30), "red").save(tmp_path / "in" / "good.png")
    (tmp_path / "in" / "bad.jpg").write_text("no image")
    (tmp_path / "in" / ".hidden.png").write_text("no image")
    photographs = find_photographs([str(tmp_path)])
    decoded = decode_photographs(photographs, 24, skipped := [])
    rows = list(predict(weights, [each.path for each in photographs], decoded, "cpu", 1))
    assert [row.image for row in rows] == [str(tmp_path / "in" / "good.png")]
    assert [(reason.image, reason.reason) for reason in skipped] == [
        (str(tmp_path / "in" / "bad.jpg"), "not an image of a known format")
    ]
    named = find_photographs([str(tmp_path / "in" / "bad.jpg")])
    with pytest.raises(DataError, match=r"bad\.jpg cannot be read as an image: not an image of a known format"):
        list(decode_photographs(named, 24, []))


def test_places_without_an_image_are_refused(tmp_path):
    with pytest.raises(DataError, match="has no image"):
        find_photographs([str(tmp_path)])
    for name in ("missing.png", "x" * 5000, ""):
        with pytest.raises(DataError, match="there is no image and no folder"):
            find_photographs([name])


def test_weights_that_are_no_numbers_are_said(root, weights):
    broken = Weights(NETWORK, CLASSES, {**weights.tensors, "classifier.1.bias": torch.full((12,), float("nan"))})
    photographs = find_photographs([str(root / "val" / "a")])
    with pytest.raises(WeightsError, match="not numbers"):
        list(predict(broken, ["x"] * 3, decode_photographs(photographs, 24, []), "cpu", 1))

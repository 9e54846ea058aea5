from dataclasses import replace

import numpy as np
import pytest

from effsearch.data import scenes


def test_an_image_does_not_depend_on_what_is_drawn_with_it() -> None:
    many, labels = scenes.draw("train", np.arange(200), 24)
    chosen = np.array([150, 3, 199, 64])
    few, few_labels = scenes.draw("train", chosen, 24)
    np.testing.assert_array_equal(few, many[chosen])
    np.testing.assert_array_equal(few_labels, labels[chosen])


def test_pixels_and_labels() -> None:
    images, labels = scenes.draw("test", np.arange(5), 20)
    assert images.shape == (5, 20, 20, 3)
    assert images.dtype == np.uint8
    assert labels.dtype == np.int64
    none, no_labels = scenes.draw("test", np.array([], dtype=np.int64), 20)
    assert none.shape == (0, 20, 20, 3)
    assert no_labels.shape == (0,)


@pytest.mark.parametrize(("split", "seed"), [("test", 0), ("train", 1)])
def test_splits_and_seeds_hold_other_images(split: str, seed: int) -> None:
    first, _ = scenes.draw("train", np.arange(100), 12)
    other, _ = scenes.draw(split, np.arange(100), 12, seed=seed)
    assert not (first == other).all(axis=(1, 2, 3)).any()
    # Unrelated images, not shifted ones: no image of one is near any of the other.
    a, b = (x.reshape(100, -1).astype(float) for x in (first, other))
    assert np.abs(a[:, None] - b[None]).mean(axis=2).min() > 2


@pytest.mark.parametrize(("fine", "coarse"), [(96, 48), (96, 32), (144, 48)])
def test_a_scene_is_the_same_at_any_resolution(fine: int, coarse: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scenes, "RANGES", replace(scenes.RANGES, noise=(1e-6, 1e-6)))
    indices, step = np.arange(64), fine // coarse
    large, _ = scenes.draw("train", indices, fine)
    small, _ = scenes.draw("train", indices, coarse)
    shrunk = large.reshape(64, coarse, step, coarse, step, 3).mean(axis=(2, 4))
    difference = np.abs(shrunk - small).mean(axis=(1, 2, 3))
    others = np.abs(shrunk - np.roll(small, 1, axis=0)).mean(axis=(1, 2, 3))
    # What is left, without the noise of the pixels, is the width of the edges.
    assert difference.mean() < 1.5
    assert difference.max() < 3
    assert others.min() > 5 * difference.max()


def test_labels_are_balanced_and_name_the_classes() -> None:
    for count in (scenes.TRAIN, scenes.TEST):
        _, labels = scenes.draw("train", np.arange(count), 1)
        assert set(np.bincount(labels)) == {count // len(scenes.CLASSES)}
    assert len(set(scenes.CLASSES)) == len(scenes.CLASSES) == len(scenes.BODIES) * len(scenes.TEXTURES)
    assert scenes.CLASSES[0] == f"{next(iter(scenes.TEXTURES))} {next(iter(scenes.BODIES))}"


def test_colour_and_brightness_tell_little_of_the_class() -> None:
    images, labels = scenes.draw("train", np.arange(4000), 16)
    pixels = images.reshape(4000, -1, 3) / 255.0
    borders = np.concatenate([images[:, 0], images[:, -1]], axis=1).mean(axis=1) / 255.0
    statistics = np.concatenate([pixels.mean(axis=1), borders], axis=1)
    assert linear_accuracy(statistics, labels) < 2.5 / len(scenes.CLASSES)
    assert linear_accuracy(borders, labels) < 1.6 / len(scenes.CLASSES)


def test_easy_images_are_near_templates_of_their_class_and_hard_ones_are_not() -> None:
    hardness = scenes.hardness("train", np.arange(6000))
    easy, middle, hard = (np.flatnonzero((low <= hardness) & (hardness < low + 0.25)) for low in (0, 0.375, 0.75))
    reached = []
    for chosen in (easy, middle, hard):
        images, labels = scenes.draw("train", chosen, 10)
        reached.append(linear_accuracy(images.mean(axis=3).reshape(len(images), -1), labels))
    assert reached[0] > 1.5 * reached[1] > 1.5 * reached[2] > 0
    assert reached[0] > 0.4


def test_hardness_is_uniform_and_tells_nothing_of_the_class() -> None:
    indices = np.arange(16 * 500)
    hardness = scenes.hardness("train", indices).reshape(500, 16)
    np.testing.assert_allclose(np.histogram(hardness, bins=10, range=(0, 1))[0], 800, atol=130)
    np.testing.assert_allclose(hardness.mean(axis=0), 0.5, atol=0.05)
    np.testing.assert_array_equal(scenes.hardness("train", indices[40:45]), hardness.reshape(-1)[40:45])
    assert not np.array_equal(scenes.hardness("test", indices[:5]), hardness.reshape(-1)[:5])


def test_more_pixels_show_more_of_the_texture() -> None:
    coarse, fine = (scenes.draw("train", np.arange(300), r)[0].astype(float) for r in (12, 96))
    assert coarse.std(axis=(1, 2)).mean() < fine.std(axis=(1, 2)).mean()


def linear_accuracy(features: np.ndarray, labels: np.ndarray) -> float:
    """Accuracy on the second half of a least-squares classifier fitted to the first."""
    table = np.concatenate([features, np.ones((len(features), 1))], axis=1)
    half, targets = len(table) // 2, np.eye(labels.max() + 1)[labels]
    weights, *_ = np.linalg.lstsq(table[:half], targets[:half], rcond=None)
    return float(((table[half:] @ weights).argmax(axis=1) == labels[half:]).mean())

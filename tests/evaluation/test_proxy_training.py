import json
import pickle
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import effsearch.evaluation.trainings as module
from effsearch.architecture import Architecture, Stage, Stem
from effsearch.costs import cost
from effsearch.data import Augmentation, prepare
from effsearch.evaluation import Evaluation, Proxy
from effsearch.evaluation.proxy_training import ProxyTraining
from effsearch.training import Diverged, Recipe

ARCHITECTURE = Architecture(Stem(16), (Stage("mbconv", 3, 1, 2, 16, 1, 0.25), Stage("fused", 3, 2, 2, 24, 1)), head=48)
OTHER = replace(ARCHITECTURE, stages=ARCHITECTURE.stages[:1])
RECIPE = Recipe(batch=8, dropout=0.1, drop_path=0.1, augmentation=Augmentation(crop="pad"))
PROXY = Proxy("small", resolution=16, width=0.5, epochs=2, train_images=32, validation_images=6, recipe=RECIPE)
COLOURS = {"blue": (40, 60, 200), "green": (50, 190, 60), "red": (200, 50, 40)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty noisy images of each of three colours, packed."""
    root = tmp_path_factory.mktemp("colours")
    rng = np.random.default_rng(0)
    for name, colour in COLOURS.items():
        place = root / "images" / "train" / name
        place.mkdir(parents=True)
        for index in range(20):
            pixels = np.clip(np.array(colour) + rng.normal(0, 40, (20, 20, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(place / f"{index:02}.png")
    return prepare(root / "images", 16, cache=root / "cache")


@pytest.fixture
def training(folder: Path) -> ProxyTraining:
    return ProxyTraining(PROXY, folder)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What each training gets: its network, its image set and its options."""
    seen = []
    train = module.train

    def note(network: Any, images: Any, recipe: Any, **options: Any) -> Any:
        seen.append((network, images, recipe, options))
        return train(network, images, recipe, **options)

    monkeypatch.setattr(module, "train", note)
    return seen


def course(evaluation: Evaluation) -> list[tuple[float, float | None]]:
    return [(epoch.loss, epoch.accuracy) for epoch in evaluation.history]


def test_an_architecture_gets_an_evaluation(training):
    evaluation = training(ARCHITECTURE, 0)
    assert isinstance(evaluation, Evaluation)
    assert 0 <= evaluation.accuracy <= 1
    assert evaluation.accuracy * 6 == pytest.approx(round(evaluation.accuracy * 6))
    assert evaluation.epochs == len(evaluation.history) == 2
    assert evaluation.history[-1].accuracy == evaluation.accuracy
    assert evaluation.seconds >= sum(epoch.seconds for epoch in evaluation.history) > 0


def test_colours_are_soon_told_apart(folder):
    proxy = replace(PROXY, epochs=8, train_images=48, recipe=replace(RECIPE, rate=0.1, dropout=0, drop_path=0))
    assert ProxyTraining(proxy, folder)(ARCHITECTURE, 0).accuracy > 0.8


def test_the_same_seed_gives_the_same_evaluation(training):
    first = training(ARCHITECTURE, 3)
    torch.rand(5)
    assert course(training(ARCHITECTURE, 3)) == course(first)
    assert course(training(ARCHITECTURE, 4)) != course(first)


def test_an_evaluation_goes_into_json_and_through_pickle(training):
    evaluation = training(ARCHITECTURE, 0)
    assert pickle.loads(pickle.dumps(evaluation)) == evaluation
    values = json.loads(json.dumps(asdict(evaluation), allow_nan=False))
    assert values["accuracy"] == evaluation.accuracy
    assert [epoch["loss"] for epoch in values["history"]] == [epoch.loss for epoch in evaluation.history]


def test_a_worker_process_gives_the_same_evaluation(training):
    assert pickle.loads(pickle.dumps(training)) == training
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        sent = pool.submit(training, ARCHITECTURE, 0).result()
    assert [epoch.loss for epoch in sent.history] == pytest.approx(
        [epoch.loss for epoch in training(ARCHITECTURE, 0).history]
    )


def test_what_is_trained_is_the_shrunken_network_by_the_proxys_recipe(training, calls):
    training(ARCHITECTURE, 7)
    network, images, recipe, options = calls[0]
    params = sum(parameter.numel() for parameter in network.parameters())
    assert params == cost(PROXY.shrink(ARCHITECTURE), classes=3).params
    assert params < cost(ARCHITECTURE, classes=3).params
    assert network.classifier[0].p == RECIPE.dropout
    assert recipe == RECIPE
    assert (options["resolution"], options["epochs"], options["seed"]) == (16, 2, 7)
    assert (len(images.train), len(images.validation)) == (32, 6)


def test_all_candidates_and_seeds_share_their_images(training, calls):
    training(ARCHITECTURE, 0)
    training(OTHER, 1)
    replace(training, split_seed=1)(ARCHITECTURE, 0)
    rows = [(images.train.rows.tolist(), images.validation.rows.tolist()) for _, images, _, _ in calls]
    assert rows[0] == rows[1] != rows[2]
    for train, validation in rows:
        assert not set(train) & set(validation)


def test_more_images_than_there_are_means_all_of_them(folder, calls):
    proxy = replace(PROXY, epochs=1, train_images=10_000, validation_images=10_000)
    ProxyTraining(proxy, folder)(ARCHITECTURE, 0)
    _, images, _, _ = calls[0]
    # A fifth of the sixty is held out for testing, and a fifth of the rest, by class, for validation.
    assert (len(images.train), len(images.validation)) == (39, 9)


def test_a_training_that_diverges_says_so_through_pickle_too(folder):
    wild = replace(PROXY, epochs=10, recipe=replace(RECIPE, rate=100, weight_decay=1))
    with pytest.raises(Diverged, match="the loss is not finite in epoch") as error:
        ProxyTraining(wild, folder)(ARCHITECTURE, 0)
    assert str(pickle.loads(pickle.dumps(error.value))) == str(error.value)


@pytest.mark.gpu
@pytest.mark.skipif(
    not torch.cuda.is_available(), reason="needs a CUDA device: run pytest -m gpu on a machine that has one"
)
def test_an_evaluation_on_a_gpu(folder):
    proxy = replace(PROXY, epochs=8, train_images=48, recipe=replace(RECIPE, rate=0.1, dropout=0, drop_path=0))
    assert ProxyTraining(proxy, folder, device="cuda")(ARCHITECTURE, 0).accuracy > 0.6


def test_an_evaluation_in_parts_is_that_of_the_whole(training):
    whole = training(ARCHITECTURE, 0)
    first = training(ARCHITECTURE, 0, 1, None)
    assert (first.epochs, len(first.history)) == (1, 1)
    assert first.checkpoint is not None
    second = training(ARCHITECTURE, 0, 2, first.checkpoint)
    assert second.checkpoint is None
    assert [epoch.loss for epoch in second.history] == [epoch.loss for epoch in whole.history]
    assert second.accuracy == whole.accuracy


def test_a_network_of_more_pixels_is_trained_at_more_pixels(folder, calls):
    scaled = ProxyTraining(PROXY, folder, baseline_resolution=224)
    assert [scaled.proxy_for(replace(ARCHITECTURE, resolution=px)).resolution for px in (224, 258, 112)] == [16, 18, 8]
    scaled(replace(ARCHITECTURE, resolution=336), 0)
    assert calls[0][3]["resolution"] == 24

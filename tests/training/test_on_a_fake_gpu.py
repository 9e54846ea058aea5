"""All that is trained on a GPU, on CUDA tensors without a GPU: nothing meets the wrong device, and no step waits."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from fake_cuda import DRAWS, fake_cuda
from PIL import Image
from torch._subclasses.fake_tensor import DynamicOutputShapeException, FakeTensor

from effsearch.architecture import Architecture, Stage, Stem
from effsearch.data import Augmentation, ImageSet, Split, augment, load, prepare
from effsearch.data.augmentation import SHARED
from effsearch.evaluation import Proxy, devices, trainings
from effsearch.evaluation.predictions import rank_classes
from effsearch.evaluation.proxy_training import ProxyTraining
from effsearch.evaluation.trainings import Whole, train_whole
from effsearch.network import build
from effsearch.training import Recipe
from effsearch.training.loop import CHECK_EVERY, train

CUDA = torch.device("cuda")
SMALL = Architecture(
    Stem(8, stride=1), (Stage("mbconv", 3, 2, 2, 8, 2, 0.25), Stage("conv", 3, 2, 1, 16, 1)), head=32, resolution=16
)
RESNET = replace(SMALL, stages=(Stage("bottleneck", 3, 2, 4, 16, 2),), head=0, activation="relu")
RECIPE = Recipe(batch=4, dropout=0.2, drop_path=0.2)
CROPPED = replace(RECIPE, augmentation=Augmentation(crop="resized", colour=0.3))


def images(train: int, validation: int = 8) -> ImageSet:
    rng = np.random.default_rng(0)
    splits = (
        Split(rng.integers(0, 256, (count, 16, 16, 3), np.uint8), np.arange(count), np.arange(count) % 2)
        for count in (train, validation)
    )
    return ImageSet("fake", ("a", "b"), 16, "", True, *splits)


def trained(
    steps: int, recipe: Recipe = RECIPE, architecture: Architecture = SMALL, bf16=True, free=1 << 40, **options
):
    """What a training of so many steps waited for."""
    with fake_cuda(bf16, free) as waits:
        network = build(architecture, 2, dropout=0.2, drop_path=0.2)
        options = {"resolution": 16, "epochs": 1, "seed": 0, "device": CUDA} | options
        train(network, images(steps * recipe.batch), recipe, **options)
    return waits


@pytest.mark.parametrize(
    ("recipe", "options"),
    [
        pytest.param(RECIPE, {}, id="as a proxy is trained"),
        pytest.param(CROPPED, {"resolution": 20}, id="crops, colours and another resolution"),
        pytest.param(replace(RECIPE, augmentation=Augmentation(crop="pad")), {"architecture": RESNET}, id="a ResNet"),
        pytest.param(replace(RECIPE, optimizer="rmsprop"), {}, id="rmsprop"),
        pytest.param(RECIPE, {"accumulation": 2}, id="batches in parts"),
        pytest.param(RECIPE, {"free": 0}, id="images that the GPU cannot hold"),
        pytest.param(RECIPE, {"bf16": False}, id="a GPU without bf16"),
    ],
)
def test_no_step_reads_or_copies_so_that_host_and_gpu_wait(recipe, options):
    few, many = trained(1, recipe, **options), trained(3, recipe, **options)
    assert many.counts["copy"] == few.counts["copy"]
    # The loss is looked at after the first step of an epoch and after the last.
    assert many.counts["read"] == few.counts["read"] + 1


def test_the_loss_is_looked_at_every_so_many_steps():
    recipe = replace(RECIPE, batch=1, dropout=0, drop_path=0)
    architecture = replace(SMALL, stages=SMALL.stages[1:])
    few, many = trained(2, recipe, architecture), trained(CHECK_EVERY + 2, recipe, architecture)
    assert many.counts["read"] == few.counts["read"] + 1
    assert many.counts["copy"] == few.counts["copy"]


def test_networks_compute_in_bf16_only_where_the_gpu_does():
    assert trained(1).convolved == {torch.bfloat16}
    assert trained(1, bf16=False).convolved == {torch.float32}


def test_every_policy_of_autoaugment_runs_on_a_gpu_and_waits_for_nothing():
    with fake_cuda() as waits:
        pixels = torch.zeros(SHARED * DRAWS, 24, 24, 3, dtype=torch.uint8, device=CUDA)
        chance = torch.Generator(CUDA)
        policy = Augmentation(crop="pad", policy="autoaugment", colour=0.2)
        augment.augment(pixels[:SHARED], 24, policy, chance)
        first = waits.counts.copy()
        out = augment.augment(pixels, 24, policy, chance)
        assert (out.device.type, out.dtype, out.shape) == ("cuda", torch.float32, (SHARED * DRAWS, 3, 24, 24))
    assert waits.counts == first
    assert waits.turn >= DRAWS


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("_shifted", lambda size, most, draws: torch.arange(size).expand(len(draws), size)),
        ("constant", lambda values, device, times=1: torch.tensor(values * times)),
    ],
)
def test_a_tensor_on_the_wrong_device_is_found(name, wrong, monkeypatch):
    wrong.cache_clear = lambda: None
    monkeypatch.setattr(augment, name, wrong)
    with pytest.raises(RuntimeError, match="device"):
        trained(1, replace(RECIPE, augmentation=Augmentation(crop="pad")))


def test_a_read_in_every_step_is_found(monkeypatch):
    standardise = augment._standardise

    def curious(pixels: torch.Tensor, *more: object) -> torch.Tensor:
        assert pixels.float().mean().item() is not None
        return standardise(pixels, *more)

    monkeypatch.setattr(augment, "_standardise", curious)
    assert trained(3).counts["read"] == trained(1).counts["read"] + 3


@pytest.mark.parametrize(
    ("step", "kind"),
    [
        (lambda x: x.sum().item(), "read"),
        (lambda x: x.cpu(), "copy"),
        (lambda x: torch.zeros(2).to(x.device, non_blocking=True), "copy"),
        (lambda x: torch.zeros(2).pin_memory().to(x.device), "copy"),
        (lambda x: torch.zeros(2).pin_memory().to(x.device, non_blocking=True), None),
        (lambda x: x.index_select(0, x.argsort()), None),
    ],
)
def test_what_is_counted_as_a_wait(step, kind):
    with fake_cuda() as waits:
        x = torch.zeros(8, device=CUDA)
        before = waits.counts.copy()
        step(x)
    assert +(waits.counts - before) == ({} if kind is None else {kind: 1})


@pytest.mark.parametrize("step", [lambda x: x[x > 0], lambda x: x.nonzero(), lambda x: x.masked_select(x > 0)])
def test_a_size_that_the_gpu_alone_knows_is_found(step):
    with fake_cuda(), pytest.raises(DynamicOutputShapeException):
        step(torch.zeros(8, device=CUDA))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty images of noise in each of two classes, packed."""
    root, rng = tmp_path_factory.mktemp("noise"), np.random.default_rng(0)
    for index in range(40):
        place = root / "images" / "train" / ("a", "b")[index % 2] / f"{index}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (24, 24, 3), np.uint8)).save(place)
    return prepare(root / "images", 24, cache=root / "cache")


@pytest.mark.parametrize("baseline", [pytest.param(None, id="nas"), pytest.param(224, id="grid")])
def test_the_proxy_training_of_a_search(folder, baseline, monkeypatch):
    monkeypatch.setattr(devices, "gpus", lambda: 1)
    asked = []
    monkeypatch.setattr(trainings, "train", lambda *a, **o: asked.append(o["resolution"]) or train(*a, **o))
    proxy = Proxy("small", 16, 0.5, epochs=2, train_images=16, validation_images=4, recipe=RECIPE)
    evaluate = ProxyTraining(proxy, folder, device="cuda", baseline_resolution=baseline)
    with fake_cuda() as waits:
        found = evaluate(replace(SMALL, resolution=320), 0)
    assert (found.epochs, asked) == (2, [16 if baseline is None else 23])
    assert waits.convolved == {torch.bfloat16}


def test_the_whole_training_of_a_network_and_its_answers(folder):
    loaded = load(folder)
    whole = Whole(SMALL, replace(CROPPED, optimizer="rmsprop"), epochs=2, seed=0, device="cuda")
    with fake_cuda():
        network = train_whole(whole, loaded, accumulation=2)
        found = rank_classes(network.network, loaded.validation, SMALL.resolution, "cuda", network.at_once)
    assert [len(part) for part in found] == 3 * [len(loaded.validation)]


def test_what_is_fake_stays_within():
    with fake_cuda():
        assert isinstance(torch.zeros(1), FakeTensor)
    assert not isinstance(torch.zeros(1), FakeTensor)
    assert not augment.constant.cache_info().currsize

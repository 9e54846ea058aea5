import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load as load_tensors, save as save_tensors
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel

from effsearch.architecture import Architecture, Stage, Stem
from effsearch.data import Augmentation, ImageSet, Split
from effsearch.data.augment import constant, normalise
from effsearch.network import build
from effsearch.network.convolution import _between
from effsearch.normalisation import IMAGENET
from effsearch.training import Diverged, Recipe, best_epoch, checkpoint
from effsearch.training.average import Average
from effsearch.training.batches import Batches
from effsearch.training.loop import train, validate

CPU = torch.device("cpu")
CLASSES = 4
STILL = Augmentation(flip=False, crop="none", colour=0)
PLAIN = Recipe(
    batch=8, rate=0.1, momentum=0.9, weight_decay=0, warmup=0.1, label_smoothing=0, ema=0.9, dropout=0, drop_path=0,
    zero_init=False, augmentation=STILL,
)  # fmt: skip
LIVELY = replace(PLAIN, dropout=0.3, drop_path=0.5, augmentation=Augmentation(crop="resized", colour=0.3))
SMALL = Architecture(
    Stem(8, stride=1), (Stage("mbconv", 3, 2, 2, 8, 2, 0.25), Stage("conv", 3, 2, 1, 16, 1)), head=32, resolution=16
)
OTHER = Architecture(Stem(6), (Stage("fused", 5, 1, 3, 10, 2),), head=16, resolution=16)

needs_gpu = pytest.mark.skipif(
    not torch.cuda.is_available(), reason="needs a CUDA device: run pytest -m gpu on a machine that has one"
)


def noise(train: int = 32, validation: int = 16, side: int = 16) -> ImageSet:
    """Images of noise with arbitrary labels; both splits read from one array, in rows that lie mixed."""
    rng = np.random.default_rng(0)
    count = train + validation
    pixels = rng.integers(0, 256, (count, side, side, 3), dtype=np.uint8)
    rows = rng.permutation(count)
    return image_set(pixels, rng.integers(0, CLASSES, count), rows[:train], rows[train:])


def numbered(train: int, validation: int) -> ImageSet:
    """Image i has the red of 3 i all over, so that a batch tells which images are in it."""
    count = train + validation
    pixels = np.zeros((count, 8, 8, 3), np.uint8)
    pixels[..., 0] = 3 * np.arange(count)[:, None, None]
    order = np.random.default_rng(0).permutation(count)
    return image_set(pixels, np.arange(count) % CLASSES, order[:train], order[train:])


def image_set(pixels: np.ndarray, labels: np.ndarray, train: np.ndarray, validation: np.ndarray) -> ImageSet:
    splits = (Split(pixels, rows, labels[rows].astype(np.int64)) for rows in (train, validation))
    return ImageSet("noise", tuple("abcd"), pixels.shape[1], "0", True, *splits)


def numbers(x: Tensor) -> list[int]:
    """Which of the numbered images a batch holds."""
    return ((x[:, 0, 0, 0] * IMAGENET.std[0] + IMAGENET.mean[0]) / 3).round().int().tolist()


class Recorder(nn.Module):
    """A network that keeps what it was given in training and in evaluation, and its weights at each step."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.trained: list[Tensor] = []
        self.evaluated: list[Tensor] = []
        self.weights: list[list[Tensor]] = []

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.trained.append(x.clone())
            self.weights.append([parameter.detach().clone() for parameter in self.parameters()])
        else:
            self.evaluated.append(x.clone())
        out: Tensor = self.network(x)
        return out


def run(
    images: ImageSet,
    recipe: Recipe = PLAIN,
    architecture: Architecture = SMALL,
    seed: int = 0,
    stir: int = 0,
    **changes: Any,
) -> tuple[Any, Recorder, Recorder]:
    """The epochs, the network and its average after a training; `stir` is what was drawn before it began."""
    torch.manual_seed(1)
    network = Recorder(build(architecture, CLASSES, dropout=recipe.dropout, drop_path=recipe.drop_path))
    torch.manual_seed(stir)
    np.random.seed(stir)
    options = {"resolution": 16, "epochs": 2, "seed": seed, "device": CPU} | changes
    history, average, _ = train(network, images, recipe, **options)
    assert isinstance(average, Recorder)
    return history, network, average


def state(network: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in network.state_dict().items()}


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def losses(history: Any) -> list[float]:
    return [epoch.loss for epoch in history]


def test_images_can_be_learnt_by_heart_whatever_their_labels():
    images = noise(train=16)
    images = replace(images, validation=images.train)
    history, _, _ = run(images, replace(PLAIN, batch=16), epochs=50)
    assert history[0].loss > 1
    assert history[-1].loss < 0.05
    assert history[-1].accuracy == 1


def test_the_recipe_as_it_comes_learns_too():
    images = noise(train=16)
    recipe = replace(Recipe(), batch=16, augmentation=STILL)
    torch.manual_seed(0)
    network = build(SMALL, CLASSES, zero_init=recipe.zero_init)
    history, *_ = train(network, images, recipe, resolution=16, epochs=30, seed=0, device=CPU)
    assert history[-1].loss < 0.9 * history[0].loss


def test_steps_by_hand():
    """Nesterov momentum on the loss of smoothed labels."""
    images = noise(train=8)
    recipe = replace(PLAIN, momentum=0.8, label_smoothing=0.2, rate=0.5, warmup=0.5)
    torch.manual_seed(0)
    network = nn.Sequential(nn.AvgPool2d(16), nn.Flatten(), nn.Linear(3, CLASSES))
    weight, bias = (parameter.detach().clone() for parameter in network.parameters())
    history, *_ = train(network, images, recipe, resolution=16, epochs=6, seed=0, device=CPU)
    x = normalise(torch.from_numpy(images.train.images(np.arange(8))), 16).mean((2, 3))
    wanted = 0.8 * nn.functional.one_hot(torch.from_numpy(images.train.labels), CLASSES) + 0.2 / CLASSES
    speed = [torch.zeros_like(weight), torch.zeros_like(bias)]
    for step, epoch in enumerate(history):
        scores = (x @ weight.T + bias).log_softmax(1)
        assert epoch.loss == pytest.approx(-(wanted * scores).sum(1).mean().item(), rel=1e-4)
        error = (scores.exp() - wanted) / 8
        slope = [error.T @ x, error.sum(0)]
        speed = [0.8 * v + g for v, g in zip(speed, slope, strict=True)]
        move = [recipe.rate_at(step, 6) * (g + 0.8 * v) for v, g in zip(speed, slope, strict=True)]
        weight, bias = weight - move[0], bias - move[1]
    torch.testing.assert_close(list(network.parameters()), [weight, bias], rtol=1e-4, atol=1e-5)


def test_the_same_seed_gives_the_same_training_bit_by_bit():
    first, network, average = run(noise(), LIVELY, stir=2)
    second, again, average_again = run(noise(), LIVELY, stir=3)
    assert [(epoch.loss, epoch.accuracy) for epoch in first] == [(epoch.loss, epoch.accuracy) for epoch in second]
    assert same(state(network), state(again))
    assert same(state(average), state(average_again))


def test_another_seed_gives_another_training():
    first, network, _ = run(noise(), PLAIN, seed=0)
    second, other, _ = run(noise(), PLAIN, seed=1)
    assert losses(first) != losses(second)
    assert not same(state(network), state(other))


def test_networks_that_compete_see_the_same_images_in_the_same_order():
    _, one, _ = run(noise(), LIVELY)
    _, other, _ = run(noise(), replace(LIVELY, dropout=0), OTHER)
    _, reseeded, _ = run(noise(), LIVELY, seed=1)
    assert len(one.trained) == 8
    assert all(map(torch.equal, one.trained, other.trained))
    assert not any(map(torch.equal, one.trained, reseeded.trained))


def test_each_epoch_trains_each_image_once_in_an_order_of_its_own():
    images = numbered(train=32, validation=8)
    _, network, average = run(images, epochs=3)
    seen = [number for batch in network.trained for number in numbers(batch)]
    epochs = [seen[start : start + 32] for start in range(0, 96, 32)]
    assert all(sorted(epoch) == sorted(images.train.rows) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 3
    assert numbers(average.evaluated[0]) == images.validation.rows.tolist()


def test_a_batch_that_is_not_full_is_left_for_another_epoch():
    images = numbered(train=29, validation=8)
    _, network, _ = run(images, epochs=8)
    assert [len(batch) for batch in network.trained] == [8] * 24
    assert {number for batch in network.trained for number in numbers(batch)} == set(images.train.rows.tolist())


def test_fewer_images_than_a_batch_are_one_step():
    history, network, _ = run(numbered(train=5, validation=8), epochs=2)
    assert [len(batch) for batch in network.trained] == [5, 5]
    assert all(math.isfinite(epoch.loss) for epoch in history)


def test_validation_images_are_never_trained_on_and_change_nothing():
    images = noise()
    other = replace(images, validation=replace(images.validation, labels=(images.validation.labels + 1) % CLASSES))
    history, network, average = run(images, LIVELY)
    changed, network_of_other, average_of_other = run(other, LIVELY)
    assert losses(history) == losses(changed)
    assert same(state(network), state(network_of_other))
    assert same(state(average), state(average_of_other))
    pixels = images.train.pixels.copy()
    pixels[images.validation.rows] = 0
    dark = replace(images, train=replace(images.train, pixels=pixels))
    assert losses(run(dark, LIVELY)[0]) == losses(history)
    images.train.pixels[images.train.rows] = 0
    assert losses(run(images, LIVELY)[0]) != losses(history)


def test_measuring_each_epoch_changes_nothing():
    once, network, _ = run(noise(), LIVELY, epochs=3)
    told: list[Any] = []
    each, measured, _ = run(noise(), LIVELY, epochs=3, every_epoch=True, on_epoch=told.append)
    assert told == each
    assert [epoch.epoch for epoch in each] == [1, 2, 3]
    assert [epoch.accuracy is None for epoch in once] == [True, True, False]
    assert all(epoch.accuracy is not None for epoch in each)
    assert losses(once) == losses(each)
    assert once[-1].accuracy == each[-1].accuracy
    assert same(state(network), state(measured))


def test_the_accuracy_told_is_that_of_the_average_returned():
    images = noise(validation=40)
    history, network, average = run(images, replace(PLAIN, ema=0.99), epochs=3)
    assert history[-1].accuracy == validate(average, Batches(images.validation, CPU), 16).accuracy
    assert not same(state(network), state(average))


def test_images_come_at_the_resolution_asked_for_and_all_is_channels_last():
    _, network, average = run(noise(), resolution=11)
    for x in network.trained + average.evaluated:
        assert x.shape[1:] == (3, 11, 11)
        assert x.is_contiguous(memory_format=torch.channels_last)
    convolutions = [parameter for parameter in network.parameters() if parameter.ndim == 4]
    assert all(parameter.is_contiguous(memory_format=torch.channels_last) for parameter in convolutions)


@pytest.mark.parametrize("momentum", [0.9, 0.99])
def test_a_loss_that_is_not_finite_ends_the_training_with_its_reason(momentum):
    told: list[Any] = []
    recipe = replace(PLAIN, rate=100.0, momentum=momentum, warmup=0, weight_decay=1.0)
    with pytest.raises(Diverged, match=r"^the loss is not finite in epoch \d+, step \d+ of 4$"):
        run(noise(), recipe, epochs=60, on_epoch=told.append)
    assert all(math.isfinite(epoch.loss) for epoch in told)


class Fails(nn.Module):
    """Has no finite output at its n-th step alone."""

    def __init__(self, at: int) -> None:
        super().__init__()
        self.linear = nn.Linear(3, CLASSES)
        self.at, self.step = at, 0

    def forward(self, x: Tensor) -> Tensor:
        self.step += self.training
        out: Tensor = self.linear(x.mean((2, 3)))
        return out * math.nan if self.training and self.step == self.at else out.detach() + 0 * out


@pytest.mark.parametrize(("at", "found"), [(1, 1), (2, 51), (51, 51), (52, 60), (60, 60)])
def test_a_single_step_that_fails_is_not_missed(at, found):
    images = noise(train=60, side=8)
    with pytest.raises(Diverged, match=rf"epoch 1, step {found} of 60"):
        train(Fails(at), images, replace(PLAIN, batch=1), resolution=8, epochs=1, seed=0, device=CPU)


def test_a_linear_network_trained_by_hand():
    images = numbered(train=24, validation=4)
    recipe = replace(PLAIN, rate=0.05, momentum=0.8, weight_decay=0.03, warmup=0.5, label_smoothing=0.2)
    network = Recorder(nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, CLASSES)))
    history, *_ = train(network, images, recipe, resolution=8, epochs=2, seed=0, device=CPU)
    weight, bias = (value.double().numpy() for value in network.weights[0])
    weight_speed, bias_speed, total = 0, 0, 0.0
    for step, x in enumerate(network.trained):
        for got, wanted in zip(network.weights[step], (weight, bias), strict=True):
            np.testing.assert_allclose(got.numpy(), wanted, rtol=1e-4, atol=1e-5)
        features = x.mean((2, 3)).double().numpy()
        exponentials = np.exp(features @ weight.T + bias)
        shares = exponentials / exponentials.sum(1, keepdims=True)
        target = 0.8 * np.eye(CLASSES)[np.array(numbers(x)) % CLASSES] + 0.2 / CLASSES
        total -= (target * np.log(shares)).sum() / len(x)
        slope = (shares - target) / len(x)
        weight_slope, bias_slope = slope.T @ features + 0.03 * weight, slope.sum(0)
        weight_speed, bias_speed = 0.8 * weight_speed + weight_slope, 0.8 * bias_speed + bias_slope
        rate = recipe.rate_at(step, 6)
        weight = weight - rate * (weight_slope + 0.8 * weight_speed)
        bias = bias - rate * (bias_slope + 0.8 * bias_speed)
    assert sum(losses(history)) * 3 == pytest.approx(total, rel=1e-4)


class Indifferent(nn.Module):
    """A network whose loss has no slope: only weight decay moves it."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.network(x)
        return 0 * out


def test_weight_decay_spares_norms_and_biases():
    torch.manual_seed(0)
    network = build(SMALL, CLASSES)
    for parameter in network.parameters():
        parameter.data.uniform_(0.5, 1)
    before = {name: value.clone() for name, value in network.named_parameters()}
    recipe = replace(PLAIN, weight_decay=0.5, momentum=0.5)
    history, *_ = train(Indifferent(network), noise(), recipe, resolution=16, epochs=1, seed=0, device=CPU)
    assert history[0].loss == pytest.approx(math.log(CLASSES))
    norms = {id(p) for module in network.modules() if isinstance(module, nn.BatchNorm2d) for p in module.parameters()}
    for name, parameter in network.named_parameters():
        if id(parameter) in norms or name.endswith("bias"):
            assert torch.equal(parameter, before[name]), name
        else:
            assert (parameter < 0.9 * before[name]).all(), name


def test_the_average_is_an_exponential_one_that_starts_short():
    decay = 0.5
    _, network, average = run(noise(), replace(PLAIN, ema=decay), epochs=3)
    steps = [*network.weights[1:], [parameter.detach() for parameter in network.parameters()]]
    expected = steps[0]
    for count, weights in enumerate(steps[1:], 1):
        share = 1 - min(decay, (1 + count) / (10 + count))
        expected = [old + share * (new - old) for old, new in zip(expected, weights, strict=True)]
    for got, wanted in zip(average.parameters(), expected, strict=True):
        torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-6)
    counts = [value.item() for name, value in average.state_dict().items() if name.endswith("num_batches_tracked")]
    assert set(counts) == {len(steps)}


def test_without_a_decay_the_average_is_the_network():
    _, network, average = run(noise(), replace(PLAIN, ema=0.0))
    assert same(state(network), state(average))


class Redness(nn.Module):
    """Class 0 for a dark image and class 3 for a red one; as good as chance unless it is evaluated."""

    def __init__(self) -> None:
        super().__init__()
        self.dropout = nn.Dropout(0.99)

    def forward(self, x: Tensor) -> Tensor:
        red = self.dropout(x[:, 0].mean((1, 2)) * IMAGENET.std[0] + IMAGENET.mean[0])
        return -(red[:, None] - torch.tensor([0.0, 85, 170, 255], device=x.device)).abs()


def reds() -> tuple[Split, float]:
    """Ten images of four reds in rows of a longer array, of which seven have their own label."""
    classes = np.array([0, 1, 2, 3, 0, 1, 2, 3, 0, 1])
    pixels = np.zeros((30, 8, 8, 3), np.uint8)
    rows = np.random.default_rng(0).permutation(30)[:10]
    pixels[rows, :, :, 0] = 85 * classes[:, None, None]
    labels = classes.copy()
    labels[[1, 4, 9]] = (labels[[1, 4, 9]] + 1) % CLASSES
    return Split(pixels, rows, labels), 0.7


@pytest.mark.parametrize("batch", [1, 3, 7, 10, 256])
@pytest.mark.parametrize("resolution", [5, 8, 12])
def test_accuracy_is_the_share_classed_rightly_whatever_the_batch(batch, resolution):
    split, right = reds()
    found = validate(Redness().train(), Batches(split, CPU), resolution, batch)
    assert found.accuracy == pytest.approx(right)
    assert found.top5 == 1
    ((whole, labels),) = Batches(split, CPU).of(np.arange(len(split)), len(split))
    logits = Redness().eval()(normalise(whole, resolution))
    assert found.loss == pytest.approx(functional.cross_entropy(logits, labels).item(), rel=1e-5)


@pytest.mark.gpu
@needs_gpu
def test_accuracy_on_a_gpu():
    split, right = reds()
    assert validate(Redness().to("cuda"), Batches(split, torch.device("cuda")), 8, 3).accuracy == pytest.approx(right)


@pytest.mark.gpu
@needs_gpu
def test_a_gpu_keeps_a_split_that_fits_and_gives_the_same_batches():
    split, index = noise().train, np.array([3, 1, 4, 1, 5])
    here, there = (list(Batches(split, device).of(index, 2)) for device in (CPU, torch.device("cuda")))
    assert [len(labels) for _, labels in here] == [2, 2, 1]
    for wanted, got in zip(here, there, strict=True):
        assert all(tensor.device.type == "cuda" for tensor in got)
        assert all(map(torch.equal, (tensor.cpu() for tensor in got), wanted))


@pytest.mark.gpu
@needs_gpu
def test_images_can_be_learnt_by_heart_on_a_gpu():
    images = noise(train=16)
    images = replace(images, validation=images.train)
    history, network, _ = run(images, replace(PLAIN, batch=16), epochs=50, device=torch.device("cuda"))
    assert history[-1].loss < 0.1
    assert history[-1].accuracy == 1
    assert all(parameter.dtype == torch.float32 for parameter in network.parameters())


def test_a_process_may_validate_before_it_trains():
    """On maps that no training has met yet: SMALL has kernels larger than its maps at 8 px."""
    _between.cache_clear()
    constant.cache_clear()
    images = noise(train=8, side=8)
    network = replace(SMALL, stages=(Stage("mbconv", 5, 2, 2, 8, 2, 0.25),))
    validate(build(network, CLASSES), Batches(images.train, CPU), 4)
    history, *_ = run(images, PLAIN, network, resolution=4)
    assert math.isfinite(history[-1].loss)


@pytest.mark.parametrize("told", [1, 2])
def test_a_checkpoint_of_another_kind_of_device_is_gone_on_from(told):
    """One of a GPU: it has the state of a GPU's generator, which a CPU's cannot take."""
    images, options = noise(), {"resolution": 16, "epochs": 3, "seed": 0, "device": CPU}
    torch.manual_seed(1)
    first = train(build(SMALL, CLASSES), images, LIVELY, until=told, **options)
    tensors = load_tensors(first.checkpoint)
    own = {"random.own": torch.zeros(16, dtype=torch.uint8), "random.cuda": torch.zeros(16, dtype=torch.uint8)}
    del tensors["check.sum"]
    tensors |= own
    state_of_gpu = save_tensors(tensors | {"check.sum": torch.tensor(checkpoint._sum(tensors))})
    ends = [train(build(SMALL, CLASSES), images, LIVELY, checkpoint=state_of_gpu, **options) for _ in range(2)]
    assert [epoch.epoch for epoch in ends[0].history] == [1, 2, 3]
    assert losses(ends[0].history)[:told] == losses(first.history)
    assert same(state(ends[0].network), state(ends[1].network))


def test_a_checkpoint_of_torch_s_averaged_model_is_read():
    """As effsearch 0.1 wrote it."""
    network = build(SMALL, CLASSES)
    theirs = AveragedModel(network, multi_avg_fn=lambda *_: None, use_buffers=True)
    for _ in range(3):
        theirs.update_parameters(network)
    ours = Average(build(SMALL, CLASSES), 0.9)
    ours.load_state_dict(theirs.state_dict())
    assert ours.updates == 3
    assert ours.state_dict().keys() == theirs.state_dict().keys()
    assert same(ours.state_dict(), theirs.state_dict())


@pytest.mark.parametrize("optimizer", ["sgd", "rmsprop"])
@pytest.mark.parametrize("cuts", [[1], [1, 3], [2]])
def test_a_training_in_parts_ends_with_the_same_weights_to_the_bit(cuts, optimizer):
    changes = Augmentation(crop="resized", colour=0.2, policy="autoaugment" if optimizer == "rmsprop" else "none")
    recipe = Recipe(batch=8, rate=0.05, dropout=0.2, drop_path=0.2, augmentation=changes, optimizer=optimizer)
    images = noise(train=24)

    def fresh() -> nn.Module:
        torch.manual_seed(1)
        return build(SMALL, CLASSES, dropout=recipe.dropout, drop_path=recipe.drop_path)

    options = {"resolution": 16, "epochs": 4, "seed": 5, "device": CPU}
    whole = train(fresh(), images, recipe, **options)
    assert whole.checkpoint is None
    checkpoint = None
    for until in [*cuts, 4]:
        torch.rand(3)
        part = train(fresh(), images, recipe, until=until, checkpoint=checkpoint, **options)
        assert len(part.history) == until
        assert part.history[-1].accuracy is not None
        checkpoint = part.checkpoint
    assert checkpoint is None
    assert same(state(part.network), state(whole.network))
    assert losses(part.history) == losses(whole.history)


def test_the_backbone_may_be_trained_at_a_share_of_the_rate():
    def trained(**changes: Any) -> nn.Module:
        torch.manual_seed(1)
        recipe = replace(PLAIN, momentum=0, weight_decay=0.1, **changes)
        return train(build(SMALL, CLASSES), noise(), recipe, resolution=16, epochs=1, seed=0, device=CPU).network

    torch.manual_seed(1)
    fresh = dict(build(SMALL, CLASSES).named_parameters())
    frozen = dict(trained(backbone_rate=0.0).named_parameters())
    for name, value in fresh.items():
        assert torch.equal(frozen[name], value) != name.startswith("classifier"), name
    # One step each way: with the rate times ten and a tenth for the backbone, that goes as far, the classifier further.
    steps = noise(train=8)
    ways = {}
    for name, changes in {"plain": {}, "shared": {"rate": 1.0, "backbone_rate": 0.1}}.items():
        torch.manual_seed(1)
        recipe = replace(PLAIN, momentum=0, weight_decay=0.1, ema=0, warmup=0, **changes)
        network = build(SMALL, CLASSES)
        ways[name] = train(network, steps, recipe, resolution=16, epochs=1, seed=0, device=CPU).network.state_dict()
    for name, value in fresh.items():
        moved = {way: ways[way][name] - value for way in ways}
        factor = 10 if name.startswith("classifier") else 1
        assert torch.allclose(moved["shared"], factor * moved["plain"], rtol=1e-3, atol=1e-5), name


@pytest.mark.parametrize("cuts", [[1], [3, 4]])
def test_a_training_with_patience_ends_with_its_best_network(cuts):
    images, options = noise(train=24), {"resolution": 16, "epochs": 12, "seed": 5, "device": CPU}

    def fresh() -> nn.Module:
        torch.manual_seed(1)
        return build(SMALL, CLASSES)

    whole = train(fresh(), images, PLAIN, every_epoch=True, **options)
    accuracies = [epoch.accuracy for epoch in whole.history]
    best = best_epoch(accuracies)
    patience = 3
    assert best + patience < 12
    assert accuracies[-1] < accuracies[best - 1]
    kept: list[bytes] = []
    stopped = train(fresh(), images, PLAIN, patience=patience, keep=kept.append, **options)
    assert [epoch.accuracy for epoch in stopped.history] == accuracies[: best + patience]
    alone = train(fresh(), images, PLAIN, until=best, **options)
    assert same(state(stopped.network), state(alone.network))
    for cut in [*cuts, best + patience]:  # A run that is taken up again ends alike, even one that had come to its end.
        again = train(fresh(), images, PLAIN, patience=patience, checkpoint=kept[cut - 1], **options)
        assert len(again.history) == best + patience
        assert same(state(again.network), state(alone.network))


def test_the_best_epoch_is_the_first_of_the_highest_accuracy():
    assert best_epoch([]) == 0
    assert best_epoch([None, None]) == 0
    assert best_epoch([0.0]) == 1
    assert best_epoch([None, 0.5, 0.75, None, 0.75, 0.7]) == 3


def test_mixed_batches_are_trained_on_and_go_on_to_the_bit():
    images, recipe = noise(train=24), replace(PLAIN, mixup=0.2, cutmix=1.0, dropout=0.2)
    history, trained, _ = run(images, recipe, epochs=4)
    _, plain, _ = run(images, replace(PLAIN, dropout=0.2), epochs=4)
    assert not torch.equal(trained.trained[0], plain.trained[0])
    assert all(torch.equal(one, other) for one, other in zip(trained.evaluated, plain.evaluated, strict=True))
    again, _, _ = run(images, recipe, epochs=4, stir=3)
    assert losses(history) == losses(again)

    def fresh() -> nn.Module:
        torch.manual_seed(1)
        return build(SMALL, CLASSES, dropout=0.2)

    options = {"resolution": 16, "epochs": 4, "seed": 5, "device": CPU, "accumulation": 2}
    whole = train(fresh(), images, recipe, **options)
    part = train(fresh(), images, recipe, until=2, **options)
    rest = train(fresh(), images, recipe, checkpoint=part.checkpoint, **options)
    assert same(state(rest.network), state(whole.network))

import math
import random
from dataclasses import replace

import pytest
import torch
from torch import nn
from torchvision.models import efficientnet_b0
from torchvision.ops import StochasticDepth

from effsearch.architecture import ACTIVATIONS, OPS, Architecture, Stage, Stem
from effsearch.families import EFFICIENTNET_B0, MOBILENET_V1, RESNET50
from effsearch.network.build import ACTIVATION_LAYERS, Block, Network, build
from effsearch.space import load, shipped


def tiny(*stages: Stage, **changes: object) -> Architecture:
    return Architecture(**{"stem": Stem(8), "stages": stages, "head": 24, "resolution": 16, **changes})


def one_of_each(op: str) -> Stage:
    return Stage(op, 3, 1, 2, 8, 2, 1)


def images(count: int, resolution: int) -> torch.Tensor:
    return torch.randn(count, 3, resolution, resolution, generator=torch.Generator().manual_seed(0))


def blocks(network: Network) -> list[Block]:
    return [module for module in network.modules() if isinstance(module, Block)]


@pytest.fixture(scope="module")
def torchvisions() -> nn.Module:
    """Torchvision's B0 as if it had been trained: no norm is at its initial value."""
    torch.manual_seed(1)
    network = efficientnet_b0(weights=None)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.weight.data.uniform_(0.5, 2)
            module.bias.data.normal_(0, 0.5)
            module.running_mean.normal_(0, 0.3)
            module.running_var.uniform_(0.2, 2)
    return network


def test_torchvisions_weights_give_torchvisions_logits(torchvisions):
    ours = build(EFFICIENTNET_B0, 1000)
    ours.load_state_dict(torchvisions.state_dict())
    x = images(3, 96)
    with torch.inference_mode():
        expected, got = torchvisions.eval()(x), ours.eval()(x)
    assert expected.std() > 0.05
    torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-5)


def test_initial_weights_of_torchvision_give_its_logits_too():
    torch.manual_seed(2)
    theirs, ours = efficientnet_b0(weights=None, num_classes=10), build(EFFICIENTNET_B0, 10)
    ours.load_state_dict(theirs.state_dict())
    with torch.inference_mode():
        torch.testing.assert_close(ours.eval()(images(2, 64)), theirs.eval()(images(2, 64)), rtol=1e-5, atol=1e-5)


def test_training_is_torchvisions_too_dropped_paths_and_all(torchvisions):
    ours = build(EFFICIENTNET_B0, 1000, dropout=0.2, drop_path=0.2)
    ours.load_state_dict(torchvisions.state_dict())
    outputs = []
    for network in (torchvisions, ours):
        torch.manual_seed(3)
        outputs.append(network.train()(images(4, 32)))
    torch.testing.assert_close(outputs[0], outputs[1], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("rate", [0.0, 0.2, 0.5])
def test_drop_path_grows_over_the_blocks_as_torchvisions_does(rate):
    theirs = efficientnet_b0(weights=None, stochastic_depth_prob=rate)
    ours = build(EFFICIENTNET_B0, 10, drop_path=rate)
    rates = [[m.p for m in network.modules() if isinstance(m, StochasticDepth)] for network in (theirs, ours)]
    assert rates[1] == pytest.approx(rates[0])
    assert len(rates[1]) == EFFICIENTNET_B0.layers


def test_dropping_is_for_training_alone():
    network = build(tiny(*map(one_of_each, OPS)), 5, dropout=0.5, drop_path=0.9)
    x = images(8, 16)
    assert not torch.equal(network.train()(x), network(x))
    assert torch.equal(network.eval()(x), network(x))
    still = build(tiny(*map(one_of_each, OPS)), 5, dropout=0, drop_path=0)
    assert torch.equal(still.train()(x), still(x))


def test_initialisation_is_that_of_the_papers_code():
    torch.manual_seed(0)
    network = build(EFFICIENTNET_B0, 100)
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d):
            weight = module.weight
            fan_out = module.kernel_size[0] * module.kernel_size[1] * module.out_channels / module.groups
            deviations = weight / math.sqrt(2 / fan_out)
            error = 6 / math.sqrt(weight.numel())
            assert abs(deviations.mean()) < error, name
            assert abs(deviations.std() - 1) < error, name
            # Three in a thousand of a normal distribution lie beyond three deviations, of a uniform one none.
            assert weight.numel() < 20_000 or 0.001 < (deviations.abs() > 3).float().mean() < 0.005, name
            assert module.bias is None or not module.bias.any(), name
        if isinstance(module, nn.BatchNorm2d):
            assert torch.equal(module.weight, torch.ones_like(module.weight)), name
            assert not module.bias.any(), name
    linear = network.classifier[1]
    bound = 1 / math.sqrt(100)
    assert 0.99 * bound < linear.weight.abs().max() <= bound
    assert linear.weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.02)
    assert not linear.bias.any()


def test_the_global_seed_gives_the_weights():
    def weights(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        return torch.cat([parameter.flatten() for parameter in build(tiny(one_of_each("mbconv")), 5).parameters()])

    assert torch.equal(weights(0), weights(0))
    assert not torch.equal(weights(0), weights(1))


@pytest.mark.parametrize("op", ["mbconv", "fused", "separable", "conv"])
@pytest.mark.parametrize(("stride", "channels"), [(1, 8), (2, 8), (1, 12)])
def test_a_shortcut_is_where_shapes_allow(op, stride, channels):
    block = Block(Stage(op, 3, stride, 2, channels, 1).canonical(), 8, stride, "silu", drop_path=0).eval()
    x = images(2, 9)[:, :1].repeat(1, 8, 1, 1)
    residual = block.block(x)
    side = 9 if stride == 1 else 5
    assert residual.shape == (2, channels, side, side)
    assert torch.equal(block(x), x + residual if (stride, channels) == (1, 8) else residual)


def test_a_plain_block_has_no_shortcut_and_ends_with_its_activation():
    block = Block(Stage("plain_separable", 3, 1, 1, 8, 1), 8, 1, "relu", drop_path=0.5).train()
    x = images(2, 9)[:, :1].repeat(1, 8, 1, 1)
    assert not block.shortcut
    assert torch.equal(block(x), block.block(x))
    assert [type(part).__name__ for layer in block.block for part in layer] == ["Conv2d", "BatchNorm2d", "ReLU"] * 2


@pytest.mark.parametrize(("stride", "channels"), [(1, 8), (2, 8), (1, 12)])
def test_a_bottleneck_projects_its_shortcut_where_shapes_differ(stride, channels):
    block = Block(Stage("bottleneck", 3, stride, 2, channels, 1), 8, stride, "relu", drop_path=0).eval()
    x = images(2, 9)[:, :1].repeat(1, 8, 1, 1)
    expected = block.block(x) + (x if (stride, channels) == (1, 8) else block.projection(x))
    assert torch.equal(block(x), expected.relu())
    strides = [layer[0].stride[0] for layer in block.block]
    assert strides == [1, stride, 1]


def test_a_stem_may_pool_and_a_head_may_be_absent():
    network = build(tiny(one_of_each("bottleneck"), stem=Stem(8, 7, 2, pool=True), head=0), 5).eval()
    assert network.features[0](images(1, 18)).shape == (1, 8, 5, 5)
    assert network.classifier[1].in_features == 8
    assert len(network.features) == 2


@pytest.mark.parametrize("known", [MOBILENET_V1, RESNET50])
def test_known_networks_train(known):
    network = build(known, 10, zero_init=True)
    assert not network.train()(images(2, 64)).any()
    network.classifier[1].weight.data.normal_()
    network(images(2, 64)).square().sum().backward()
    assert all(parameter.grad.isfinite().all() for parameter in network.parameters())


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_one_activation_throughout(activation):
    network = build(tiny(*map(one_of_each, OPS), activation=activation), 5)
    used = {type(module) for module in network.modules()} & set(ACTIVATION_LAYERS.values())
    assert used == {ACTIVATION_LAYERS[activation]}


def zeroed(op: str) -> Network:
    torch.manual_seed(0)
    widens = replace(one_of_each(op), channels=12)
    return build(tiny(one_of_each(op), widens, activation="relu"), 5, zero_init=True)


@pytest.mark.parametrize("op", ["mbconv", "fused", "separable"])
def test_zero_init_starts_layers_with_a_shortcut_as_the_identity(op):
    network = zeroed(op)
    shortcuts = [block.shortcut for block in blocks(network)]
    assert shortcuts == [True, True, False, True]
    for block in blocks(network):
        channels = block.block[0][0].in_channels
        x = images(2, 7)[:, :1].repeat(1, channels, 1, 1)
        if block.shortcut:
            assert torch.equal(block.train()(x), x)
        else:
            assert block.block[-1][1].weight.all()


def test_zero_init_starts_every_bottleneck_as_its_rectified_shortcut():
    for block in blocks(zeroed("bottleneck")):
        x = images(2, 7)[:, :1].repeat(1, block.block[0][0].in_channels, 1, 1)
        assert torch.equal(block.train()(x), block.projection(x).relu())


@pytest.mark.parametrize("op", OPS)
def test_with_zero_init_all_classes_are_equally_likely_and_everything_can_learn(op):
    network = zeroed(op).train()
    x, labels = images(16, 16), torch.arange(16) % 5
    assert not network(x).any()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    for _ in range(3):  # the classifier learns first, then the last norms, then what is before them
        optimizer.zero_grad()
        nn.functional.cross_entropy(network(x), labels).backward()
        optimizer.step()
    for name, parameter in network.named_parameters():
        assert parameter.grad.any(), name


@pytest.mark.parametrize("resolution", [8, 9, 32])
@pytest.mark.parametrize("name", shipped())
def test_samples_of_the_spaces_that_ship_train_down_to_maps_of_one_pixel(name, resolution):
    space, rng = load(name), random.Random(resolution)
    for _ in range(2):
        architecture = space.decode(space.sample(rng))
        network = build(architecture, 7, drop_path=0)
        logits = network.train()(images(4, resolution))
        assert logits.shape == (4, 7)
        logits.square().sum().backward()
        assert all(parameter.grad is not None for parameter in network.parameters())
        assert all(parameter.grad.isfinite().all() for parameter in network.parameters())


def test_a_network_takes_images_of_any_shape():
    network = build(tiny(Stage("mbconv", 5, 2, 2, 8, 2, 0.25)), 5).eval()
    for height, width in [(1, 1), (2, 3), (17, 40)]:
        assert network(torch.zeros(2, 3, height, width)).isfinite().all()

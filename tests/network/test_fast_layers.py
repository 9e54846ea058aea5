"""A training's fast layers give what the plain ones give, and leave no trace."""

import random
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode
from torchvision.ops import Conv2dNormActivation, SqueezeExcitation

from effsearch.architecture import Architecture, Stage, Stem
from effsearch.costs import cost
from effsearch.families import EFFICIENTNET_B0, MOBILENET_V2, RESNET50
from effsearch.network import Network, build
from effsearch.network.count import count
from effsearch.network.layers import Layer, fast, folded
from effsearch.scaling import widen
from effsearch.space import load


def narrow(architecture: Architecture) -> Architecture:
    return widen(architecture, 0.125, 2)


SPACE, RNG = load("mixed"), random.Random(0)
NETWORKS = {
    "b0": narrow(EFFICIENTNET_B0),
    "mobilenet_v2": narrow(MOBILENET_V2),
    "resnet50": narrow(RESNET50),
    **{f"random {number}": narrow(SPACE.decode(SPACE.sample(RNG))) for number in range(4)},
    **{
        f"{activation} of kernel {kernel}": Architecture(
            Stem(8), (Stage("mbconv", kernel, 2, 3, 8, 2, 0.25), Stage("separable", 3, 2, 1, 16, 2, 0.5)), 20,
            activation=activation,
        )
        for activation, kernel in (("hardswish", 7), ("relu6", 1))
    },
}  # fmt: skip


def made(name: str, dtype: torch.dtype = torch.float64) -> Network:
    torch.manual_seed(0)
    network = build(NETWORKS[name], 5, dropout=0, drop_path=0)
    return network.to(dtype=dtype, memory_format=torch.channels_last)


def images(side: int, dtype: torch.dtype = torch.float64) -> Tensor:
    torch.manual_seed(1)
    return torch.randn(6, 3, side, side, dtype=dtype).contiguous(memory_format=torch.channels_last)


def gradients(network: Network, x: Tensor) -> list[Tensor]:
    loss = nn.functional.cross_entropy(network(x), torch.arange(len(x)) % 5)
    return [loss, *torch.autograd.grad(loss, list(network.parameters()))]


@pytest.mark.parametrize(("name", "side"), [*((name, 40) for name in NETWORKS), ("b0", 16), ("resnet50", 16)])
def test_fast_training_has_the_losses_gradients_and_statistics_of_the_plain_one(name, side):
    plain, other, x = made(name), made(name), images(side)
    wanted = gradients(plain, x)
    with fast(other):
        got = gradients(other, x)
    for one, two in zip(got, wanted, strict=True):
        torch.testing.assert_close(one, two, rtol=1e-6, atol=1e-8)
    for key, value in plain.state_dict().items():
        torch.testing.assert_close(other.state_dict()[key], value)


@pytest.mark.parametrize("name", NETWORKS)
def test_folded_norms_change_nothing_that_is_validated(name):
    network, x = made(name), images(40)
    for _ in range(3):
        network(x)
    network.eval()
    state = {key: value.clone() for key, value in network.state_dict().items()}
    wanted = network(x)
    with folded(network), fast(network):
        assert not any(isinstance(module, nn.BatchNorm2d) for module in network.modules())
        torch.testing.assert_close(network(x), wanted, rtol=1e-6, atol=1e-8)
    assert torch.equal(network(x), wanted)
    assert all(torch.equal(value, state[key]) for key, value in network.state_dict().items())
    assert network.state_dict().keys() == state.keys()


def test_a_fast_network_in_evaluation_mode_changes_no_statistics():
    network, x = made("b0").eval(), images(40)
    state = {key: value.clone() for key, value in network.state_dict().items()}
    wanted = network(x)
    with fast(network):
        torch.testing.assert_close(network(x), wanted, rtol=1e-6, atol=1e-8)
    assert all(torch.equal(value, state[key]) for key, value in network.state_dict().items())


def test_a_single_value_a_channel_is_refused_as_by_torch():
    network = made("b0")
    with fast(network), pytest.raises(ValueError, match="more than 1 value per channel"):
        network(images(16)[:1])


def test_the_plain_network_is_back_after_an_exception():
    network = made("b0").eval()
    with pytest.raises(KeyError), folded(network), fast(network):
        raise KeyError
    assert all(isinstance(module[1], nn.BatchNorm2d) for module in network.modules() if isinstance(module, Layer))
    assert not any(getattr(module, "fast", False) for module in network.modules())


def test_counters_see_torchvision_s_modules():
    network = build(EFFICIENTNET_B0, 1000)
    assert all(isinstance(module, Conv2dNormActivation) for module in network.modules() if isinstance(module, Layer))
    assert sum(isinstance(module, SqueezeExcitation) for module in network.modules()) == 16
    small = replace(EFFICIENTNET_B0, resolution=32)
    with FlopCounterMode(display=False) as counter:
        build(small, 1000)(torch.zeros(2, 3, 32, 32))
    assert counter.get_total_flops() == 4 * cost(small).flops
    assert count(network, 32).flops == cost(small).flops


def test_an_export_of_a_network_that_was_trained_is_plain():
    network = made("b0", torch.float32)
    with fast(network):
        gradients(network, images(40, torch.float32))
    program = torch.export.export(network.eval(), (images(40, torch.float32),))
    called = {str(node.target) for node in program.graph.nodes if node.op == "call_function"}
    assert "aten.conv2d.default" in called
    assert not any("SmallMap" in name or "addcmul" in name for name in called)

"""The closed form is held to the built network: counted by fvcore, its parameters and its convolutions' outputs."""

import random

import pytest
import torch
from hypothesis import given, settings, strategies as st
from torch import nn

from effsearch.architecture import ACTIVATIONS, KERNELS, OPS, Architecture, Stage, Stem
from effsearch.costs import cost
from effsearch.families import FAMILIES, MNASNET_A1
from effsearch.network import build
from effsearch.network.count import count
from effsearch.space import load, shipped

odd_stages = st.builds(
    Stage,
    op=st.sampled_from(OPS),
    kernel=st.sampled_from(KERNELS),
    stride=st.sampled_from([1, 2]),
    expansion=st.integers(1, 4),
    channels=st.integers(1, 13),
    layers=st.integers(1, 3),
    se_ratio=st.sampled_from([0, 0.001, 0.25, 1 / 3, 1]),
)
odd_architectures = st.builds(
    Architecture,
    stem=st.builds(Stem, st.integers(1, 9), st.sampled_from(KERNELS), st.sampled_from([1, 2]), st.booleans()),
    stages=st.lists(odd_stages, min_size=1, max_size=3).map(tuple),
    head=st.integers(0, 20),
    resolution=st.integers(8, 21),
    activation=st.sampled_from(ACTIVATIONS),
)


def conv_outputs(network: nn.Module, resolution: int) -> int:
    """The elements that all convolutions of a network put out for one image."""
    sizes: list[int] = []
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(lambda _, inputs, output: sizes.append(output.numel()))
    with torch.inference_mode():
        network.eval()(torch.zeros(1, 3, resolution, resolution))
    return sum(sizes)


def check(architecture: Architecture, resolution: int, classes: int) -> None:
    network = build(architecture, classes)
    expected = cost(architecture, resolution, classes)
    counted = count(network, resolution)
    assert (counted.flops, counted.params) == (expected.flops, expected.params)
    assert conv_outputs(network, resolution) == expected.activations


@pytest.mark.parametrize("name", FAMILIES)
def test_known_baselines_at_full_size(name):
    check(FAMILIES[name], 224, 1000)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("name", shipped())
def test_architectures_of_the_spaces_that_ship(name, seed):
    space, rng = load(name), random.Random(seed)
    check(space.decode(space.sample(rng)), resolution=rng.randint(8, 50), classes=rng.randint(2, 20))


@settings(deadline=None, max_examples=25)
@given(odd_architectures, st.integers(2, 12))
def test_architectures_as_odd_as_they_come(architecture, classes):
    check(architecture, architecture.resolution, classes)


def test_what_fvcore_counts_besides_is_kept_apart():
    counted = count(build(MNASNET_A1, 10), 32)
    assert set(counted.operators) > {"conv", "linear"}
    assert counted.flops < sum(counted.operators.values())

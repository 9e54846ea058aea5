import itertools
import random
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterable
from dataclasses import replace

import pytest
from hypothesis import assume, given, strategies as st
from strategies import architectures, projections

from effsearch.architecture import RESOLUTIONS, Architecture, Stage, Stem
from effsearch.costs import biases, cost, cost_range, stage_costs
from effsearch.space import Space, load, read, shipped

NARROW = """
resolution = [15, 32]
stem = { channels = [4, 8], kernel = [3, 7], stride = [1, 2] }
head = { channels = [16, 24] }

[[stages]]
op = ["mbconv", "conv"]
kernel = [1, 5]
stride = [1, 2]
expansion = [1, 4]
channels = [4, 12]
layers = [1, 2]

[[stages]]
op = "fused"
kernel = 3
stride = 1
expansion = 2
channels = [8, 16]
layers = [1, 3]
se_ratio = [0, 1]
"""


def test_a_network_counted_by_hand():
    architecture = Architecture(Stem(4), (Stage("mbconv", 3, 2, 2, 6, 1, 0.5),), head=10, resolution=15)
    # The stem's output has side 8, the block's side 4.
    stem = 3 * 4 * 9 * 64
    block = 4 * 8 * 64 + 8 * 9 * 16 + (8 * 2 + 2 * 8) + 8 * 6 * 16
    head = 6 * 10 * 16 + 10 * 5
    weights = 3 * 4 * 9 + 4 * 8 + 8 * 9 + (8 * 2 + 2 * 8) + 8 * 6 + 6 * 10 + 10 * 5
    others = 2 * (4 + 8 + 8 + 6 + 10) + (2 + 8) + 5
    activations = 4 * 64 + 8 * 64 + 8 * 16 + 2 + 8 + 6 * 16 + 10 * 16
    assert cost(architecture, classes=5) == (stem + block + head, weights + others, activations)


def test_a_resnet_counted_by_hand():
    stages = (Stage("bottleneck", 3, 2, 2, 8, 2),)
    architecture = Architecture(Stem(6, 7, 2, pool=True), stages, head=0, resolution=30)
    # The convolution of the stem gives 15 px, the pool 8, the first block 4.
    stem = 3 * 6 * 49
    first = (6 * 4, 4 * 4 * 9 + 4 * 8 + 6 * 8)
    second = 8 * 4 + 4 * 4 * 9 + 4 * 8
    flops = stem * 15**2 + first[0] * 8**2 + (first[1] + second) * 4**2 + 8 * 5
    norms = 2 * (6 + (4 + 4 + 8 + 8) + (4 + 4 + 8))
    params = stem + sum(first) + second + norms + (8 + 1) * 5
    activations = 6 * 15**2 + 4 * 8**2 + (4 + 8 + 8) * 4**2 + (4 + 4 + 8) * 4**2
    assert cost(architecture, classes=5) == (flops, params, activations)


def test_a_mobilenet_v1_counted_by_hand():
    architecture = Architecture(Stem(4), (Stage("plain_separable", 3, 2, 1, 6, 2),), head=0, resolution=16)
    block = (4 * 9 + 4 * 6, 6 * 9 + 6 * 6)
    flops = 3 * 4 * 9 * 8**2 + sum(block) * 4**2 + 6 * 5
    params = 3 * 4 * 9 + sum(block) + 2 * (4 + 4 + 6 + 6 + 6) + 7 * 5
    assert cost(architecture, classes=5)[:2] == (flops, params)


@given(architectures, st.integers(2, 2000))
def test_biases_are_what_squeezing_and_the_classifier_add(architecture, classes):
    plain = replace(architecture, stages=tuple(replace(stage, se_ratio=0) for stage in architecture.stages))
    assert biases(plain, classes) == classes
    # Squeezing has a bias for each of its outputs, and these are all the activations it adds.
    squeezed = cost(architecture).activations - cost(plain).activations
    assert biases(architecture, classes) == classes + squeezed


@given(architectures, st.integers(*RESOLUTIONS), st.integers(1, 2000))
def test_rows_add_up_to_the_total(architecture, resolution, classes):
    rows = stage_costs(architecture, resolution, classes)
    assert tuple(map(sum, zip(*(row.cost for row in rows), strict=True))) == cost(architecture, resolution, classes)
    assert len(rows) == len(architecture.stages) + 2
    assert rows[0].resolution == resolution


@given(architectures)
def test_a_resolution_given_is_as_one_of_its_own(architecture):
    assert cost(architecture, 97) == cost(replace(architecture, resolution=97))
    assert cost(architecture) == cost(architecture, architecture.resolution, 1000)


@given(architectures, st.data())
def test_growing_never_lowers_the_cost(architecture, data):
    index = data.draw(st.integers(0, len(architecture.stages) - 1))
    more = data.draw(st.integers(1, 64))
    stage = architecture.stages[index]
    before = cost(architecture)
    for changed in (replace(stage, layers=stage.layers + more), replace(stage, channels=stage.channels + more)):
        rows = (*architecture.stages[:index], changed, *architecture.stages[index + 1 :])
        grown = replace(architecture, stages=rows)
        assume(projections(grown) == projections(architecture))
        assert all(new > old for new, old in zip(cost(grown), before, strict=True))
    stem = replace(architecture.stem, channels=architecture.stem.channels + more)
    for grown in (replace(architecture, head=architecture.feature_channels + more), replace(architecture, stem=stem)):
        assume(projections(grown) == projections(architecture))
        assert all(new > old for new, old in zip(cost(grown), before, strict=True))
    larger = cost(architecture, architecture.resolution + more)
    assert larger.flops >= before.flops
    assert larger.activations >= before.activations
    assert larger.params == before.params
    assert cost(architecture, classes=1000 + more).flops == before.flops + more * architecture.feature_channels


@given(architectures)
def test_dividing_a_stage_changes_no_cost(architecture):
    rows = [
        replace(stage, layers=1, stride=stage.stride if layer == 0 else 1)
        for stage in architecture.stages
        for layer in range(stage.layers)
    ]
    assert cost(replace(architecture, stages=tuple(rows))) == cost(architecture)


@pytest.mark.parametrize("classes", [2, 1000])
def test_the_range_of_a_space_is_that_of_all_its_architectures(classes):
    space = read(tomllib.loads(NARROW), "narrow")
    choices = itertools.product(*(decision.choices for decision in space.decisions))
    names = [decision.name for decision in space.decisions]
    flops = [cost(space.decode(dict(zip(names, row, strict=True))), classes=classes).flops for row in choices]
    assert len(flops) == 2**14
    assert cost_range(space, classes) == (min(flops), max(flops))


def extreme(space: Space, choose: Callable[[Iterable[int]], int]) -> int:
    """The FLOPs of the architecture at which none of its neighbours is better."""
    values = {decision.name: decision.choices[0] for decision in space.decisions}
    flops = cost(space.decode(values)).flops
    while True:
        near = {cost(space.decode(there)).flops: there for there in space.neighbours(values)}
        if choose((flops, *near)) == flops:
            return flops
        flops = choose(near)
        values = near[flops]


@pytest.mark.parametrize("name", shipped())
def test_the_range_of_a_space_that_ships_is_reached_and_holds_its_samples(name):
    space, rng = load(name), random.Random(0)
    low, high = cost_range(space)
    for _ in range(200):
        assert low <= cost(space.decode(space.sample(rng))).flops <= high
    assert (extreme(space, min), extreme(space, max)) == (low, high)
    assert cost_range(space.at(32))[1] < high


def test_costs_are_counted_without_torch():
    code = (
        "import sys; from effsearch.costs import cost; from effsearch.families import EFFICIENTNET_B0 as b0; cost(b0);"
        "print({'torch', 'numpy', 'optuna', 'pandas', 'typer'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"

from dataclasses import replace

import pytest
from hypothesis import assume, given, strategies as st
from strategies import architectures, projections

from effsearch.architecture import Stage, Stem
from effsearch.costs import cost
from effsearch.errors import QuantityError
from effsearch.families import EFFICIENTNET_B0, RESNET50
from effsearch.scaling import PAPER, Coefficients, Multipliers, Rounding, grow, round_channels, widen

divisors = st.sampled_from([1, 4, 8, 16])
roundings = st.builds(Rounding, st.sampled_from(["ceil", "nearest"]), divisors, st.sampled_from([1, 8, 32]))
coefficients = st.builds(Coefficients, st.floats(1, 2), st.floats(1, 1.5), st.floats(1, 1.5))


@pytest.mark.parametrize(
    ("channels", "rounded"), [(33, 32), (35.2, 32), (36, 40), (3, 8), (11, 16), (12, 16), (19, 24)]
)
def test_channels_by_hand(channels, rounded):
    assert round_channels(channels) == rounded


@given(st.floats(0.1, 20_000), divisors)
def test_rounding_stays_near_and_never_takes_a_tenth_away(channels, divisor):
    rounded = round_channels(channels, divisor)
    assert rounded % divisor == 0
    assert rounded >= max(divisor, 0.9 * channels)
    assert rounded <= max(divisor, channels + divisor)


@given(st.floats(0.1, 20_000), st.floats(0.1, 20_000), divisors)
def test_more_channels_never_round_to_fewer(one, other, divisor):
    low, high = sorted((one, other))
    assert round_channels(low, divisor) <= round_channels(high, divisor)


def without_channels(stage: Stage) -> Stage:
    """A bottleneck's expansion has one spelling for given channels, and another may be it for more."""
    return replace(stage, channels=1, expansion=1 if stage.op == "bottleneck" else stage.expansion)


@given(architectures, st.floats(0.1, 8), divisors)
def test_widening_changes_nothing_but_channels(architecture, width, divisor):
    assume(architecture.head * width < 16_000)
    wide = widen(architecture, width, divisor)
    assert replace(wide.stem, channels=1) == replace(architecture.stem, channels=1)
    assert [without_channels(stage) for stage in wide.stages] == [
        without_channels(stage) for stage in architecture.stages
    ]
    assert (wide.resolution, wide.activation, wide.layers) == (
        architecture.resolution,
        architecture.activation,
        architecture.layers,
    )
    asked = [architecture.stem.channels, *(stage.channels for stage in architecture.stages), architecture.head]
    got = [wide.stem.channels, *(stage.channels for stage in wide.stages), wide.head]
    limit = max if width > 1 else min
    assert got == [limit(c, round_channels(c * width, divisor)) if width != 1 and c else c for c in asked]


def test_b2s_channels_are_b0s_widened():
    # 1905.11946: B2 is B0 at width 1.1; channels as in the released model.
    wide = widen(EFFICIENTNET_B0, 1.1)
    assert [stage.channels for stage in wide.stages] == [16, 24, 48, 88, 120, 208, 352]
    assert (wide.stem.channels, wide.head) == (32, 1408)
    assert widen(EFFICIENTNET_B0, 1) == EFFICIENTNET_B0


def test_the_papers_coefficients_ask_for_twice_the_flops_but_rounding_gives_more():
    assert PAPER.product == pytest.approx(1.92027)
    large = grow(EFFICIENTNET_B0, PAPER.at(1))
    assert [stage.layers for stage in large.stages] == [2, 3, 3, 4, 4, 5, 2]
    assert large.resolution == 258
    assert cost(large).flops / cost(EFFICIENTNET_B0).flops == pytest.approx(2.57, abs=0.005)


def test_growing_a_resnet_keeps_its_stem_one_layer_its_pool_and_no_head():
    large = grow(RESNET50, Multipliers(depth=2, width=1.2, resolution=1.3))
    assert large.stem == Stem(80, 7, 2, pool=True)
    assert [stage.layers for stage in large.stages] == [6, 8, 12, 6]
    assert [stage.channels for stage in large.stages] == [304, 616, 1232, 2456]
    assert [stage.middle(0) for stage in large.stages] == [76, 154, 308, 614]
    assert (large.head, large.resolution) == (0, 291)


def test_rounding_depth_to_the_nearest_keeps_single_layers_single():
    large = grow(EFFICIENTNET_B0, Multipliers(depth=1.2), Rounding(depth="nearest"))
    assert [stage.layers for stage in large.stages] == [1, 2, 2, 4, 4, 5, 1]


def test_a_product_that_is_whole_is_not_rounded_up_by_floating_point():
    assert 1.1 * 50 > 55
    assert Rounding().layers(50, 1.1) == 55


def test_resolution_comes_in_multiples_where_asked():
    assert grow(EFFICIENTNET_B0, Multipliers(resolution=1.15), Rounding(multiple=32)).resolution == 256


@given(architectures, coefficients, roundings)
def test_phi_0_is_the_identity(architecture, found, rounding):
    assert grow(architecture, found.at(0), rounding) == architecture


@given(architectures, coefficients, roundings, st.floats(-3, 3), st.floats(-3, 3))
def test_growing_phi_never_lowers_flops_or_params(architecture, found, rounding, one, other):
    low, high = sorted((one, other))
    try:
        small, large = (grow(architecture, found.at(phi), rounding) for phi in (low, high))
    except QuantityError:
        assume(False)
    assume(projections(small) == projections(large))
    less, more = cost(small), cost(large)
    assert less.flops <= more.flops
    assert less.params <= more.params


@given(architectures, coefficients)
def test_a_negative_phi_shrinks(architecture, found):
    assume(architecture.resolution > 50)
    small = grow(architecture, found.at(-2))
    assume(projections(small) == projections(architecture))
    assert cost(small).flops <= cost(architecture).flops


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Coefficients(0.99, 1, 1), "alpha must be from 1 to 100, got 0.99"),
        (lambda: Coefficients(1, float("nan"), 1), "beta must be from 1 to 100, got nan"),
        (lambda: PAPER.at(1e9), "phi must be a number from -100 to 100"),
        (lambda: PAPER.at(float("nan")), "phi must be a number from -100 to 100"),
        (lambda: Multipliers(width=0), "the multiplier of width must be above 0"),
        (lambda: Rounding(depth="floor"), "must be one of ceil, nearest, got 'floor'"),
        (lambda: Rounding(divisor=0), "width divisor must be from 1 to 1024"),
        (lambda: grow(EFFICIENTNET_B0, PAPER.at(60)), "is too much: "),
    ],
)
def test_what_cannot_be_says_so_in_one_line(make, says):
    with pytest.raises(QuantityError, match=says) as caught:
        make()
    assert "\n" not in str(caught.value)

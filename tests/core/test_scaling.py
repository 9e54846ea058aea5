from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import architectures

from effsearch.families import EFFICIENTNET_B0
from effsearch.scaling import round_channels, widen

divisors = st.sampled_from([1, 4, 8, 16])


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


@given(architectures, st.floats(0.1, 8), divisors)
def test_widening_changes_nothing_but_channels(architecture, width, divisor):
    wide = widen(architecture, width, divisor)
    assert replace(wide.stem, channels=1) == replace(architecture.stem, channels=1)
    assert [replace(stage, channels=1) for stage in wide.stages] == [
        replace(stage, channels=1) for stage in architecture.stages
    ]
    assert (wide.resolution, wide.activation, wide.layers) == (
        architecture.resolution,
        architecture.activation,
        architecture.layers,
    )
    if width != 1:
        asked = [architecture.stem.channels, *(stage.channels for stage in architecture.stages), architecture.head]
        got = [wide.stem.channels, *(stage.channels for stage in wide.stages), wide.head]
        assert got == [round_channels(channels * width, divisor) for channels in asked]


def test_b2s_channels_are_b0s_widened():
    # 1905.11946: B2 is B0 at width 1.1; channels as in the released model.
    wide = widen(EFFICIENTNET_B0, 1.1)
    assert [stage.channels for stage in wide.stages] == [16, 24, 48, 88, 120, 208, 352]
    assert (wide.stem.channels, wide.head) == (32, 1408)
    assert widen(EFFICIENTNET_B0, 1) == EFFICIENTNET_B0

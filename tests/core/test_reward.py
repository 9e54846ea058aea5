import math

import pytest
from hypothesis import given, strategies as st

from effsearch.errors import QuantityError
from effsearch.reward import KINDS, Reward

accuracies = st.floats(0.01, 1)
ratios = st.floats(0.01, 100)
targets = st.floats(1e5, 1e11)


def test_values_by_hand():
    assert Reward(400e6)(0.5, 400e6) == 0.5
    assert Reward(400e6)(0.5, 800e6) == pytest.approx(0.5 * 0.952637998)
    assert Reward(400e6)(0.5, 200e6) == pytest.approx(0.5 / 0.952637998)
    assert Reward(400e6, "soft", -1)(0.8, 1600e6) == pytest.approx(0.2)
    assert Reward(400e6, "hard")(0.5, 800e6) == 0.25
    assert Reward(400e6, "absolute")(0.5, 600e6) == pytest.approx(0.5 - 0.07 * 0.5)
    assert Reward(400e6, "absolute", -2)(0.5, 0) == -1.5


@given(targets, targets, st.lists(st.tuples(accuracies, st.floats(1e6, 1e10)), min_size=2, max_size=6))
def test_the_target_moves_no_optimum_of_the_soft_reward(one, other, candidates):
    ones = [Reward(one)(*candidate) for candidate in candidates]
    others = [Reward(other)(*candidate) for candidate in candidates]
    constant = (other / one) ** 0.07
    assert others == pytest.approx([constant * reward for reward in ones])


def test_the_exponent_moves_the_optimum_of_the_soft_reward():
    small, large = (0.70, 100e6), (0.75, 400e6)
    assert Reward(400e6, exponent=-0.01)(*small) < Reward(400e6, exponent=-0.01)(*large)
    assert Reward(400e6, exponent=-0.07)(*small) > Reward(400e6, exponent=-0.07)(*large)


@given(targets, accuracies, st.floats(0.001, 1))
def test_the_hard_reward_ignores_flops_below_the_target(target, accuracy, ratio):
    assert Reward(target, "hard")(accuracy, ratio * target) == accuracy
    assert Reward(target, "hard", -3)(accuracy, ratio * target) == accuracy


@given(targets, accuracies)
def test_the_hard_reward_is_continuous_at_the_target_and_falls_above(target, accuracy):
    reward = Reward(target, "hard")
    just_above = reward(accuracy, math.nextafter(target, math.inf) * (1 + 1e-9))
    assert just_above == pytest.approx(reward(accuracy, target), rel=1e-6)
    assert just_above < accuracy
    assert reward(accuracy, 4 * target) == pytest.approx(accuracy / 4)


@given(targets, accuracies, st.floats(0, 1))
def test_the_absolute_reward_is_symmetric_and_highest_at_the_target(target, accuracy, distance):
    reward = Reward(target, "absolute")
    above, below = reward(accuracy, target * (1 + distance)), reward(accuracy, target * (1 - distance))
    assert above == pytest.approx(below)
    assert above <= reward(accuracy, target) == accuracy


@given(st.sampled_from(KINDS), targets, accuracies, accuracies, ratios)
def test_more_accuracy_at_the_same_flops_is_never_worse(kind, target, one, other, ratio):
    low, high = sorted((one, other))
    reward = Reward(target, kind)
    assert reward(low, ratio * target) <= reward(high, ratio * target)


@pytest.mark.parametrize("kind", ["", "Soft", "medium", None])
def test_an_unknown_kind(kind):
    with pytest.raises(QuantityError, match=r"^reward must be one of soft, hard, absolute, got "):
        Reward(1e6, kind)


@pytest.mark.parametrize("target", [0, -1, math.nan, math.inf])
def test_a_target_out_of_range(target):
    with pytest.raises(QuantityError, match=r"^the target must be above 0, got "):
        Reward(target)


@pytest.mark.parametrize("exponent", [0, 0.07, -100.5, math.nan, -math.inf])
def test_an_exponent_out_of_range(exponent):
    with pytest.raises(QuantityError, match=r"^the exponent must be from -100 to below 0"):
        Reward(1e6, "soft", exponent)


def test_formulas_name_their_exponent():
    assert Reward(1e6).formula == "ACC x (F/T)^-0.07"
    assert Reward(1e6, "absolute", -2).formula == "ACC -2 x |F/T - 1|"
    assert Reward(1e6, "hard").formula == "ACC up to T, ACC x T/F above"

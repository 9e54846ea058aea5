"""Means and paired differences over seeds, by hand and against scipy."""

import math

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from scipy import stats

from effsearch.runs.comparison import MOST_SEEDS, PairedModel, kendall_tau, kendall_taus, resamples, smallest_difference

# By hand: means of networks 0.60, 0.56 and 0.52, of seeds 0.54, 0.56 and 0.58; residuals (in points) of a: 1, -1, 0,
# of b: -1, 1, 0, of c: 0, 0, 0; so the variance of the noise is 4e-4 / 4.
BY_HAND = {"a": {0: 0.59, 1: 0.59, 2: 0.62}, "b": {0: 0.53, 1: 0.57, 2: 0.58}, "c": {0: 0.50, 1: 0.52, 2: 0.54}}


def random_table(networks: int, seeds: int, seed: int = 0) -> dict[str, dict[int, float]]:
    rng = np.random.default_rng(seed)
    own, shared = rng.normal(0, 0.03, (networks, 1)), rng.normal(0, 0.02, seeds)
    table = 0.5 + own + shared + rng.normal(0, 0.01, (networks, seeds))
    return {f"n{row}": dict(enumerate(map(float, values))) for row, values in enumerate(table)}


def test_a_table_by_hand():
    model = PairedModel(BY_HAND)
    assert model.freedom == 4
    assert model.sd == pytest.approx(0.01)
    found = model.difference("a", ["b"])
    half = 2.7764451 * 0.01 * math.sqrt(2 / 3)  # Student's t of 4 degrees of freedom
    assert (found.value, found.low, found.high) == pytest.approx((0.04, 0.04 - half, 0.04 + half))
    both = model.difference("a", ["b", "c"])
    assert (both.value, both.half) == pytest.approx((0.06, 2.7764451 * 0.01 * math.sqrt(1.5 / 3)))
    assert model.mean("a").value == pytest.approx(0.60)


def test_two_networks_are_compared_as_scipy_compares_them():
    table = random_table(2, 5)
    one, two = (list(table[key].values()) for key in table)
    interval = stats.ttest_rel(one, two).confidence_interval(0.95)
    found = PairedModel(table).difference("n0", ["n1"])
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))


def test_one_network_alone_has_the_interval_of_its_mean():
    values = random_table(1, 6)["n0"]
    interval = stats.ttest_1samp(list(values.values()), 0).confidence_interval(0.95)
    found = PairedModel({"a": values}).mean("a")
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))


def test_the_interval_of_a_mean_is_that_of_its_seeds_where_networks_share_all_their_luck():
    luck = [0.01, -0.02, 0.0, 0.03]
    table = {key: {seed: base + value for seed, value in enumerate(luck)} for key, base in (("a", 0.5), ("b", 0.6))}
    model = PairedModel(table)
    interval = stats.ttest_1samp(list(table["a"].values()), 0).confidence_interval(0.95)
    found = model.mean("a")
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))
    assert model.difference("a", ["b"]).half == pytest.approx(0, abs=1e-9)


def test_a_network_with_fewer_seeds_is_compared_by_those_that_it_has():
    table = random_table(4, 4)
    for key in table:  # No noise: the missing training is known from the others.
        table[key] = {seed: 0.1 * int(key[1]) + 0.01 * seed for seed in table[key]}
    whole = PairedModel(table)
    del table["n1"][3]
    part = PairedModel(table)
    assert part.freedom == whole.freedom - 1 == 8
    assert part.difference("n1", ["n0"]).value == pytest.approx(0.1)
    assert part.mean("n1").value == pytest.approx(whole.mean("n1").value)
    assert len(part.accuracies["n1"]) == 3


@given(st.integers(2, 5), st.integers(2, 6), st.integers(0, 1000))
@settings(deadline=None, max_examples=30)
def test_means_and_differences_of_whole_tables_are_plain_ones(networks, seeds, seed):
    table = random_table(networks, seeds, seed)
    model = PairedModel(table)
    assert model.freedom == (networks - 1) * (seeds - 1)
    plain = {key: np.mean(list(values.values())) for key, values in table.items()}
    for key in table:
        assert model.mean(key).value == pytest.approx(plain[key])
        assert model.difference(key, ["n0"]).value == pytest.approx(plain[key] - plain["n0"], abs=1e-9)
    assert model.mean("n0").half > 0


def test_what_trainings_do_not_tell_is_none():
    one = PairedModel({"a": {0: 0.5}, "b": {0: 0.6}, "c": {}})
    assert one.keys == ["a", "b"]
    assert one.difference("b", ["a"]).value == pytest.approx(0.1)
    assert one.difference("b", ["a"]).half is None
    assert one.mean("a").half is None
    assert one.seeds_needed(0.1) is None
    apart = PairedModel({"a": {0: 0.5, 1: 0.6}, "b": {2: 0.6, 3: 0.7}})
    assert apart.difference("a", ["b"]) is None
    assert apart.mean("a").value == pytest.approx(0.55)


def test_so_many_seeds_and_no_fewer_would_tell_a_difference():
    model = PairedModel(BY_HAND)
    needed = model.seeds_needed(0.005)

    def half(seeds: int) -> float:
        return float(stats.t.ppf(0.975, 2 * (seeds - 1)) * 0.01 * math.sqrt(2 / seeds))

    assert half(needed) < 0.005 <= half(needed - 1)
    assert model.seeds_needed(-0.005) == needed
    assert model.seeds_needed(0.005, others=3) < needed
    assert model.seeds_needed(1e-5) is None
    assert model.seeds_needed(0.0) is None
    assert model.seeds_needed(0.5) == 2
    assert MOST_SEEDS == 1000


def test_the_smallest_difference_that_can_be_told():
    assert smallest_difference(0.01, networks=5, seeds=3) == pytest.approx(0.01 * math.sqrt(2 / 3) * 2.3060041)
    # Student's t with 8 degrees of freedom at 1 - 0.025 / 3.
    assert smallest_difference(0.01, 5, 3, choices=3) == pytest.approx(0.01 * math.sqrt(2 / 3) * 3.0157626)


def test_an_interval_allows_for_the_choice_of_the_best_rival():
    """Of networks that are equal, 95 in 100 intervals must hold 0 although the best rival is chosen by them."""
    rng, missed = np.random.default_rng(0), {1: 0, 3: 0}
    for _ in range(600):
        noise = 0.5 + 0.01 * rng.standard_normal((5, 3))
        model = PairedModel({f"n{row}": dict(enumerate(values)) for row, values in enumerate(noise)})
        best = max(("n1", "n2", "n3"), key=lambda key: model.mean(key).value)
        for choices in missed:
            found = model.difference("n0", [best], choices)
            missed[choices] += not found.low <= 0 <= found.high
    assert missed[3] / 600 <= 0.05 < missed[1] / 600


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("decimals", [1, 9])
def test_rank_correlations_of_resamples_are_those_of_scipy(decimals):
    rng = np.random.default_rng(3)
    one = rng.random(12).round(decimals)
    other = (one + rng.random(12)).round(decimals)
    counts = resamples(12)[:200]

    found = kendall_taus(one, other, counts)

    rows = [np.repeat(np.arange(12), row.astype(int)) for row in counts]
    assert found == pytest.approx([stats.kendalltau(one[row], other[row]).statistic for row in rows])


def test_the_interval_of_a_rank_correlation_holds_95_percent_of_the_resamples():
    rng = np.random.default_rng(4)
    one = rng.random(20)
    other = one + rng.random(20)

    tau, low, high = kendall_tau(one, other)

    drawn = kendall_taus(one, other, resamples(20))
    assert tau == pytest.approx(stats.kendalltau(one, other).statistic)
    assert [np.mean(drawn < low), np.mean(drawn > high)] == pytest.approx([0.025, 0.025], abs=0.002)


@pytest.mark.filterwarnings("error")
def test_networks_that_are_all_equal_have_no_rank_correlation():
    one, other = np.array([0.5, 0.5, 0.7]), np.array([0.1, 0.2, 0.3])

    assert kendall_tau(np.full(3, 0.5), other) == (None, None, None)
    assert np.isnan(kendall_taus(one, other, np.array([1.0, 2.0, 0.0])))

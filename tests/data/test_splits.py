import numpy as np
import pytest
from hypothesis import given, strategies as st

from effsearch.data import Split, epoch_order, subset
from effsearch.data.imageset import hold_out
from effsearch.errors import DataError

LABELS = np.repeat([0, 1, 2], [50, 30, 2])


def split_of(labels: np.ndarray) -> Split:
    return Split(np.zeros((len(labels), 1, 1, 3), np.uint8), np.arange(len(labels)), np.asarray(labels, np.int64))


@given(st.lists(st.integers(2, 40), min_size=1, max_size=6), st.floats(0.01, 0.99), st.integers(0, 99))
def test_every_class_is_on_both_sides(counts, share, seed):
    labels = np.repeat(np.arange(len(counts)), counts)
    held = hold_out(labels, share, seed)
    for number, count in enumerate(counts):
        out = held[labels == number].sum()
        assert 1 <= out <= count - 1
        assert abs(out - share * count) <= 1


def test_a_hold_out_depends_on_its_seed_alone():
    np.testing.assert_array_equal(hold_out(LABELS, 0.2, 3), hold_out(LABELS, 0.2, 3))
    assert np.any(hold_out(LABELS, 0.2, 3) != hold_out(LABELS, 0.2, 4))


def test_a_subset_keeps_the_proportions_and_every_class():
    part = subset(split_of(LABELS), 41, 0)
    assert np.bincount(part.labels).tolist() == [25, 15, 1]
    assert np.bincount(subset(split_of(LABELS), 3, 0).labels).tolist() == [1, 1, 1]
    assert np.all(np.diff(part.rows) > 0)
    np.testing.assert_array_equal(part.labels, LABELS[part.rows])


@given(st.integers(1, 82), st.integers(1, 82), st.integers(0, 9))
def test_a_subset_has_its_count_and_lies_within_every_larger_one(one, other, seed):
    small, large = (subset(split_of(LABELS), count, seed) for count in sorted((one, other)))
    assert len(small) == min(one, other)
    assert set(small.rows) <= set(large.rows)


@pytest.mark.parametrize("count", [None, 82, 1000])
def test_a_subset_may_be_all(count):
    split = split_of(LABELS)
    assert subset(split, count, 0) is split


def test_a_subset_of_nothing_is_refused():
    with pytest.raises(DataError, match="a subset of 0 images"):
        subset(split_of(LABELS), 0, 0)


def test_subsets_of_other_seeds_differ():
    assert set(subset(split_of(LABELS), 20, 0).rows) != set(subset(split_of(LABELS), 20, 1).rows)


def test_an_epoch_visits_every_image_once_in_an_order_of_its_own():
    orders = [epoch_order(100, seed, epoch) for seed in (0, 1) for epoch in (0, 1)]
    for order in orders:
        assert sorted(order.tolist()) == list(range(100))
    assert len({order.tobytes() for order in orders}) == 4
    np.testing.assert_array_equal(epoch_order(100, 1, 1), orders[3])

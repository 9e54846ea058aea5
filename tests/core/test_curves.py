import math

import pytest

from effsearch.errors import QuantityError
from effsearch.scaling import UNDER, axis_curves, check_points, width_curves


def test_axes_are_asked_for_equal_growths_of_flops():
    for curve in axis_curves(("depth", "width", "resolution"), (1, 2, 4)):
        assert [by.product for by in curve.points] == pytest.approx([1, 2, 4])
        assert sum(by.depth == by.width == by.resolution == 1 for by in curve.points) == 1


def test_width_grows_under_each_depth_and_resolution():
    curves = width_curves((1, 4))
    assert [(curve.points[0].depth, curve.points[0].resolution) for curve in curves] == list(UNDER)
    assert all([by.width for by in curve.points] == [1, 2] for curve in curves)


def test_points_are_put_in_order_and_begin_with_the_baseline():
    assert check_points((4, 2.5)) == (1, 2.5, 4)


@pytest.mark.parametrize("points", [(), (0.5,), (math.nan,), (math.inf,), tuple(range(1, 60))])
def test_points_that_cannot_be_are_refused(points):
    with pytest.raises(QuantityError, match="growths of FLOPs from 1 to 100"):
        check_points(points)


@pytest.mark.parametrize("axes", [(), ("height",)])
def test_unknown_axes_are_refused(axes):
    with pytest.raises(QuantityError, match="axes must be of depth, width, resolution"):
        axis_curves(axes)

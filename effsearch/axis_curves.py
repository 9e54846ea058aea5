"""Growth along one axis at a time, and along width under other depths and resolutions: figures 3 and 4 of the paper.

A point is a growth of FLOPs that the formula asks for, so that axes are compared at equal compute: p times the layers,
the square root of p times the channels or px.
"""

import math
from dataclasses import dataclass

from effsearch.errors import QuantityError, listed
from effsearch.scaling import Multipliers

AXES = ("depth", "width", "resolution")
UNDER = ((1.0, 1.0), (1.0, 1.3), (2.0, 1.0), (2.0, 1.3))
"""Depth and resolution under which width grows in figure 4 (1905.11946)."""

POINTS = (1.0, 2.0, 3.0, 4.0)
MOST_POINTS = 50


@dataclass(frozen=True)
class Curve:
    """Networks that differ in one axis, by the multipliers of each."""

    name: str
    points: tuple[Multipliers, ...]


def check_points(points: tuple[float, ...]) -> tuple[float, ...]:
    """The points in order, with 1 among them; raises QuantityError."""
    if not points or any(not 1 <= point <= 100 for point in points) or len(points) > MOST_POINTS:
        raise QuantityError(
            f"points must be 1 to {MOST_POINTS} growths of FLOPs from 1 to 100 such as 1,2,4; got {listed(points)}"
        )
    return tuple(sorted({1.0, *points}))


def one_axis(axes: tuple[str, ...], points: tuple[float, ...] = POINTS) -> list[Curve]:
    """Figure 3: each axis alone; raises QuantityError for an axis that is none."""
    unknown = [axis for axis in axes if axis not in AXES]
    if unknown or not axes:
        raise QuantityError(f"axes must be of {listed(AXES)}, got {listed(unknown) or 'none'}")
    grown = check_points(points)
    return [Curve(axis, tuple(_along(axis, point) for point in grown)) for axis in AXES if axis in axes]


def width_under(points: tuple[float, ...] = POINTS) -> list[Curve]:
    """Figure 4: width under other depths and resolutions."""
    return [
        Curve(
            f"width at d={depth:g}, r={resolution:g}",
            tuple(Multipliers(depth, math.sqrt(point), resolution) for point in check_points(points)),
        )
        for depth, resolution in UNDER
    ]


def _along(axis: str, point: float) -> Multipliers:
    return Multipliers(**{axis: point if axis == "depth" else math.sqrt(point)})

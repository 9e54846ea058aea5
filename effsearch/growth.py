"""How a network grows: phi for a budget, what each axis costs, and curves along one axis (figures 3 and 4).

A point of a curve is a growth of FLOPs that the formula asks for, so that axes are compared at equal compute: p times
the layers, the square root of p times the channels or px.
"""

import math
from dataclasses import dataclass

from effsearch.architecture import Architecture
from effsearch.costs import cost
from effsearch.errors import QuantityError, listed
from effsearch.scaling import AS_PUBLISHED, Coefficients, Multipliers, Rounding, grow
from effsearch.text import format_count

MEASURED_AXES = (("depth", "layers", "layers"), ("width", "channels", "channels"), ("resolution", "resolution", "px"))
"""Each axis with the property of an architecture that it grows, and its unit."""

PHIS = (-100.0, 100.0)
PHI_TOLERANCE = 1e-6  # networks change in steps, so a finer phi would be no other network


def solve_phi(
    architecture: Architecture,
    coefficients: Coefficients,
    flops: float,
    rounding: Rounding = AS_PUBLISHED,
    classes: int = 1000,
) -> float:
    """The largest phi whose network has no more than `flops` FLOPs; raises QuantityError if none leads to them."""

    def fits(phi: float) -> bool:
        try:
            return cost(grow(architecture, coefficients.at(phi), rounding), classes=classes).flops <= flops
        except QuantityError:
            return phi < 0  # below the limits of the notation, or above them

    low, high = PHIS
    wanted = f"leads to {format_count(flops)} FLOPs with {coefficients}"
    if coefficients.product == 1 or fits(high):
        raise QuantityError(f"no phi up to {high:g} {wanted}")
    while high - low > PHI_TOLERANCE:
        middle = (low + high) / 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    try:
        grow(architecture, coefficients.at(low), rounding)
    except QuantityError:
        least = format_count(cost(grow(architecture, coefficients.at(high), rounding), classes=classes).flops)
        raise QuantityError(f"no phi {wanted}: the smallest network has {least}") from None
    return low


@dataclass(frozen=True)
class Axis:
    """One axis of a growth, grown alone.

    `asked` and `reached` are multipliers of all layers, of all channels or of px; `ideal` is the growth of FLOPs that
    the formula promises; `flops` and `params` are the growth of FLOPs and parameters.
    """

    name: str
    unit: str
    asked: float
    before: int
    after: int
    reached: float
    ideal: float
    flops: float
    params: float


def axes(
    architecture: Architecture, by: Multipliers, rounding: Rounding = AS_PUBLISHED, classes: int = 1000
) -> list[Axis]:
    """Depth, width and resolution, each grown alone."""
    base = cost(architecture, classes=classes)
    rows = []
    for name, size, unit in MEASURED_AXES:
        alone = Multipliers(**{name: getattr(by, name)})
        grown = grow(architecture, alone, rounding)
        total = cost(grown, classes=classes)
        before, after = getattr(architecture, size), getattr(grown, size)
        growth = after / before, alone.product, total.flops / base.flops, total.params / base.params
        rows.append(Axis(name, unit, getattr(by, name), before, after, *growth))
    return rows


def phi_of(by: Multipliers, coefficients: Coefficients) -> dict[str, float | None]:
    """The phi that each axis alone would need for its multiplier, or None where its coefficient is 1."""
    bases = zip(MEASURED_AXES, (coefficients.alpha, coefficients.beta, coefficients.gamma), strict=True)
    return {axis: math.log(getattr(by, axis), base) if base > 1 else None for (axis, _, _), base in bases}


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

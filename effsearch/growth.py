"""Growth for a budget, by solving for phi, and growth axis by axis: as the formula asks and after rounding."""

import math
from dataclasses import dataclass

from effsearch.architecture import Architecture
from effsearch.cost import cost
from effsearch.errors import QuantityError
from effsearch.scaling import AS_PUBLISHED, Coefficients, Multipliers, Rounding, grow
from effsearch.text import format_count

AXES = (("depth", "layers", "layers"), ("width", "channels", "channels"), ("resolution", "resolution", "px"))
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
    for name, size, unit in AXES:
        alone = Multipliers(**{name: getattr(by, name)})
        grown = grow(architecture, alone, rounding)
        total = cost(grown, classes=classes)
        before, after = getattr(architecture, size), getattr(grown, size)
        growth = after / before, alone.product, total.flops / base.flops, total.params / base.params
        rows.append(Axis(name, unit, getattr(by, name), before, after, *growth))
    return rows


def phi_of(by: Multipliers, coefficients: Coefficients) -> dict[str, float | None]:
    """The phi that each axis alone would need for its multiplier, or None where its coefficient is 1."""
    bases = zip(AXES, (coefficients.alpha, coefficients.beta, coefficients.gamma), strict=True)
    return {axis: math.log(getattr(by, axis), base) if base > 1 else None for (axis, _, _), base in bases}

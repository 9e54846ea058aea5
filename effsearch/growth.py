"""What growth costs: phi solved for a budget; axis by axis, what the formula asks and what rounding makes of it."""

import math
from dataclasses import dataclass

from effsearch.architecture import Architecture
from effsearch.cost import cost
from effsearch.errors import QuantityError
from effsearch.scaling import AS_PUBLISHED, Coefficients, Multipliers, Rounding, grow
from effsearch.text import format_count

PHIS = (-100.0, 100.0)
SOLVED_TO = 1e-6
"""Of phi: networks change in steps, so a finer one would tell nothing."""


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
            return phi < 0  # Too small, or too large, to be written.

    low, high = PHIS
    if coefficients.product == 1 or fits(high):
        raise QuantityError(f"no phi up to {high:g} leads to {format_count(flops)} FLOPs with {coefficients}")
    while high - low > SOLVED_TO:
        middle = (low + high) / 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    try:
        grow(architecture, coefficients.at(low), rounding)
    except QuantityError:
        least = format_count(cost(grow(architecture, coefficients.at(high), rounding), classes=classes).flops)
        raise QuantityError(
            f"no phi leads to {format_count(flops)} FLOPs with {coefficients}: the smallest network has {least}"
        ) from None
    return low


@dataclass(frozen=True)
class Axis:
    """One axis of a growth: the multiplier asked for and reached, and the growth of FLOPs and parameters.

    `asked` and `reached` are multipliers of layers, of channels (weighted by how many there are) or of px; `ideal` is
    the growth of FLOPs that the formula promises; `flops` and `params` are those of the network grown along it alone.
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
    alone = {
        "depth": Multipliers(depth=by.depth),
        "width": Multipliers(width=by.width),
        "resolution": Multipliers(resolution=by.resolution),
    }
    rows = []
    for name, multipliers in alone.items():
        grown = grow(architecture, multipliers, rounding)
        total = cost(grown, classes=classes)
        measured = {"depth": "layers", "width": "channels", "resolution": "resolution"}[name]
        before, after = getattr(architecture, measured), getattr(grown, measured)
        unit = "px" if name == "resolution" else measured
        rows.append(
            Axis(
                name,
                unit,
                getattr(by, name),
                before,
                after,
                after / before,
                multipliers.product,
                total.flops / base.flops,
                total.params / base.params,
            )
        )
    return rows


def phi_of(by: Multipliers, coefficients: Coefficients) -> dict[str, float | None]:
    """The phi that each axis alone would need for its multiplier, or None where its coefficient is 1."""
    pairs = {
        "depth": (by.depth, coefficients.alpha),
        "width": (by.width, coefficients.beta),
        "resolution": (by.resolution, coefficients.gamma),
    }
    return {axis: math.log(value) / math.log(base) if base > 1 else None for axis, (value, base) in pairs.items()}

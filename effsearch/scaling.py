"""How an architecture grows: alpha, beta, gamma and phi -> multipliers of depth, width and resolution -> a larger one.

    depth d = alpha^phi, width w = beta^phi, resolution r = gamma^phi, with alpha * beta^2 * gamma^2 ~ 2

(1905.11946, equation 3.) FLOPs grow with d * w^2 * r^2: by about 2^phi, as layers, channels and pixels are rounded.
"""

import math
from dataclasses import dataclass, replace
from typing import Literal, get_args

from effsearch.architecture import Architecture
from effsearch.costs import cost
from effsearch.errors import NotationError, QuantityError, listed
from effsearch.text import format_count

DepthRounding = Literal["ceil", "nearest"]
DEPTH_ROUNDINGS: tuple[DepthRounding, ...] = get_args(DepthRounding)

SLACK = 1e-9  # a product such as 1.1 * 10 counts as the whole number that it exceeds by no more than this


@dataclass(frozen=True, slots=True)
class Multipliers:
    """Multipliers of depth (layers), width (channels) and resolution (px); raises QuantityError unless above 0."""

    depth: float = 1.0
    width: float = 1.0
    resolution: float = 1.0

    def __post_init__(self) -> None:
        for axis, value in (("depth", self.depth), ("width", self.width), ("resolution", self.resolution)):
            if not 0 < value < math.inf:
                raise QuantityError(f"the multiplier of {axis} must be above 0, got {value!r}")

    @property
    def product(self) -> float:
        """d * w^2 * r^2: the growth of FLOPs that the formula asks for."""
        return self.depth * self.width**2 * self.resolution**2


@dataclass(frozen=True, slots=True, order=True)
class Coefficients:
    """alpha, beta, gamma: how depth, width and resolution grow from phi = 0 to 1; raises QuantityError below 1."""

    alpha: float
    beta: float
    gamma: float

    def __post_init__(self) -> None:
        for name, value in (("alpha", self.alpha), ("beta", self.beta), ("gamma", self.gamma)):
            if not 1 <= value <= 100:
                raise QuantityError(f"{name} must be from 1 to 100, got {value!r}")

    @property
    def product(self) -> float:
        """alpha * beta^2 * gamma^2: the growth of FLOPs from phi = 0 to 1 that the formula asks for."""
        return self.alpha * self.beta**2 * self.gamma**2

    def at(self, phi: float) -> Multipliers:
        """The multipliers at any real phi; below 0 they shrink. Raises QuantityError out of -100 to 100."""
        if not -100 <= phi <= 100:
            raise QuantityError(f"phi must be a number from -100 to 100, got {phi!r}")
        return Multipliers(self.alpha**phi, self.beta**phi, self.gamma**phi)

    def __str__(self) -> str:
        return f"alpha {self.alpha:.4g}, beta {self.beta:.4g}, gamma {self.gamma:.4g}"


PAPER = Coefficients(1.2, 1.1, 1.15)  # found for B0 by grid search (1905.11946, section 4)


@dataclass(frozen=True, slots=True)
class Rounding:
    """From multipliers to whole numbers; the defaults are those of the paper's code.

    Layers are rounded up (`ceil`) or to the nearest, channels to multiples of `divisor`, pixels to the nearest multiple
    of `multiple`. Raises QuantityError.
    """

    depth: DepthRounding = "ceil"
    divisor: int = 8
    multiple: int = 1

    def __post_init__(self) -> None:
        if self.depth not in DEPTH_ROUNDINGS:
            raise QuantityError(f"the rounding of depth must be one of {listed(DEPTH_ROUNDINGS)}, got {self.depth!r}")
        for name, value in (("width divisor", self.divisor), ("resolution multiple", self.multiple)):
            if not 1 <= value <= 1024:
                raise QuantityError(f"the {name} must be from 1 to 1024, got {value!r}")

    def layers(self, layers: int, depth: float) -> int:
        exact = layers * depth
        return max(1, math.ceil(exact - SLACK) if self.depth == "ceil" else math.floor(exact + 0.5 + SLACK))

    def channels(self, channels: int, width: float) -> int:
        return _same_direction(channels, width, round_channels(channels * width, self.divisor))

    def pixels(self, side: int, resolution: float) -> int:
        multiples = max(1, math.floor(side * resolution / self.multiple + 0.5 + SLACK))
        return _same_direction(side, resolution, multiples * self.multiple)


AS_PUBLISHED = Rounding()


def _same_direction(before: int, multiplier: float, rounded: int) -> int:
    """A rounded size that does not shrink where the multiplier grows it, nor grow where that shrinks it."""
    if multiplier == 1:
        return before
    return max(before, rounded) if multiplier > 1 else min(before, rounded)


def round_channels(channels: float, divisor: int = 8) -> int:
    """The nearest multiple of `divisor`, at least one and never below 90 % of `channels` (1801.04381)."""
    rounded = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * channels else rounded


def grow(architecture: Architecture, by: Multipliers, rounding: Rounding = AS_PUBLISHED) -> Architecture:
    """N(d, w, r): the layers of each stage times d, all channels times w, the input's side times r.

    Stem and head keep their one layer; of a lite network, see there, they stay as they are. Raises QuantityError where
    a network grows beyond the limits of the notation.
    """
    ends = 1.0 if architecture.lite else by.width
    try:
        stem = replace(architecture.stem, channels=rounding.channels(architecture.stem.channels, ends))
        grown = []
        for number, stage in enumerate(architecture.stages, 1):
            fixed = architecture.lite and number in (1, len(architecture.stages))
            layers = stage.layers if fixed else rounding.layers(stage.layers, by.depth)
            grown.append(replace(stage, layers=layers, channels=rounding.channels(stage.channels, by.width)))
        head = rounding.channels(architecture.head, ends) if architecture.head else 0
        side = rounding.pixels(architecture.resolution, by.resolution)
        return replace(architecture, stem=stem, stages=tuple(grown), head=head, resolution=side)
    except (NotationError, OverflowError) as error:
        asked = f"depth x {by.depth:.4g}, width x {by.width:.4g}, resolution x {by.resolution:.4g}"
        raise QuantityError(f"{asked} is too much: {error}") from None


def widen(architecture: Architecture, width: float, divisor: int = 8) -> Architecture:
    """All channels times `width`, of a lite network too, so that it becomes as much cheaper as others do."""
    wider = grow(replace(architecture, lite=False), Multipliers(width=width), Rounding(divisor=divisor))
    return replace(wider, lite=architecture.lite)


PHIS = (-100.0, 100.0)
PHI_TOLERANCE = 1e-6  # networks change in steps, so a finer phi would be no other network


def solve_phi(
    architecture: Architecture,
    coefficients: Coefficients,
    flops: float,
    rounding: Rounding = AS_PUBLISHED,
    classes: int = 1000,
) -> float:
    """The largest phi whose network has at most `flops` FLOPs; raises QuantityError if there is none."""

    def grown_flops(phi: float) -> int:
        return cost(grow(architecture, coefficients.at(phi), rounding), classes=classes).flops

    def fits(phi: float) -> bool:
        try:
            return grown_flops(phi) <= flops
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
        grown_flops(low)
    except QuantityError:
        least = format_count(grown_flops(high))
        raise QuantityError(f"no phi {wanted}: the smallest network has {least}") from None
    return low


@dataclass(frozen=True)
class Axis:
    """One axis grown alone: multipliers of its size, `asked` and `reached`, and the growth of FLOPs and parameters.

    `ideal` is the growth of FLOPs that the formula promises.
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


# For each axis the property of an architecture that it grows, and its unit.
SIZES = {"depth": ("layers", "layers"), "width": ("channels", "channels"), "resolution": ("resolution", "px")}
AXES = tuple(SIZES)


def axes(
    architecture: Architecture, by: Multipliers, rounding: Rounding = AS_PUBLISHED, classes: int = 1000
) -> list[Axis]:
    """Depth, width and resolution, each grown alone."""
    base = cost(architecture, classes=classes)
    rows = []
    for name, (size, unit) in SIZES.items():
        asked = getattr(by, name)
        alone = Multipliers(**{name: asked})
        grown = grow(architecture, alone, rounding)
        total = cost(grown, classes=classes)
        before, after = getattr(architecture, size), getattr(grown, size)
        growth = after / before, alone.product, total.flops / base.flops, total.params / base.params
        rows.append(Axis(name, unit, asked, before, after, *growth))
    return rows


def phi_of(by: Multipliers, coefficients: Coefficients) -> dict[str, float | None]:
    """The phi that each axis alone would need for its multiplier, or None where its coefficient is 1."""
    bases = zip(AXES, (coefficients.alpha, coefficients.beta, coefficients.gamma), strict=True)
    return {axis: math.log(getattr(by, axis), base) if base > 1 else None for axis, base in bases}


POINTS = (1.0, 2.0, 3.0, 4.0)
MOST_POINTS = 50
UNDER = ((1.0, 1.0), (1.0, 1.3), (2.0, 1.0), (2.0, 1.3))  # depth and resolution under which width grows in figure 4


@dataclass(frozen=True)
class Curve:
    """Networks that differ in one axis, by their multipliers.

    Axes are compared at equal FLOPs: for p times the FLOPs, p times the layers, or sqrt(p) times the channels or px.
    """

    name: str
    points: tuple[Multipliers, ...]


def check_points(points: tuple[float, ...]) -> tuple[float, ...]:
    """The points in order, with 1 among them; raises QuantityError."""
    if not points or any(not 1 <= point <= 100 for point in points) or len(points) > MOST_POINTS:
        allowed = f"1 to {MOST_POINTS} growths of FLOPs from 1 to 100 such as 1,2,4"
        raise QuantityError(f"points must be {allowed}; got {listed(points)}")
    return tuple(sorted({1.0, *points}))


def axis_curves(axes: tuple[str, ...], points: tuple[float, ...] = POINTS) -> list[Curve]:
    """Figure 3: a curve along each axis alone; raises QuantityError for an unknown axis."""
    unknown = [axis for axis in axes if axis not in AXES]
    if unknown or not axes:
        raise QuantityError(f"axes must be of {listed(AXES)}, got {listed(unknown) or 'none'}")
    grown = check_points(points)
    values = {axis: grown if axis == "depth" else tuple(map(math.sqrt, grown)) for axis in AXES if axis in axes}
    return [Curve(axis, tuple(Multipliers(**{axis: value}) for value in along)) for axis, along in values.items()]


def width_curves(points: tuple[float, ...] = POINTS) -> list[Curve]:
    """Figure 4: a curve along width at each of several fixed depths and resolutions."""
    grown = check_points(points)
    return [
        Curve(f"width at d={d:g}, r={r:g}", tuple(Multipliers(d, math.sqrt(point), r) for point in grown))
        for d, r in UNDER
    ]

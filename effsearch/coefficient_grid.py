"""The grid of alpha, beta and gamma, reduced to the distinct networks that it gives.

Rounding maps many triples to one network and changes its FLOPs: the 108 triples of a grid of 0.05 around a product of 2
give 65 networks of B0, of 1.9 to 3.3 times its FLOPs. So a grid may instead be held to the FLOPs themselves.
"""

import math
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal, get_args

from effsearch.architecture import RESOLUTIONS, Architecture
from effsearch.costs import Cost, cost
from effsearch.errors import QuantityError, listed
from effsearch.scaling import AS_PUBLISHED, PAPER, SLACK, Coefficients, Multipliers, Rounding, grow

Constraint = Literal["formula", "flops"]
CONSTRAINTS: tuple[Constraint, ...] = get_args(Constraint)
Role = Literal["candidate", "reference"]
Grown = tuple[Coefficients, Architecture]

MOST_TRIPLES = 10_000
FLOPS_TOLERANCE = 0.015  # how far from the target FLOPs, as a share of them, whole pixels may leave a network


@dataclass(frozen=True, slots=True)
class CoefficientGrid:
    """Which triples are tried.

    Each axis runs 1, 1 + step, ... to what would use up the target alone. Under `formula` all triples with
    |alpha * beta^2 * gamma^2 - target| <= tolerance are tried; under `flops` alpha and beta, with the gamma whose
    network has target^phi times the baseline's FLOPs. Networks are grown to `phi`. Raises QuantityError.
    """

    step: float = 0.05
    tolerance: float = 0.1
    target: float = 2.0
    phi: float = 1.0
    constraint: Constraint = "formula"
    rounding: Rounding = AS_PUBLISHED

    def __post_init__(self) -> None:
        if self.constraint not in CONSTRAINTS:
            raise QuantityError(f"the constraint must be one of {listed(CONSTRAINTS)}, got {self.constraint!r}")
        limits = {"step": (0.001, 10), "tolerance": (0, 100), "target": (1.01, 100), "phi": (0.01, 20)}
        for name, (low, high) in limits.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise QuantityError(f"the grid's {name} must be from {low:g} to {high:g}, got {value:g}")

    def values(self, most: float) -> list[float]:
        """1, 1 + step, ... up to `most`."""
        count = math.floor((most - 1) / self.step + SLACK) if most >= 1 else -1
        return [round(1 + index * self.step, 9) for index in range(count + 1)]


@dataclass(frozen=True)
class Cell:
    """One network of a grid, the triples that give it (the nearest to the target first), and its cost.

    A reference is trained for comparison alone. Its `name`, which a candidate that equals one has too, is baseline,
    paper, or the one axis that it is grown along.
    """

    architecture: Architecture
    triples: tuple[Coefficients, ...]
    role: Role
    name: str
    cost: Cost
    flops_ratio: float

    @property
    def coefficients(self) -> Coefficients:
        """The triple that stands for the network."""
        return self.triples[0]

    @property
    def source(self) -> str:
        """What it is in a table: candidate, a candidate with a name, or the name of a reference."""
        if self.role == "reference":
            return self.name
        return f"{self.role}, {self.name}" if self.name else self.role


def cells(baseline: Architecture, grid: CoefficientGrid, classes: int = 1000) -> list[Cell]:
    """The distinct networks of a grid, references first; raises QuantityError where there are none or too many."""
    found: dict[str, list[Grown]] = {}
    grown = _on_formula(baseline, grid) if grid.constraint == "formula" else _on_flops(baseline, grid, classes)
    for count, (triple, network) in enumerate(grown, 1):
        if count > MOST_TRIPLES:
            more = f"the grid has more than {MOST_TRIPLES:,} triples"
            raise QuantityError(f"{more}; take a larger step than {grid.step:g}")
        found.setdefault(network.key, []).append((triple, network))
    if not found:
        raise QuantityError(_nothing(grid))
    references: dict[str, tuple[str, Grown]] = {}
    for name, triple in _references(grid).items():
        network = grow(baseline, triple.at(grid.phi), grid.rounding)
        references.setdefault(network.key, (name, (triple, network)))
    flops = cost(baseline, classes=classes).flops

    def cell(group: list[Grown], role: Role, name: str) -> Cell:
        network = group[0][1]
        total = cost(network, classes=classes)
        triples = sorted((triple for triple, _ in group), key=lambda of: (abs(of.product - grid.target), of))
        return Cell(network, tuple(triples), role, name, total, total.flops / flops)

    alone = [cell([one], "reference", name) for key, (name, one) in references.items() if key not in found]
    names = {key: name for key, (name, _) in references.items()}
    return alone + [cell(group, "candidate", names.get(key, "")) for key, group in found.items()]


def _on_formula(baseline: Architecture, grid: CoefficientGrid) -> Iterator[Grown]:
    most, root = grid.target + grid.tolerance, math.sqrt(grid.target)
    for alpha in grid.values(grid.target):
        for beta in grid.values(min(root, math.sqrt(most / alpha))):
            for gamma in grid.values(min(root, math.sqrt(most / (alpha * beta**2)))):
                triple = Coefficients(alpha, beta, gamma)
                # Compared as floats, so that anyone who recounts the grid finds the same triples.
                if abs(triple.product - grid.target) <= grid.tolerance:
                    yield triple, grow(baseline, triple.at(grid.phi), grid.rounding)


def _on_flops(baseline: Architecture, grid: CoefficientGrid, classes: int) -> Iterator[Grown]:
    for alpha in grid.values(grid.target):
        for beta in grid.values(math.sqrt(grid.target)):
            if solved := solve_gamma(baseline, alpha, beta, grid, classes):
                yield solved


def solve_gamma(
    baseline: Architecture, alpha: float, beta: float, grid: CoefficientGrid, classes: int = 1000
) -> Grown | None:
    """The gamma that comes nearest to target^phi times the baseline's FLOPs, or None if none is near enough."""
    grown = grow(baseline, Multipliers(alpha**grid.phi, beta**grid.phi), grid.rounding)
    wanted = grid.target**grid.phi * cost(baseline, classes=classes).flops
    start, unit = baseline.resolution, grid.rounding.multiple

    def side(steps: int) -> int:
        """In px, after some steps: multiples of the unit above the start, or the start itself."""
        return start if steps == 0 else (start // unit + steps) * unit

    # FLOPs never fall with the side.
    enough = bisect_left(
        range((RESOLUTIONS[1] - start) // unit), wanted, key=lambda steps: cost(grown, side(steps), classes).flops
    )
    sides = {side(steps) for steps in (enough, max(0, enough - 1))}
    off, best = min((abs(cost(grown, each, classes).flops / wanted - 1), each) for each in sides)
    if off > FLOPS_TOLERANCE:
        return None
    return Coefficients(alpha, beta, (best / start) ** (1 / grid.phi)), replace(grown, resolution=best)


def _references(grid: CoefficientGrid) -> dict[str, Coefficients]:
    root = math.sqrt(grid.target)
    return {
        "baseline": Coefficients(1, 1, 1),
        "depth": Coefficients(grid.target, 1, 1),
        "width": Coefficients(1, root, 1),
        "resolution": Coefficients(1, 1, root),
        "paper": PAPER,
    }


def _nothing(grid: CoefficientGrid) -> str:
    if grid.constraint == "flops":
        return (
            f"no alpha and beta in steps of {grid.step:g} leaves a gamma >= 1 with {grid.target:g}^{grid.phi:g} times "
            f"the FLOPs within {FLOPS_TOLERANCE:.1%}; take a smaller step"
        )
    return (
        f"no alpha, beta, gamma in steps of {grid.step:g} has |alpha * beta^2 * gamma^2 - {grid.target:g}| <= "
        f"{grid.tolerance:g}; widen the tolerance or take a smaller step"
    )

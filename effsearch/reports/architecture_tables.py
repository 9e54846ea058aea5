"""Tables of architectures: their stages, what growth makes of them, a family, the networks of a grid."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from effsearch.architecture import Architecture
from effsearch.coefficient_grid import Cell
from effsearch.cost import CONVENTION, Cost, StageCost, cost
from effsearch.errors import QuantityError
from effsearch.growth import Axis
from effsearch.reports.text_table import TextTable
from effsearch.scaling import AS_PUBLISHED, Coefficients, Rounding, grow
from effsearch.text import format_count


def stage_table(rows: Sequence[StageCost], total: Cost) -> TextTable:
    """The stage table as table 1 of the paper has it, with costs."""
    cells: list[tuple[str, ...]] = [
        (
            str(index),
            row.operator,
            f"{row.resolution}x{row.resolution}",
            str(row.channels),
            str(row.layers),
            f"{row.cost.params:,}",
            f"{row.cost.flops:,}",
            f"{100 * row.cost.flops / total.flops:.1f}",
        )
        for index, row in enumerate(rows, 1)
    ]
    layers = sum(row.layers for row in rows)
    cells.append(("", "total", "", "", str(layers), f"{total.params:,}", f"{total.flops:,}", "100.0"))
    headings = ("#", "operator", "input", "channels", "layers", "params", "FLOPs", "%")
    return TextTable(headings, "rlrrrrrr", cells)


def stage_caption(architecture: Architecture, resolution: int, classes: int, total: Cost) -> str:
    """What the stage table's numbers are."""
    return (
        f"{format_count(total.flops)} FLOPs, {format_count(total.params)} parameters, "
        f"{format_count(total.activations)} activations\n"
        f"at {resolution} px and {classes} classes; non-linearity: {architecture.activation}\n"
        f"{CONVENTION}\n"
        "input: of a stage, px; %: of all FLOPs; activations: outputs of convolutions"
    )


def axes_table(rows: Sequence[Axis], product: float, flops: float, params: float) -> TextTable:
    """Axis by axis what the formula asks, what rounding makes of it, and what each costs; then all together."""
    cells = [
        (
            f"{row.name} ({row.unit})",
            f"{row.before:,}",
            f"x {row.asked:.3f}",
            f"{row.after:,}",
            f"x {row.reached:.3f}",
            f"x {row.ideal:.2f}",
            f"x {row.flops:.2f}",
            f"x {row.params:.2f}",
        )
        for row in rows
    ]
    cells.append(("all together", "", "", "", "", f"x {product:.2f}", f"x {flops:.2f}", f"x {params:.2f}"))
    return TextTable(("axis", "from", "asked", "to", "rounded", "ideal", "FLOPs", "params"), "lrrrrrrr", cells)


AXES_CAPTION = (
    "asked: the multiplier of the formula; rounded: what whole layers, channels and px make of it\n"
    "ideal: the growth of FLOPs that the formula promises (d, w^2, r^2); FLOPs, params: measured, each axis grown alone"
)


def family_table(
    baseline: Architecture,
    coefficients: Coefficients,
    phis: Sequence[float] = range(8),
    rounding: Rounding = AS_PUBLISHED,
    classes: int = 1000,
) -> TextTable:
    """The networks that a baseline grows into, phi by phi, as far as they can be written."""
    base, cells = cost(baseline, classes=classes), []
    for phi in phis:
        try:
            member = grow(baseline, coefficients.at(phi), rounding)
        except QuantityError:
            break
        total = cost(member, classes=classes)
        cells.append(
            (
                f"{phi:g}",
                f"{member.resolution} px",
                str(member.layers),
                format_count(total.params),
                format_count(total.flops),
                f"x {total.flops / base.flops:.2f}",
                f"x {coefficients.product**phi:.2f}",
            )
        )
    return TextTable(("phi", "input", "layers", "params", "FLOPs", "measured", "formula"), "rrrrrrr", cells)


def plan_table(cells: Sequence[Cell]) -> TextTable:
    """The networks of a grid before anything is trained."""
    rows = [
        (
            *(f"{value:.4g}" for value in (cell.coefficients.alpha, cell.coefficients.beta, cell.coefficients.gamma)),
            f"{cell.coefficients.product:.3f}",
            str(len(cell.triples)),
            str(cell.architecture.layers),
            str(cell.architecture.resolution),
            format_count(cell.cost.params),
            format_count(cell.cost.flops),
            f"{cell.flops_ratio:.2f}",
            cell.source,
        )
        for cell in cells
    ]
    headings = ("alpha", "beta", "gamma", "product", "n", "layers", "px", "params", "FLOPs", "F/F0", "")
    return TextTable(headings, "rrrrrrrrrrl", rows)


PLAN_CAPTION = (
    "product: alpha * beta^2 * gamma^2, the growth of FLOPs that the formula asks for\n"
    "F/F0: their measured growth; n: triples of the grid that are this network; px: input"
)


def cells_json(cells: Sequence[Cell]) -> str:
    """The same as a list of objects."""
    return json.dumps([_document(cell) for cell in cells], indent=2)


def _document(cell: Cell) -> dict[str, Any]:
    return {
        **asdict(cell.coefficients),
        "product": cell.coefficients.product,
        "role": cell.role,
        "name": cell.name,
        "triples": [[triple.alpha, triple.beta, triple.gamma] for triple in cell.triples],
        "notation": cell.architecture.notation,
        "key": cell.architecture.key,
        "resolution": cell.architecture.resolution,
        "flops": cell.cost.flops,
        "flops_ratio": cell.flops_ratio,
        "params": cell.cost.params,
    }

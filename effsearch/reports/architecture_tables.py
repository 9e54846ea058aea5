"""Tables of architectures: stages, growth, families and grids."""

import itertools
import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, astuple
from typing import Any

from effsearch.architecture import Architecture
from effsearch.coefficient_grid import Cell
from effsearch.costs import CONVENTION, Cost, StageCost, cost
from effsearch.errors import QuantityError
from effsearch.reports.text_table import Columns, TextTable, cell
from effsearch.scaling import AS_PUBLISHED, Axis, Coefficients, Rounding, grow
from effsearch.text import format_count


def stage_table(rows: Sequence[StageCost], total: Cost) -> TextTable:
    """The stages as in table 1 of the paper, with their costs and a line of totals."""
    numbers = itertools.count(1)
    columns: Columns[StageCost] = (
        ("#", "r", lambda row: str(next(numbers))),
        ("operator", "l", lambda row: row.operator),
        ("input", "r", lambda row: f"{row.resolution}x{row.resolution}"),
        ("channels", "r", lambda row: str(row.channels)),
        ("layers", "r", lambda row: str(row.layers)),
        ("params", "r", lambda row: f"{row.cost.params:,}"),
        ("FLOPs", "r", lambda row: f"{row.cost.flops:,}"),
        ("%", "r", lambda row: f"{100 * row.cost.flops / total.flops:.1f}"),
    )
    layers = sum(row.layers for row in rows)
    sums = ("", "total", "", "", str(layers), f"{total.params:,}", f"{total.flops:,}", "100.0")
    return TextTable.of(columns, rows, sums)


def stage_caption(architecture: Architecture, resolution: int, classes: int, total: Cost) -> str:
    return (
        f"{format_count(total.flops)} FLOPs, {format_count(total.params)} parameters, "
        f"{format_count(total.activations)} activations\n"
        f"at {resolution} px and {classes} classes; non-linearity: {architecture.activation}\n"
        f"{CONVENTION}\n"
        "input: of a stage, px; %: of all FLOPs; activations: outputs of convolutions"
    )


AXES_COLUMNS: Columns[Axis] = (
    ("axis", "l", lambda row: f"{row.name} ({row.unit})"),
    ("from", "r", lambda row: f"{row.before:,}"),
    ("asked", "r", lambda row: f"x {row.asked:.3f}"),
    ("to", "r", lambda row: f"{row.after:,}"),
    ("rounded", "r", lambda row: f"x {row.reached:.3f}"),
    ("ideal", "r", lambda row: f"x {row.ideal:.2f}"),
    ("FLOPs", "r", lambda row: f"x {row.flops:.2f}"),
    ("params", "r", lambda row: f"x {row.params:.2f}"),
)
AXES_CAPTION = (
    "asked: the multiplier of the formula; rounded: what whole layers, channels and px make of it\n"
    "ideal: the growth of FLOPs that the formula promises (d, w^2, r^2); FLOPs, params: measured, each axis grown alone"
)


def axes_table(rows: Sequence[Axis], product: float, flops: float, params: float) -> TextTable:
    """For each axis what the formula asks, what rounding makes of it and what it costs; then all three together."""
    together = ("all together", "", "", "", "", f"x {product:.2f}", f"x {flops:.2f}", f"x {params:.2f}")
    return TextTable.of(AXES_COLUMNS, rows, together)


LATENCY_COLUMNS: Columns[dict[str, Any]] = (
    ("network", "l", lambda row: row["name"]),
    ("px", "r", lambda row: str(row["resolution"])),
    ("median ms", "r", lambda row: f"{row['median_ms']:.1f}"),
    ("p90 ms", "r", lambda row: f"{row['p90_ms']:.1f}"),
    ("images/s", "r", lambda row: f"{row['images_per_second']:.1f}"),
    ("MiB", "r", lambda row: cell(row["memory_bytes"], ".0f", 2**-20)),
    ("FLOPs", "r", lambda row: format_count(row["flops"])),
    ("params", "r", lambda row: format_count(row["params"])),
    ("GFLOPs/s", "r", lambda row: f"{row['flops'] * row['images_per_second'] / 1e9:.1f}"),
)


def family_table(
    baseline: Architecture,
    coefficients: Coefficients,
    phis: Sequence[float] = range(8),
    rounding: Rounding = AS_PUBLISHED,
    classes: int = 1000,
) -> TextTable:
    """The networks that a baseline grows into, one line for each phi, up to the largest that a notation can hold."""
    base, members = cost(baseline, classes=classes).flops, []
    with suppress(QuantityError):
        for phi in phis:
            member = grow(baseline, coefficients.at(phi), rounding)
            members.append((phi, member, cost(member, classes=classes)))
    columns: Columns[tuple[float, Architecture, Cost]] = (
        ("phi", "r", lambda row: f"{row[0]:g}"),
        ("input", "r", lambda row: f"{row[1].resolution} px"),
        ("layers", "r", lambda row: str(row[1].layers)),
        ("params", "r", lambda row: format_count(row[2].params)),
        ("FLOPs", "r", lambda row: format_count(row[2].flops)),
        ("measured", "r", lambda row: f"x {row[2].flops / base:.2f}"),
        ("formula", "r", lambda row: f"x {coefficients.product ** row[0]:.2f}"),
    )
    return TextTable.of(columns, members)


PLAN_COLUMNS: Columns[Cell] = (
    ("alpha", "r", lambda cell: f"{cell.coefficients.alpha:.4g}"),
    ("beta", "r", lambda cell: f"{cell.coefficients.beta:.4g}"),
    ("gamma", "r", lambda cell: f"{cell.coefficients.gamma:.4g}"),
    ("product", "r", lambda cell: f"{cell.coefficients.product:.3f}"),
    ("n", "r", lambda cell: str(len(cell.triples))),
    ("layers", "r", lambda cell: str(cell.architecture.layers)),
    ("px", "r", lambda cell: str(cell.architecture.resolution)),
    ("params", "r", lambda cell: format_count(cell.cost.params)),
    ("FLOPs", "r", lambda cell: format_count(cell.cost.flops)),
    ("F/F0", "r", lambda cell: f"{cell.flops_ratio:.2f}"),
    ("", "l", lambda cell: cell.source),
)
PLAN_CAPTION = (
    "product: alpha * beta^2 * gamma^2, the growth of FLOPs that the formula asks for\n"
    "F/F0: their measured growth; n: triples of the grid that are this network; px: input"
)


def cells_json(cells: Sequence[Cell]) -> str:
    """The networks of a grid as a list of objects."""

    def document(cell: Cell) -> dict[str, Any]:
        about = {"role": cell.role, "name": cell.name, "triples": list(map(astuple, cell.triples))}
        network = {name: getattr(cell.architecture, name) for name in ("notation", "key", "resolution")}
        costs = {"flops": cell.cost.flops, "flops_ratio": cell.flops_ratio, "params": cell.cost.params}
        return asdict(cell.coefficients) | {"product": cell.coefficients.product} | about | network | costs

    return json.dumps(list(map(document, cells)), indent=2)

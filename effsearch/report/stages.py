"""The stage table of an architecture. Every number has its unit in its heading or in the caption."""

from collections.abc import Sequence

from effsearch.architecture import Architecture
from effsearch.cost import CONVENTION, Cost, StageCost
from effsearch.quantities import format_count
from effsearch.report.grid import Grid


def stage_grid(rows: Sequence[StageCost], total: Cost) -> Grid:
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
    return Grid(headings, "rlrrrrrr", cells)


def stage_caption(architecture: Architecture, resolution: int, classes: int, total: Cost) -> str:
    """What the stage table's numbers are."""
    return (
        f"{format_count(total.flops)} FLOPs, {format_count(total.params)} parameters, "
        f"{format_count(total.activations)} activations\n"
        f"at {resolution} px and {classes} classes; non-linearity: {architecture.activation}\n"
        f"{CONVENTION}\n"
        "input: of a stage, px; %: of all FLOPs; activations: outputs of convolutions"
    )

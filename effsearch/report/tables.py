"""Tables for the terminal and for Markdown. Every number has its unit in its heading or in the caption."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from rich import box
from rich.console import Console
from rich.table import Table

from effsearch.architecture import Architecture
from effsearch.cost import CONVENTION, Cost, StageCost
from effsearch.quantities import counted, format_count
from effsearch.runs.ranking import TIE, Row, measure_noise

NOTATION_FROM = 150
"""Columns of a terminal from which a table has room for notations."""


@dataclass(frozen=True)
class Grid:
    """A table as text: headings, their alignment (l or r) and cells."""

    headings: tuple[str, ...]
    align: str
    cells: Sequence[tuple[str, ...]]

    def markdown(self) -> str:
        """The table in Markdown."""
        rule = ["---:" if side == "r" else "---" for side in self.align]
        lines = [self.headings, tuple(rule), *self.cells]
        return "\n".join("| " + " | ".join(cell.replace("|", r"\|") for cell in line) + " |" for line in lines)

    def rich(self, title: str) -> Table:
        """The table for a terminal."""
        table = Table(
            title=title,
            title_justify="left",
            title_style="bold",
            box=box.SIMPLE_HEAD,
            show_edge=False,
            pad_edge=False,
            padding=0,
        )
        for heading, side in zip(self.headings, self.align, strict=True):
            fold = heading == "notation"
            justify: Literal["left", "right"] = "right" if side == "r" else "left"
            table.add_column(heading, justify=justify, no_wrap=not fold, overflow="fold")
        for line in self.cells:
            table.add_row(*line)
        return table


def ranking_grid(rows: Sequence[Row], notation: bool = True) -> Grid:
    """The ranked table: accuracies in %, their deviations in points."""
    headings = ("rank", "reward", "acc %", "sd (n)", "FLOPs", "F/T", "params", "epochs", "", "source", "key")
    cells = [_ranking_cells(row) + ((row.notation,) if notation else ()) for row in rows]
    return Grid(headings + (("notation",) if notation else ()), "rrrrrrrrlll" + ("l" if notation else ""), cells)


def _ranking_cells(row: Row) -> tuple[str, ...]:
    marks = ("*" if row.pareto else "") + ("=" if row.tie and row.rank != 1 else "")
    return (
        "" if row.rank is None else str(row.rank),
        row.state if row.reward is None else f"{row.reward:.4f}",
        "" if row.accuracy is None else f"{100 * row.accuracy:.1f}",
        "" if row.accuracy_sd is None else f"{100 * row.accuracy_sd:.1f} ({row.seeds})",
        format_count(row.flops),
        f"{row.flops_ratio:.2f}",
        format_count(row.params),
        "" if row.epochs is None else str(row.epochs),
        marks,
        row.source,
        row.key,
    )


def noise_line(rows: Sequence[Row]) -> str:
    """How far two seeds of one network are apart, as measured in this run."""
    noise = measure_noise(rows)
    if noise is None:
        return "noise: not measured, since no network was trained under two seeds; small differences mean nothing"
    points = 100 * noise.sd
    pair = TIE * 2**0.5 * points
    basis = f"pooled over {counted(noise.networks, 'network')}, {counted(noise.freedom, 'degree')} of freedom"
    return (
        f"noise: seed sd {points:.1f} points ({basis}); two networks of one seed each must differ by {pair:.1f} points "
        "to count"
    )


MARKS = f"* on the Pareto front of accuracy and FLOPs; = tied with rank 1 ({TIE:g} standard errors of the seeds)"


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


def console(wide: bool = True) -> Console:
    """Standard output; as wide as a notation where it is not a terminal, so that lines can be searched."""
    plain = Console(highlight=False, soft_wrap=False)
    return plain if plain.is_terminal or not wide else Console(highlight=False, width=400)

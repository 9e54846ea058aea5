"""A table as text, for the terminal and for Markdown."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from effsearch.text import sanitize

NOTATION_FROM = 150
"""Columns of a terminal from which a table has room for notations."""


@dataclass(frozen=True)
class TextTable:
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


class Plain(Console):
    """Shows text as it is: a run may be a stranger's, so nothing in it is markup, or a terminal's command."""

    def __init__(self, **options: Any) -> None:
        super().__init__(highlight=False, markup=False, emoji=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        """The text with a style."""
        return super().render_str("\n".join(map(sanitize, text.split("\n"))), **options)


def console(wide: bool = True) -> Console:
    """Standard output; as wide as a notation where it is not a terminal, so that lines can be searched."""
    plain = Plain(soft_wrap=False)
    return plain if plain.is_terminal or not wide else Plain(width=400)

"""A table as text, for the terminal and for Markdown."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from effsearch.text import sanitize

WRAPPED = ("notation", "image", "then")  # headings of columns whose cells may take several lines
NOTATION_FROM = 150  # columns of a terminal from which a table has room for notations

T = TypeVar("T")
# Columns of a table of T: the heading, the alignment (left or right), and the text of a cell.
Columns = Sequence[tuple[str, Literal["l", "r"], Callable[[T], str]]]


def cell(value: float | None, form: str = "", factor: float = 1) -> str:
    """A number times a factor, in a format; empty where it is not known."""
    return "" if value is None else format(factor * value, form)


@dataclass(frozen=True)
class TextTable:
    """A table as text: headings, their alignment (l or r) and cells."""

    headings: tuple[str, ...]
    align: str
    cells: Sequence[tuple[str, ...]]

    @classmethod
    def of(cls, columns: Columns[T], rows: Iterable[T], *more: tuple[str, ...]) -> "TextTable":
        """One line for each row, then lines that are cells already, such as totals."""
        headings, align, texts = zip(*columns, strict=True)
        return cls(headings, "".join(align), [*(tuple(text(row) for text in texts) for row in rows), *more])

    def markdown(self) -> str:
        lines = [self.headings, ["---:" if side == "r" else "---" for side in self.align], *self.cells]
        return "\n".join("| " + " | ".join(cell.replace("|", r"\|") for cell in line) + " |" for line in lines)

    def rich(self, title: str) -> Table:
        style: dict[str, Any] = {"title_justify": "left", "title_style": "bold", "box": box.SIMPLE_HEAD}
        table = Table(title=title, show_edge=False, pad_edge=False, padding=0, **style)
        for heading, side in zip(self.headings, self.align, strict=True):
            justify: Literal["left", "right"] = "right" if side == "r" else "left"
            table.add_column(heading, justify=justify, no_wrap=heading not in WRAPPED, overflow="fold")
        for line in self.cells:
            table.add_row(*line)
        return table


class Plain(Console):
    """Shows text as it is: a run may be a stranger's, so nothing in it is markup, or a terminal's command."""

    def __init__(self, **options: Any) -> None:
        super().__init__(highlight=False, markup=False, emoji=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        """The text in a style, with a question mark for each control character."""
        return super().render_str("\n".join(map(sanitize, text.split("\n"))), **options)

    def print_dim(self, lines: Iterable[str]) -> None:
        """Prints captions, each on its own line."""
        for line in lines:
            self.print(line, style="dim")


def console(wide: bool = True, error: bool = False) -> Plain:
    """Standard output, as wide as a notation where it is no terminal, so that lines can be searched; or errors'."""
    plain = Plain(soft_wrap=False, stderr=error)
    return plain if plain.is_terminal or not wide else Plain(width=400, stderr=error)


def print_table(
    table: TextTable, title: str, captions: Iterable[str], markdown: bool, notation: str = "", wide: bool = False
) -> None:
    """Prints a table with its captions, in Markdown or with a title, and the notation of the network it is about.

    With `wide` its lines are not folded where the output is no terminal.
    """
    if markdown:
        parts = (table.markdown(), "\n".join(captions), f"`{notation}`" if notation else "")
        print("\n\n".join(filter(None, parts)))
        return
    out = console(wide)
    out.print(table.rich(title))
    for caption in captions:
        out.print(caption)
    if notation:
        out.print(notation, style="dim", soft_wrap=True)

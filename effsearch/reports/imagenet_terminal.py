"""The paper's figure 1 as characters: a digit for each EfficientNet, a letter for each other network."""

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from string import ascii_lowercase, ascii_uppercase, digits

from rich.console import Console
from rich.text import Text

from effsearch.reports.figures import Chart, numbers
from effsearch.reports.imagenet_charts import OTHERS, OURS
from effsearch.reports.terminal_plot import HEIGHT, WIDTH, Layer, draw
from effsearch.reports.text_table import console

LINE = "·"
HARD_SPACE = "\xa0"  # between a mark and its name, which stay in one line
Marks = Mapping[str, Mapping[str, str]]  # the character of each label, by the name of the series


def print_imagenet(charts: Sequence[Chart]) -> None:
    """The charts one below the other, as many as the window is high enough for, and what the characters stand for."""
    out, marks = console(wide=False), _marks(charts)
    width, room = min(out.width, WIDTH), _room(out, len(charts))
    for chart in charts[:room]:
        for line in _lines(chart, marks, width):
            out.print(line)
        out.print()
    for name, of_labels in marks.items():
        key = "  ".join(f"{mark}{HARD_SPACE}{label.replace(' ', HARD_SPACE)}" for label, mark in of_labels.items())
        for part in textwrap.wrap(f"{name}: {key}", width, break_on_hyphens=False):
            out.print(part.replace(HARD_SPACE, " "))
    left = [f"{chart.title}: in a higher window, or by --plot FILE" for chart in charts[room:]]
    out.print_dim([*charts[0].caption.split("\n"), *left])


def _room(out: Console, panels: int) -> int:
    """How many panels, with their labels and the line between them, a window has lines for; at least one."""
    return min(panels, max(1, out.height // (HEIGHT + 3))) if out.is_terminal else panels


def _marks(charts: Sequence[Chart]) -> Marks:
    """The character of each network, the same in all charts."""
    labels: dict[str, dict[str, None]] = {}
    for series in (series for chart in charts for series in chart.series):
        labels.setdefault(series.name, {}).update(dict.fromkeys(series.labels))
    alphabets, own = {OTHERS: iter(ascii_lowercase), OURS: iter(digits)}, iter(ascii_uppercase)
    return {name: {label: next(alphabets.get(name, own)) for label in of} for name, of in labels.items()}


def _lines(chart: Chart, marks: Marks, width: int) -> Iterator[Text]:
    """A chart with the labels of its axes, and the names of those that lie under others."""
    layers = [
        Layer(numbers(series.x), numbers(series.y), [marks[series.name][label] for label in series.labels], line)
        for series in chart.series
        for line in [LINE if series.line else ""]
    ]
    picture = draw(layers, width, chart.log)
    # Letters are seen in a picture if they are in it; a digit may be that of an axis, but its series hides others.
    letters = [(mark, label) for of_labels in marks.values() for label, mark in of_labels.items() if mark.isalpha()]
    there = {mark for layer in layers for mark in layer.marks}
    hidden = [label for mark, label in letters if mark in there and mark not in picture.plain]
    picture.highlight_regex(LINE, "red")
    picture.highlight_regex("[A-Z]", "magenta")
    yield Text(chart.y)
    yield picture
    yield Text(chart.x)
    if hidden:
        yield Text(f"under others: {', '.join(hidden)}")

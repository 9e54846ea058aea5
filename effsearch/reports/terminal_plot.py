"""Points as characters, for a terminal or a file of text, and the Pareto front so drawn."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import plotext
from matplotlib.ticker import LogLocator, MaxNLocator
from rich.text import Text

from effsearch.reports.figures import finished, measures, numbers, pareto_chart
from effsearch.reports.text_table import console
from effsearch.runs.folder import Run
from effsearch.runs.ranking import Row

WIDTH, HEIGHT = 100, 22  # columns, as far as the window has them, and lines
MARGIN = 0.04  # of the range of the data, on either side
TICKS, LOG_TICKS = MaxNLocator(8, steps=[1, 2, 2.5, 5, 10]), LogLocator(subs=(1, 2, 5))
# Characters and colours of the marks of a series, from the lowest layer up.
MARKS = {"circle-open": ("·", "blue"), "circle": ("·", "blue"), "diamond": ("o", "red")}
MARKS |= {"square": ("#", "green"), "star": ("@", "magenta")}


class Layer(NamedTuple):
    """Points with a character each, and the character of a line through them, empty for none."""

    x: Sequence[float]
    y: Sequence[float]
    marks: Sequence[str]
    line: str = ""


def draw(layers: Sequence[Layer], width: int, log: bool = False) -> Text:
    """The layers from the lowest up between axes, HEIGHT lines of `width` columns; `log` is of the horizontal axis."""
    figure = plotext.figure
    figure.clear()
    figure.theme("colorless")
    figure.plot_size(width, HEIGHT)
    if log:
        layers = [layer._replace(x=[math.log10(value) for value in layer.x]) for layer in layers]
    for layer in layers:
        if layer.line:
            figure.draw(figure.signal(list(layer.x), list(layer.y), marker=layer.line).lines())
        figure.draw(figure.signal(list(layer.x), list(layer.y), marker=list(layer.marks)))
    _rule("x", [value for layer in layers for value in layer.x], log)
    _rule("y", [value for layer in layers for value in layer.y])
    picture = Text(figure.build().string(colorless=True).rstrip())
    figure.clear()
    return picture


def _rule(axis: str, values: Sequence[float], log: bool = False) -> None:
    """Sets the limits and the ticks of an axis, on which with `log` are decimal logarithms."""
    margin = MARGIN * (max(values) - min(values)) or 1.0
    low, high = min(values) - margin, max(values) + margin
    shown = LOG_TICKS.tick_values(10**low, 10**high) if log else TICKS.tick_values(low, high)
    ticks = {math.log10(tick) if log else float(tick): f"{tick:g}" for tick in shown}
    ticks = {place: text for place, text in ticks.items() if low <= place <= high}
    # With ticks of one's own plotext loses the limits of the data.
    plotext.figure.ruler(axis).lim(low, high)
    plotext.figure.ruler(axis).ticks(list(ticks), list(ticks.values()))


def print_front(run: Run, rows: Sequence[Row]) -> None:
    """Accuracy against cost with the Pareto front, in colours in a terminal; raises RunError where there is none."""
    done, out, manifest = finished(run, rows), console(wide=False), run.manifest()
    aim = manifest.score.measure
    chart = pareto_chart(manifest, done, aim if aim in measures(done) else "flops")
    drawn = sorted((series for series in chart.series if series.x), key=lambda series: [*MARKS].index(series.mark))
    layers = [Layer(numbers(series.x), numbers(series.y), [MARKS[series.mark][0]] * len(series.x)) for series in drawn]
    picture = draw(layers, min(out.width, WIDTH))
    names = {MARKS[series.mark][0]: series.name for series in chart.series}
    key = Text("   ".join(f"{mark} {names[mark]}" for mark in dict.fromkeys(MARKS[s.mark][0] for s in drawn)))
    for mark, tone in MARKS.values():
        for text in (picture, key):
            text.highlight_regex(rf"(?<![a-z]){mark}(?![a-z])", tone)
    for line in (Text(chart.y), picture, Text(chart.x), key):
        out.print(line)

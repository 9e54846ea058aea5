"""The Pareto front as characters, for a terminal or a file of text."""

from collections.abc import Sequence

import plotext
from matplotlib.ticker import MaxNLocator
from rich.text import Text

from effsearch.reports.figures import finished, measures, pareto_chart
from effsearch.reports.text_table import console
from effsearch.runs.folder import Run
from effsearch.runs.ranking import Row

WIDTH, HEIGHT = 100, 22  # columns, as far as the window has them, and lines
MARGIN = 0.04  # of the range of the data, on either side
TICKS = MaxNLocator(8, steps=[1, 2, 2.5, 5, 10])
# Characters and colours of the marks of a series, from the lowest layer up.
MARKS = {"circle-open": ("·", "blue"), "circle": ("·", "blue"), "diamond": ("o", "red")}
MARKS |= {"square": ("#", "green"), "star": ("@", "magenta")}


def print_front(run: Run, rows: Sequence[Row]) -> None:
    """Accuracy against cost with the Pareto front, in colours in a terminal; raises RunError where there is none."""
    done, out, manifest = finished(run, rows), console(wide=False), run.manifest()
    aim = manifest.score.measure
    chart = pareto_chart(manifest, done, aim if aim in measures(done) else "flops")
    drawn = sorted((series for series in chart.series if series.x), key=lambda series: [*MARKS].index(series.mark))
    figure = plotext.figure
    figure.clear()
    figure.theme("colorless")
    figure.plot_size(min(out.width, WIDTH), HEIGHT)
    for series in drawn:
        figure.draw(figure.signal(list(series.x), list(series.y), marker=MARKS[series.mark][0]))
    for axis in ("x", "y"):
        values = [value for series in drawn for value in getattr(series, axis)]
        margin = MARGIN * (max(values) - min(values)) or 1.0
        low, high = min(values) - margin, max(values) + margin
        ticks = [float(tick) for tick in TICKS.tick_values(low, high) if low <= tick <= high]
        # With ticks of one's own plotext loses the limits of the data.
        figure.ruler(axis).lim(low, high)
        figure.ruler(axis).ticks(ticks, [f"{tick:g}" for tick in ticks])
    picture = Text(figure.build().string(colorless=True).rstrip())
    figure.clear()
    names = {MARKS[series.mark][0]: series.name for series in chart.series}
    key = Text("   ".join(f"{mark} {names[mark]}" for mark in dict.fromkeys(MARKS[s.mark][0] for s in drawn)))
    for mark, tone in MARKS.values():
        for text in (picture, key):
            text.highlight_regex(rf"(?<![a-z]){mark}(?![a-z])", tone)
    for line in (Text(chart.y), picture, Text(chart.x), key):
        out.print(line)

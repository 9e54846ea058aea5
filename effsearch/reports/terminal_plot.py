"""The Pareto front as characters, for a terminal or a file of text."""

from collections.abc import Sequence

import plotext
from matplotlib.ticker import MaxNLocator
from rich.text import Text

from effsearch.reports.scatter import REFERENCES, Scatter, accuracy_label, axis_of, finished, measures, scatter
from effsearch.reports.text_table import console
from effsearch.runs.folder import Run
from effsearch.runs.ranking import Row

WIDTH, HEIGHT = 100, 22
"""Columns, as far as the window has them, and lines."""

MARGIN = 0.04
"""Of the range of the data, on either side."""

TICKS = MaxNLocator(8, steps=[1, 2, 2.5, 5, 10])
COLOURS = {"·": "blue", "o": "red", "#": "green", "@": "magenta"}


def print_front(run: Run, rows: Sequence[Row]) -> None:
    """Accuracy against cost with the Pareto front, in colours in a terminal; raises RunError where there is none."""
    done, out = finished(run, rows), console(wide=False)
    aim = run.manifest().score.measure
    measure = aim if aim in measures(done) else "flops"
    shown = scatter(done, measure)
    scale, label = axis_of(done, measure)

    def across(rows: Sequence[Row]) -> list[float]:
        return [getattr(row, measure) / scale for row in rows]

    groups = [(mark, name, rows) for mark, name, rows in _groups(shown) if rows]
    figure = plotext.figure
    figure.clear()
    figure.theme("colorless")
    figure.plot_size(min(out.width, WIDTH), HEIGHT)
    for mark, _, rows in groups:
        figure.draw(figure.signal(across(rows), [_percent(row) for row in rows], marker=mark))
    for axis, values in (("x", across(done)), ("y", [_percent(row) for row in done])):
        margin = MARGIN * (max(values) - min(values)) or 1.0
        low, high = min(values) - margin, max(values) + margin
        ticks = [float(tick) for tick in TICKS.tick_values(low, high) if low <= tick <= high]
        # With ticks of one's own plotext loses the limits of the data.
        figure.ruler(axis).lim(low, high)
        figure.ruler(axis).ticks(ticks, [f"{tick:g}" for tick in ticks])
    picture = Text(figure.build().string(colorless=True).rstrip())
    figure.clear()
    key = Text("   ".join(f"{mark} {name}" for mark, name, _ in groups))
    for mark, tone in COLOURS.items():
        for text in (picture, key):
            text.highlight_regex(rf"(?<![a-z]){mark}(?![a-z])", tone)
    out.print(Text(accuracy_label(run.manifest())))
    out.print(picture)
    out.print(Text(label))
    out.print(key)


def _groups(shown: Scatter) -> list[tuple[str, str, list[Row]]]:
    """Marks with what they stand for; what is later hides what is under it."""
    reference = [] if shown.reference is None else [shown.reference]
    name = "".join(REFERENCES[row.source] for row in reference)
    return [
        ("·", "networks", [*shown.shorter, *shown.others]),
        ("o", "Pareto front", shown.front),
        ("#", name, reference),
        ("@", "rank 1", [shown.first]),
    ]


def _percent(row: Row) -> float:
    return 100 * (row.accuracy or 0.0)

"""The picture of the paper's figure 1 with names at its points, light or dark."""

import math
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import matplotlib
from matplotlib.figure import Figure

from effsearch.reports.compressed_axis import TIMES, compress
from effsearch.reports.figures import DARK, LIGHT, Chart, numbers
from effsearch.reports.imagenet_charts import OTHERS, OURS
from effsearch.reports.label_placement import write_names
from effsearch.reports.pictures import DPI, POINTS, SMALL, draw

PANEL = (5.2, 4.8)  # inches
CAPTION_WIDTH = 160  # characters of a line under two panels
COMPRESSED = f"shaded: accuracies below {{}} % and above {{}} % have {TIMES} times less room"
MARGIN = 0.1  # of the range of the data, on either side, where names have room


class Theme(NamedTuple):
    """The colours of a picture: a palette for series, and matplotlib's settings of all else."""

    palette: Mapping[str, str]
    settings: Mapping[Any, Any]


# The ground is filled, so that a picture can be read on any page; these are the page's own colours.
_BACK, _TEXT, _SOFT = "#191f26", "#e4e9ef", "#9aa5b1"
_ON_DARK = dict.fromkeys(("figure.facecolor", "axes.facecolor"), _BACK)
_ON_DARK |= dict.fromkeys(("text.color", "axes.labelcolor"), _TEXT)
_ON_DARK |= dict.fromkeys(("axes.edgecolor", "xtick.color", "ytick.color", "grid.color"), _SOFT)
THEMES = {"light": Theme(LIGHT, {}), "dark": Theme(DARK, _ON_DARK)}


def imagenet_picture(charts: Sequence[Chart], theme: str = "light") -> tuple[Figure, list[str]]:
    """The charts beside one another with their caption, and the names of points that found no room."""
    palette, settings = THEMES[theme]
    with matplotlib.rc_context(dict(settings)):
        figure = draw(charts, PANEL, palette=palette)
        figure.set_dpi(DPI)
        detail = _detail(charts)
        captions = [*charts[0].caption.split("\n"), *([] if detail is None else [COMPRESSED.format(*detail)])]
        lines = [part for caption in captions for part in textwrap.wrap(caption, CAPTION_WIDTH)]
        figure.supxlabel("\n".join(lines), x=0.01, ha="left", fontsize=SMALL - 1, parse_math=False)
        for axes in figure.axes:
            axes.margins(MARGIN)
            if detail is not None:
                compress(axes, *detail)
        figure.draw_without_rendering()
        figure.set_layout_engine("none")  # From here on names stay where they are put.
        left = [name for axes, chart in zip(figure.axes, charts, strict=True) for name in _name_points(axes, chart)]
        figure.draw_without_rendering()  # Ticks take their colours when they are first drawn.
    return figure, list(dict.fromkeys(left))


def _detail(charts: Sequence[Chart]) -> tuple[int, int] | None:
    """From where to where (in %) the points of the paper are, if own ones are far from them."""
    everywhere = [value for chart in charts for series in chart.series for value in numbers(series.y)]
    papers = [value for series in charts[0].series if series.name in (OTHERS, OURS) for value in numbers(series.y)]
    low, high = 2 * math.floor(min(papers) / 2 - 0.5), 2 * math.ceil(max(papers) / 2 + 0.5)
    return None if low <= min(everywhere) and max(everywhere) <= high else (low, high)


def _name_points(axes: Any, chart: Chart) -> list[str]:
    """Writes the labels of a chart, the uppermost series first; returns those without room."""
    upper = chart.series[::-1]
    points = [
        (x, y, name, POINTS * series.size / 2)
        for series in upper
        for x, y, name in zip(numbers(series.x), numbers(series.y), series.labels, strict=True)
    ]
    lines = [list(zip(numbers(series.x), numbers(series.y), strict=True)) for series in upper if series.line]
    return write_names(axes, points, lines, fontsize=SMALL - 1)

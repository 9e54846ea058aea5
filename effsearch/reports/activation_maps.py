"""Class activation maps side by side: a row an image, a column a network, as in figure 7 of 1905.11946."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from effsearch.data.imageset import Pixels
from effsearch.evaluation.scores import Floats
from effsearch.reports.figures import LIGHT
from effsearch.reports.pictures import SMALL
from effsearch.text import sanitize

CELL = 1.75  # inches of an image
LETTERS = 28  # of a text beside an image
OPAQUE = 0.55  # of a heat map over the image, which is grey under it
SCALE = (
    "what a place adds to the logit of the class above it, as a share of the map's maximum\n"
    "(0: nothing, or it speaks against the class)"
)
CAPTION = (
    "class activation maps (1512.04150), exact for these networks: the mean of a map and the bias of its class make "
    "the logit; bilinear from the last features, one colour scale for all, each map relative to its own maximum"
)


@dataclass(frozen=True, eq=False)
class Panel:
    """The map of one image by one network, from 0 to 1 (S, S), of a class; `wrong` where it is not the true class."""

    name: str
    probability: float
    heat: Floats
    wrong: bool = False


@dataclass(frozen=True, eq=False)
class MapRow:
    """An image with its true class (empty if not known), its pixels (S, S, 3), and a panel a network."""

    image: str
    label: str
    pixels: Pixels
    panels: Sequence[Panel]


def draw_maps(networks: Sequence[str], rows: Sequence[MapRow]) -> Figure:
    """The images, and beside each its map by each of the networks, under the class and its probability."""
    size = (CELL * (1 + len(networks)) + 0.4, (CELL + 0.35) * len(rows) + 0.9)
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(len(rows), 1 + len(networks), squeeze=False)
    shown: Any = None
    for line, row in zip(grid, rows, strict=True):
        _image(line[0], row)
        for axes, panel in zip(line[1:], row.panels, strict=True):
            shown = _panel(axes, row, panel)
    for axes, name in zip(grid[0], ("image", *networks), strict=True):
        above = {"xytext": (0, 27), "textcoords": "offset points", "ha": "center", "va": "bottom"}
        title = axes.annotate(sanitize(name), (0.5, 1), xycoords="axes fraction", fontsize=SMALL + 1, **above)
        title.set(parse_math=False, fontweight="bold")
    bar = figure.colorbar(shown, ax=grid, location="bottom", fraction=0.03, aspect=40, shrink=0.8)
    bar.set_label(SCALE, fontsize=SMALL - 1)
    bar.ax.tick_params(labelsize=SMALL - 1)
    return figure


def _image(axes: Any, row: MapRow) -> None:
    axes.imshow(row.pixels)
    _bare(axes, row.label or " ")
    axes.set_ylabel(_short("/".join(Path(row.image).parts[-2:]), end=True), fontsize=SMALL - 2, parse_math=False)


def _panel(axes: Any, row: MapRow, panel: Panel) -> Any:
    axes.imshow(row.pixels.mean(2), cmap="gray", vmin=0, vmax=255)
    shown = axes.imshow(panel.heat, cmap="turbo", vmin=0, vmax=1, alpha=OPAQUE)
    mark = " ✗" if panel.wrong else ""
    _bare(axes, f"{panel.name}{mark}\n{100 * panel.probability:.1f} %", LIGHT["vermillion"] if panel.wrong else "black")
    return shown


def _bare(axes: Any, title: str, colour: str = "black") -> None:
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    # A name may have a dollar, with which mathematics would begin.
    text = "\n".join(_short(line) for line in title.split("\n"))
    axes.set_title(text, fontsize=SMALL - 1, color=colour, parse_math=False, pad=3)


def _short(text: str, end: bool = False) -> str:
    """The text without control characters; of one that is too long for a cell the beginning, or the end."""
    clean = sanitize(text)
    if len(clean) <= LETTERS:
        return clean
    return f"…{clean[1 - LETTERS :]}" if end else f"{clean[: LETTERS - 1]}…"

"""Names beside the points of a picture, none of them on another, on a mark or a line, or outside the axes."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Boxes = npt.NDArray[np.float64]
"""Rectangles in px, of shape (n, 4) or one (4,): left, bottom, right, top."""
Points = npt.NDArray[np.float64]
"""Places in px, of shape (n, 2) or one (2,)."""

# Where a name is tried, in degrees from the right of its point, and how far from its mark, in points.
ANGLES = (0, -45, 45, 180, 135, -135, 90, -90, *np.arange(-168.75, 180, 22.5))
DISTANCES = (2, 5, 9, 14, 20, 27, 35, 44, 54, 65, 77, 90, 104, 120, 140, 160)
LEADER_FROM = 9  # points, from which a line leads from the name to its point
CROSSING = 60  # points that a name stands farther away rather than that its leader crosses a line of the chart
MARGIN = 1.5  # points around a name
STEP = 3.0  # px between the places of a line that are kept free
TRIES = 24


class Spot(NamedTuple):
    """A point and the size of its name, both in px, with the radius of its mark."""

    x: float
    y: float
    width: float
    height: float
    radius: float


class Place(NamedTuple):
    """Where a name stands: its middle in px, and where its leader ends, if it has one."""

    x: float
    y: float
    leader: tuple[float, float] | None


@dataclass(frozen=True)
class _Choice:
    """A place for a name; `parts` are the box around it and small ones on its leader."""

    place: Place
    parts: Boxes


def arrange(spots: Sequence[Spot], lines: Sequence[Points], frame: Boxes, point: float) -> list[Place | None]:
    """A place within the frame for the name of each spot, None where there is no room, names that come first nearest.

    `lines` are kept free, as the points of each, in px of shape (n, 2); `point` is the px of a point. Each name takes
    the nearest place that is left; those that find none go first in the next try, and the try with most names counts.
    """
    marks = np.array([_around(spot) for spot in spots])
    drawn = np.vstack([np.empty((0, 4)), *(_along(*ends) for line in lines for ends in pairwise(line))])
    choices = [_choices(spot, marks, drawn, frame, point) for spot in spots]
    order = list(range(len(spots)))
    best: list[Place | None] = [None] * len(spots)
    for _ in range(TRIES):
        found = _greedy(choices, order)
        if found.count(None) < best.count(None):
            best = found
        left = [index for index in order if found[index] is None]
        if not left:
            break
        order = left + [index for index in order if found[index] is not None]
    return best


def _greedy(choices: Sequence[Sequence[_Choice]], order: Sequence[int]) -> list[Place | None]:
    """For each spot, in this order, the first of its choices that no name or leader before it is in the way of."""
    places: list[Place | None] = [None] * len(choices)
    taken = np.empty((0, 4))
    for index in order:
        for choice in choices[index]:
            if not _overlap(choice.parts, taken).any():
                places[index], taken = choice.place, np.vstack([taken, choice.parts])
                break
    return places


def _choices(spot: Spot, marks: Boxes, lines: Boxes, frame: Boxes, point: float) -> list[_Choice]:
    """The places for a name that are within the frame and cover no mark and no line, the best first."""
    boxes, distances = _around_spot(spot, point)
    inside = (boxes[:, :2] >= frame[:2]).all(axis=1) & (boxes[:, 2:] <= frame[2:]).all(axis=1)
    free = inside & ~_overlap(boxes, np.vstack([marks, lines]))
    # Where marks lie on one another, a leader has to begin on one of them.
    others = marks[~_overlap(marks, np.array([_around(spot)]))]
    found = []
    for box, distance in zip(boxes[free], distances[free], strict=True):
        end = np.clip((spot.x, spot.y), box[:2], box[2:])
        leader = _along(np.array([spot.x, spot.y]), end)[1:-1] if distance >= LEADER_FROM else np.empty((0, 4))
        if not _overlap(leader, others).any():
            effort = distance + CROSSING * _overlap(leader, lines).any()
            x, y = (box[:2] + box[2:]) / 2
            place = Place(x, y, (end[0], end[1]) if len(leader) else None)
            found.append((effort, _Choice(place, np.vstack([box, leader]))))
    return [choice for _, choice in sorted(found, key=lambda pair: pair[0])]


def _around_spot(spot: Spot, point: float) -> tuple[Boxes, Boxes]:
    """Boxes for the name of a spot in all directions, nearest first, and how far each is from its mark in points."""
    distances, angles = (grid.ravel() for grid in np.meshgrid(DISTANCES, np.radians(ANGLES), indexing="ij"))
    directions = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    half = np.array([spot.width, spot.height]) / 2 + MARGIN * point
    # At an angle a corner is nearest; to the side, or above, the middle of an edge is.
    away = (spot.radius + point * distances)[:, None] * directions + half * np.clip(1.6 * directions, -1, 1)
    middles = np.array([spot.x, spot.y]) + away
    return np.hstack([middles - half, middles + half]), distances


def _overlap(boxes: Boxes, others: Boxes) -> npt.NDArray[np.bool_]:
    """Which of the boxes overlap any of the others."""
    left, bottom, right, top = boxes.T[:, :, None]
    apart = (left >= others[:, 2]) | (right <= others[:, 0]) | (bottom >= others[:, 3]) | (top <= others[:, 1])
    return np.asarray((~apart).any(axis=1))


def _around(spot: Spot) -> tuple[float, float, float, float]:
    """The box of a spot's mark."""
    return spot.x - spot.radius, spot.y - spot.radius, spot.x + spot.radius, spot.y + spot.radius


def _along(start: Points, end: Points) -> Boxes:
    """Small boxes on a line between two places in px."""
    count = 2 + int(math.dist(start, end) / STEP)
    middles = np.linspace(start, end, count)
    return np.hstack([middles - STEP / 3, middles + STEP / 3])


def write_names(
    axes: Any,
    points: Sequence[tuple[float, float, str, float]],
    lines: Sequence[Sequence[tuple[float, float]]],
    **style: Any,
) -> list[str]:
    """Writes names at points into axes that are laid out, with leaders to those far away; returns those without room.

    A point is x and y in units of the axes, its name, and the radius of its mark in points; `style` is of the names.
    """
    point = axes.figure.dpi / 72
    # A name may have a dollar, with which mathematics would begin.
    style = {"ha": "center", "va": "center", "textcoords": "offset points", "in_layout": False, **style}
    texts = [axes.annotate(name, (x, y), (0, 0), parse_math=False, **style) for x, y, name, _ in points]
    sizes = [text.get_window_extent() for text in texts]
    middles = axes.transData.transform([(x, y) for x, y, _, _ in points])
    spots = [
        Spot(float(x), float(y), size.width, size.height, point * radius)
        for (x, y), size, (_, _, _, radius) in zip(middles, sizes, points, strict=True)
    ]
    frame = axes.get_window_extent().extents
    places = arrange(spots, [axes.transData.transform(line) for line in lines], frame, point)
    for text, spot, place in zip(texts, spots, places, strict=True):
        _put(axes, text, spot, place, point)
    return [name for (_, _, name, _), place in zip(points, places, strict=True) if place is None]


def _put(axes: Any, text: Any, spot: Spot, place: Place | None, point: float) -> None:
    """Moves a name to its place with its leader, or removes it where there is none."""
    if place is None:
        text.remove()
        return
    text.set_position(((place.x - spot.x) / point, (place.y - spot.y) / point))
    if place.leader is not None:
        end = (place.leader[0] - spot.x) / point, (place.leader[1] - spot.y) / point
        arrow = {"arrowstyle": "-", "linewidth": 0.5, "color": text.get_color(), "alpha": 0.6}
        arrow |= {"shrinkA": 0, "shrinkB": spot.radius / point}
        axes.annotate("", text.xy, end, textcoords="offset points", in_layout=False, arrowprops=arrow)

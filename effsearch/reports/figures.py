"""What the figures of a run show, as values that any library can draw: series of points, axes, titles, captions.

`pictures` draws them by matplotlib, `page_figures` by plotly, `terminal_plot` the Pareto front as characters.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from effsearch.errors import RunError
from effsearch.reports.growth_curves import UNDER, CurvePoint
from effsearch.reports.ranking_table import half_width, how_evaluated
from effsearch.reports.trainings import EpochLine, LearningCurve, ProgressPoint
from effsearch.reports.transfer import TransferResult, TransferRow
from effsearch.reports.verification import COMPOUND, FOUND, RANDOM, Verification, VerifiedRow
from effsearch.reward import MEASURE_NAMES, Measure
from effsearch.runs.folder import Run
from effsearch.runs.manifest import Manifest
from effsearch.runs.ranking import Noise, Row, front

_COLOURS = {
    "blue": ("#0072b2", "#56b4e9"),
    "vermillion": ("#d55e00", "#ff8a4c"),
    "green": ("#007a5a", "#2fc49a"),
    "purple": ("#a8457f", "#e29ac4"),
    "orange": ("#b87800", "#f0b93a"),
    "sky": ("#3a8fc7", "#9ad1f5"),
    "grey": ("#8a929b", "#7f8893"),
}
# On white, where those too pale for a thin line are darker than in the palette of Okabe and Ito, and on black.
LIGHT, DARK = ({name: pair[side] for name, pair in _COLOURS.items()} for side in (0, 1))
CYCLE = ("blue", "vermillion", "green", "purple", "orange", "sky")
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "triangle-down", "cross")
DASHES = ("solid", "dash", "dot", "dashdot")

NAMED = 4  # networks, from the best, whose learning curves have a colour of their own
VALIDATION, LOSS, BARS = "validation top-1 (%)", "training loss (nats)", "bars: 95 % interval of a mean over seeds"

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Series:
    """Points that are drawn alike, None where a line has a gap.

    `colour` is a name of the palettes or a colour of CSS, `mark` one of SYMBOLS, circle-open, star or x (empty: none)
    of `size` px with an `outline`, `line` one of DASHES, or steps (empty: none). `bars` are half-widths in units of y;
    `values` choose colours of the field's scale; `keys` are of networks. A `group` has one entry in the legend.
    `labels` are the names of the points, for a picture that writes them.
    """

    name: str
    x: Sequence[float | None]
    y: Sequence[float | None]
    colour: str
    mark: str = "circle"
    size: float = 6
    line: str = ""
    opacity: float = 1.0
    bars: Sequence[float] = ()
    values: Sequence[float] = ()
    keys: Sequence[str] = ()
    group: str = ""
    outline: str = ""
    labels: Sequence[str] = ()


def numbers(values: Sequence[float | None]) -> list[float]:
    """The values of a series without gaps."""
    return [value for value in values if value is not None]


@dataclass(frozen=True)
class Field:
    """A `shade` of shape (len(beta), len(alpha)), from `low` to `high`, up to the `border`, beta at each alpha."""

    alpha: Array
    beta: Array
    shade: Array
    low: float
    high: float
    border: Array

    @property
    def spans(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """The limits of the axes of alpha and beta."""
        margin = 0.02 * (self.alpha[-1] - 1)
        return (1 - margin, self.alpha[-1] + margin), (1 - margin / 2, self.beta[-1] + margin / 2)

    @property
    def beyond(self) -> tuple[list[float], list[float]]:
        """Alpha and beta of the corners of the area where gamma would be below 1, which is covered."""
        far = 2 * self.alpha[-1]
        return [*self.alpha, far, far, 1], [*self.border, 1, far, far]


@dataclass(frozen=True)
class Chart:
    """A figure: its title, the labels of its axes, series from the lowest layer up, and what is written under it."""

    title: str
    x: str
    y: str
    series: Sequence[Series]
    caption: str = ""
    log: bool = False
    whole: bool = False
    field: Field | None = None


_UNITS = ((1e9, "billions"), (1e6, "millions"), (1e3, "thousands"))


def axis_of(rows: Iterable[Row | VerifiedRow | TransferRow], measure: Measure) -> tuple[float, str]:
    """What to divide the costs of rows by on an axis so that few digits are left, and the label of that axis."""
    if measure == "latency":
        return 1e-3, "latency (ms)"
    most = max((getattr(row, measure) for row in rows), default=0.0)
    scale, name = next(((scale, name) for scale, name in _UNITS if most >= scale), (1.0, ""))
    if measure == "flops":
        return scale, f"FLOPs ({f'{name} of ' if name else ''}multiply-adds)"
    return scale, f"parameters{f' ({name})' if name else ''}"


def measures(rows: Iterable[Row]) -> tuple[Measure, ...]:
    """The costs that all rows have, each of which an axis may show."""
    return ("flops", "params", "latency") if all(row.latency is not None for row in rows) else ("flops", "params")


def accuracy_label(manifest: Manifest) -> str:
    """An axis of accuracies in %, by where they are from."""
    if manifest.on_table:
        return "accuracy of the table (%)"
    if manifest.by_function:
        return f"accuracy by {manifest.data.name} (%)"
    return VALIDATION if manifest.trains else "predicted ImageNet top-1 (%)"


# Sources of the networks that others are compared to, with their names.
REFERENCES = {"b0": "EfficientNet-B0", "baseline": "baseline"}


class Scatter(NamedTuple):
    """Networks on the Pareto front, others trained as long, those of fewer epochs, and the reference, if any."""

    front: list[Row]
    others: list[Row]
    shorter: list[Row]
    reference: Row | None


def finished(run: Run, rows: Sequence[Row]) -> list[Row]:
    """The rows with an accuracy; raises RunError where there are none."""
    done = [row for row in rows if row.rank is not None and row.accuracy is not None and math.isfinite(row.accuracy)]
    if not done:
        raise RunError(f"run {run.name} has no finished training yet, so there is nothing to draw")
    return done


def scatter(done: Sequence[Row], measure: Measure = "flops") -> Scatter:
    """Sorts the finished networks of a ranking, of which there is at least one."""
    longest = [row for row in done if row.epochs == done[0].epochs]
    shorter = [row for row in done if row.epochs != done[0].epochs]
    on_front = front(longest, measure)
    keys = {row.key for row in on_front}
    others = [row for row in longest if row.key not in keys]
    return Scatter(on_front, others, shorter, next((row for row in longest if row.source in REFERENCES), None))


def _networks(
    name: str, rows: Sequence[Row], axis: tuple[Measure, float], colour: str, noise: Noise | None = None, **style: Any
) -> Series:
    """Accuracy in % against a cost, by its measure and what it is divided by."""
    measure, scale = axis
    x, y = [getattr(row, measure) / scale for row in rows], [100 * (row.accuracy or 0.0) for row in rows]
    bars = [] if noise is None else [half_width(row, noise) for row in rows]
    return Series(name, x, y, colour, bars=bars, keys=[row.key for row in rows], **style)


def pareto_chart(manifest: Manifest, done: Sequence[Row], measure: Measure, noise: Noise | None = None) -> Chart:
    """Accuracy against a cost with the Pareto front, as in figure 1 of the paper."""
    (scale, label), (best, others, shorter, reference) = axis_of(done, measure), scatter(done, measure)
    axis, front_style = (measure, scale), {"mark": "diamond", "size": 8, "line": "solid"}
    series = [
        _networks("networks", others, axis, "blue", size=7, opacity=0.55),
        _networks("Pareto front", best, axis, "vermillion", noise, **front_style),
        _networks("rank 1", [done[0]], axis, "purple", mark="star", size=15, outline="panel"),
    ]
    if shorter:
        series.insert(0, _networks("fewer epochs", shorter, axis, "grey", mark="circle-open"))
    if reference is not None:
        name = REFERENCES[reference.source]
        series.append(_networks(name, [reference], axis, "green", mark="square", size=11, outline="panel"))
    title = f"Accuracy against {MEASURE_NAMES[measure]}"
    return Chart(title, label, accuracy_label(manifest), series, BARS if noise else "")


def growth_charts(points: Sequence[CurvePoint], noise: Noise | None) -> list[Chart]:
    """Accuracy against FLOPs, a line for each curve: figures 3 and 4 of the paper, as far as there are points."""
    one_axis, under = ([p for p in points if p.curve.startswith(UNDER) == is_under] for is_under in (False, True))
    panels = (("One axis at a time", one_axis), ("Width under other depths and resolutions", under))
    return [_growth_chart(title, chosen, noise) for title, chosen in panels if chosen]


def _growth_chart(title: str, points: Sequence[CurvePoint], noise: Noise | None) -> Chart:
    trained = [(point.curve, point.row) for point in points if point.row is not None]
    curves = {name: [row for curve, row in trained if curve == name] for name, _ in trained}
    scale, label = axis_of([row for _, row in trained], "flops")
    looks = zip(cycle(CYCLE), cycle(SYMBOLS), cycle(DASHES), strict=False)
    series = [
        _networks(name, rows, ("flops", scale), colour, noise, mark=mark, line=dash, size=8)
        for (name, rows), (colour, mark, dash) in zip(curves.items(), looks, strict=False)
    ]
    return Chart(title, label, VALIDATION, series, BARS if noise else "", log=True)


def verification_chart(of: Verification) -> Chart:
    """The mean accuracy of each network after long training with its interval, against FLOPs."""
    done = [row for row in of.rows if row.accuracy is not None]
    scale, label = axis_of(done, "flops")
    looks = {FOUND: ("purple", "star", 13), COMPOUND: ("purple", "star", 13), RANDOM: ("grey", "circle", 7)}
    others = [role for role in dict.fromkeys(row.role for row in done) if role not in looks]
    colours = ("green", *(colour for colour in CYCLE if colour not in ("green", "purple")))
    marks = ("square", *(mark for mark in SYMBOLS if mark != "square"))
    pairs = zip(cycle(colours), cycle(marks), strict=False)
    looks |= {role: (*pair, 8) for role, pair in zip(others, pairs, strict=False)}
    series = [_verified(role, [row for row in done if row.role == role], scale, *looks[role]) for role in looks]
    title = "Accuracy after long training"
    return Chart(title, label, f"{of.settings.split} top-1 (%)", [each for each in series if each.x], BARS)


def _verified(role: str, rows: Sequence[VerifiedRow], scale: float, colour: str, mark: str, size: float) -> Series:
    x, y = [row.flops / scale for row in rows], [100 * (row.accuracy or 0.0) for row in rows]
    bars = [100 * (row.accuracy_high - row.accuracy) for row in rows if row.accuracy_high and row.accuracy]
    keys = [row.key for row in rows]
    return Series(role, x, y, colour, mark, size, bars=bars if len(bars) == len(rows) else [], keys=keys)


def transfer_charts(result: TransferResult) -> list[Chart]:
    """For each image set the accuracy of each network with its interval, against its parameters."""
    looks = dict(zip(result.settings.network_names, zip(cycle(CYCLE), cycle(SYMBOLS), strict=False), strict=False))
    charts = []
    for images in dict.fromkeys(row.set for row in result.rows):
        rows = [row for row in result.rows if row.set == images and row.accuracy is not None]
        scale, label = axis_of(rows, "params")
        series = [_transferred(row, scale, *looks[row.network]) for row in rows]
        charts.append(Chart(images, label, "test top-1 (%)", series, "bars: 95 % interval"))
    return charts


def _transferred(row: TransferRow, scale: float, colour: str, mark: str) -> Series:
    assert row.accuracy is not None
    bars = [] if row.accuracy_high is None else [100 * (row.accuracy_high - row.accuracy)]
    return Series(row.network, [row.params / scale], [100 * row.accuracy], colour, mark, 9, bars=bars)


def progress_chart(steps: Sequence[ProgressPoint], manifest: Manifest) -> Chart:
    """The reward of each training in the order in which they ended, and the best until then."""
    numbers, keys = [step.number for step in steps], [step.key for step in steps]
    one = Series("one network", numbers, [step.reward for step in steps], "blue", opacity=0.55, keys=keys)
    best = Series("best so far", numbers, [step.best for step in steps], "vermillion", mark="", line="steps")
    how = "looked up" if manifest.on_table else how_evaluated(manifest)
    return Chart("Best so far", f"networks {how}", "reward", [one, best], whole=True)


def training_charts(history: Sequence[EpochLine]) -> tuple[Chart, Chart]:
    """The validation accuracy and the training loss of one training, epoch by epoch."""
    epochs = [line.epoch for line in history]
    accuracy = Series("", epochs, [100 * line.accuracy for line in history], "blue", line="solid")
    loss = Series("", epochs, [line.loss for line in history], "vermillion", line="solid")
    return (
        Chart("Validation accuracy", "epoch", VALIDATION, [accuracy], whole=True),
        Chart("Training loss", "epoch", LOSS, [loss], whole=True),
    )


def learning_charts(curves: Sequence[LearningCurve], index: Mapping[str, int]) -> list[Chart]:
    """The training loss of each epoch, and the validation accuracy of trainings in parts, where there are any."""
    losses = [(curve.key, list(enumerate(curve.losses, 1))) for curve in curves]
    rungs = [(c.key, [(epoch, 100 * top1) for epoch, top1 in c.accuracies]) for c in curves if c.parts > 1]
    drawn = (
        ("Learning curves", LOSS, losses, "one line a training, of the mean loss of an epoch"),
        ("Rungs", VALIDATION, rungs, "a line that ends early is a network that was not trained on"),
    )
    return [
        Chart(title, "epoch", label, _learning_series(lines, index), caption, whole=True)
        for title, label, lines, caption in drawn
        if any(points for _, points in lines)
    ]


Line = tuple[str, Sequence[tuple[int, float]]]  # the key of a network, and (epoch, value)


def _learning_series(lines: Sequence[Line], index: Mapping[str, int]) -> list[Series]:
    """The best networks in a colour each, all others as one grey series with gaps."""
    named = dict(zip(dict.fromkeys(key for key, _ in lines), zip(CYCLE[:NAMED], SYMBOLS, strict=False), strict=False))
    others = [(*point, key) for key, points in lines if key not in named for point in (*points, (None, None))]
    x, y, keys = (list(column) for column in zip(*others, strict=True)) if others else ([], [], [])
    series = [Series("others", x, y, "grey", size=4, line="solid", opacity=0.6, keys=keys)] if others else []
    for key, points in lines:
        if key in named:
            x, y = [epoch for epoch, _ in points], [value for _, value in points]
            name, keys = f"rank {index[key] + 1}", [key] * len(points)
            series.append(Series(name, x, y, *named[key], line="solid", keys=keys, group=key))
    return series

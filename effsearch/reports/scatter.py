"""Accuracy against cost: which networks a picture shows, as what, in which colours, on which axes."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from effsearch.errors import RunError
from effsearch.reward import Measure
from effsearch.runs.folder import Run
from effsearch.runs.manifest import Manifest
from effsearch.runs.ranking import Row, front

LIGHT = {
    "blue": "#0072b2",
    "vermillion": "#d55e00",
    "green": "#007a5a",
    "purple": "#a8457f",
    "orange": "#b87800",
    "sky": "#3a8fc7",
    "grey": "#8a929b",
}
"""On white; those that are too pale there for a thin line are darker than the original."""

DARK = {
    "blue": "#56b4e9",
    "vermillion": "#ff8a4c",
    "green": "#2fc49a",
    "purple": "#e29ac4",
    "orange": "#f0b93a",
    "sky": "#9ad1f5",
    "grey": "#7f8893",
}

CYCLE = ("blue", "vermillion", "green", "purple", "orange", "sky")


_UNITS = ((1e9, "billions"), (1e6, "millions"), (1e3, "thousands"))


def unit(values: Iterable[float]) -> tuple[float, str]:
    """What to divide costs by so that few digits are left of the largest, and its name ("" for 1)."""
    most = max(values, default=0.0)
    return next(((scale, name) for scale, name in _UNITS if most >= scale), (1.0, ""))


def axis_of(rows: Iterable[Row], measure: Measure) -> tuple[float, str]:
    """What to divide the costs of rows by on an axis, and what that axis is called."""
    if measure == "latency":
        return 1e-3, "latency (ms)"
    scale, name = unit(getattr(row, measure) for row in rows)
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
    return "validation top-1 (%)" if manifest.trains else "predicted ImageNet top-1 (%)"


REFERENCES = {"b0": "EfficientNet-B0", "baseline": "baseline"}
"""Sources of the networks that others are compared to, with their names."""


@dataclass(frozen=True)
class Scatter:
    """Networks with an accuracy: on the front, the first of the ranking, the reference, all others trained as long.

    `shorter` are those that were trained for fewer epochs, which cannot be compared to the others.
    """

    front: list[Row]
    others: list[Row]
    shorter: list[Row]
    first: Row
    reference: Row | None

    @property
    def longest(self) -> list[Row]:
        return [*self.front, *self.others]


def finished(run: Run, rows: Sequence[Row]) -> list[Row]:
    """The rows with an accuracy; raises RunError where there are none."""
    done = [row for row in rows if row.rank is not None and row.accuracy is not None and math.isfinite(row.accuracy)]
    if not done:
        raise RunError(f"run {run.name} has no finished training yet, so there is nothing to draw")
    return done


def scatter(done: Sequence[Row], measure: Measure = "flops") -> Scatter:
    """Sorts the finished networks of a ranking, of which there is one at least."""
    longest = [row for row in done if row.epochs == done[0].epochs]
    on_front = front(longest, measure)
    keys = {row.key for row in on_front}
    return Scatter(
        front=on_front,
        others=[row for row in longest if row.key not in keys],
        shorter=[row for row in done if row.epochs != done[0].epochs],
        first=done[0],
        reference=next((row for row in longest if row.source in REFERENCES), None),
    )

"""Which networks of a ranking a picture of accuracy against cost shows, and as what."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from effsearch.errors import RunError
from effsearch.reward import Measure
from effsearch.runs.folder import Run
from effsearch.runs.ranking import Row, front

REFERENCES = {"b0": "EfficientNet-B0", "baseline": "baseline"}
"""Sources of the networks that others are compared to, with their names."""


@dataclass(frozen=True)
class Cloud:
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


def cloud(done: Sequence[Row], measure: Measure = "flops") -> Cloud:
    """Sorts the finished networks of a ranking, of which there is one at least."""
    longest = [row for row in done if row.epochs == done[0].epochs]
    on_front = front(longest, measure)
    keys = {row.key for row in on_front}
    return Cloud(
        front=on_front,
        others=[row for row in longest if row.key not in keys],
        shorter=[row for row in done if row.epochs != done[0].epochs],
        first=done[0],
        reference=next((row for row in longest if row.source in REFERENCES), None),
    )

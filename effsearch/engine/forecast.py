"""How long a coefficient search will take, from the speed of the baseline and of one network grown along each axis."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from effsearch.architecture import Architecture
from effsearch.coefficient_grid import Cell
from effsearch.evaluation.proxy import Proxy

AXES = ("depth", "width", "resolution")
TIMED = ("baseline", *AXES)
"""The names of the cells whose speed is measured."""

OVERHEAD = 1.0
"""Seconds of a training besides its steps: reading, building, writing."""


@dataclass(frozen=True)
class Forecast:
    """Seconds an image of the baseline, in training and in validation, and the powers of the axes in them."""

    baseline: Architecture
    train: float
    validate: float
    powers: Mapping[str, float]

    @classmethod
    def of(cls, timed: Mapping[str, tuple[Architecture, float, float]]) -> "Forecast":
        """From architecture, training and validation seconds an image of each of TIMED."""
        baseline, train, validate = timed["baseline"]
        powers = {}
        for axis in AXES:
            architecture, seconds, _ = timed[axis]
            growth = _growth(architecture, baseline)[axis]
            powers[axis] = math.log(seconds / train) / math.log(growth) if growth > 1 else 0.0
        return cls(baseline, train, validate, powers)

    def seconds(self, architecture: Architecture, proxy: Proxy, epochs: int) -> float:
        """Of a training of so many epochs, validated once at its end."""
        growth = _growth(architecture, self.baseline)
        factor = math.exp(sum(self.powers[axis] * math.log(growth[axis]) for axis in AXES))
        images = epochs * proxy.train_images * self.train + proxy.validation_images * self.validate
        return factor * images + OVERHEAD


def _growth(architecture: Architecture, baseline: Architecture) -> dict[str, float]:
    return {
        "depth": architecture.layers / baseline.layers,
        "width": architecture.channels / baseline.channels,
        "resolution": architecture.resolution / baseline.resolution,
    }


def timed_cells(cells: Sequence[Cell]) -> dict[str, Architecture]:
    """The networks to be timed, by name."""
    return {cell.name: cell.architecture for cell in cells if cell.name in TIMED}

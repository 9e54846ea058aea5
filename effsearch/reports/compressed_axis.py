"""A vertical axis that has less room for what is far from most points, so that these can be told apart."""

from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.ticker import FixedLocator

TIMES = 8  # less room for a point of accuracy outside
FINE, COARSE = 2, 10  # points of accuracy between numbers inside and outside
Values = npt.NDArray[np.float64]


def compress(axes: Any, low: int, high: int) -> None:
    """Compresses accuracies (%) below `low` and above `high`, and shades them; low is even."""
    known, drawn = ((low - far, low, high, high + far) for far in (100, 100 / TIMES))

    def forward(values: Values) -> Values:
        return np.interp(values, known, drawn)

    def inverse(values: Values) -> Values:
        return np.interp(values, drawn, known)

    axes.set_yscale("function", functions=(forward, inverse))
    below = [value for value in range(0, low, COARSE) if low - value > COARSE / 2]
    above = [value for value in range(0, 101, COARSE) if value - high > COARSE / 2]
    axes.yaxis.set_major_locator(FixedLocator([*below, *range(low, high + 1, FINE), *above]))
    bottom, top = axes.get_ylim()
    for span in ((bottom, low), (high, top)):
        if span[0] < span[1]:
            axes.axhspan(*span, color="grey", alpha=0.12, linewidth=0, zorder=0)
    axes.set_ylim(bottom, top)

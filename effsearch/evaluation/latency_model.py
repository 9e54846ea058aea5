"""Predicts a network's latency from those of others that were measured, since a search proposes too many to measure."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import nnls

from effsearch.architecture import Architecture, Stage
from effsearch.costs import cost, out_side, stage_cost

LEAST_SECONDS = 1e-6  # the fitted rates of all kinds of work that a network does may be 0
LEAST = 12  # networks that a model needs to be fitted to


@dataclass(frozen=True)
class LatencyModel:
    """Seconds as a weighted sum of the kinds of work that `work` lists.

    `error` is the root mean square of the relative errors for networks that were left out, one at a time.
    """

    weights: tuple[float, ...]
    error: float

    def predict(self, architecture: Architecture, classes: int) -> float:
        """The latency in seconds."""
        return max(LEAST_SECONDS, float(np.dot(work(architecture, classes), self.weights)))


def fit_latency(architectures: Sequence[Architecture], seconds: Sequence[float], classes: int) -> LatencyModel:
    """Fits rates that are not negative, so that relative errors are small; raises ValueError for under LEAST."""
    if len(architectures) < LEAST:
        raise ValueError(f"a model of latency needs {LEAST} networks at least, got {len(architectures)}")
    # Rows are divided by their latency, so that errors are relative and each fitted sum is 1.
    rows = np.array([work(network, classes) for network in architectures]) / np.array(seconds)[:, None]
    errors = [row @ _rates(np.delete(rows, index, 0)) - 1 for index, row in enumerate(rows)]
    return LatencyModel(tuple(_rates(rows).tolist()), float(np.sqrt(np.mean(np.square(errors)))))


def _rates(rows: np.ndarray) -> np.ndarray:
    scale = np.where(rows.max(0) == 0, 1.0, rows.max(0))
    return np.asarray(nnls(rows / scale, np.ones(len(rows)))[0] / scale)


def work(architecture: Architecture, classes: int) -> tuple[float, ...]:
    """The amount of each kind of work that a network does for one image.

    A constant, blocks, blocks with squeeze-and-excitation, elements written, elements that depthwise convolutions and
    the excitations after them write, multiply-adds of depthwise convolutions, of the stem and all stages without these,
    and of all else, and parameters.
    """
    total, stem = cost(architecture, classes=classes), architecture.stem
    excited = depthwise_elements = excited_elements = depthwise = 0
    side = out_side(architecture.resolution, stem.stride)
    dense = 3 * stem.channels * stem.kernel**2 * side * side
    side = out_side(side, 2) if stem.pool else side
    channels = stem.channels
    for stage in architecture.stages:
        flops, _, _, after = stage_cost(stage, channels, side)
        excited += stage.layers if stage.se_ratio else 0
        if written := after**2 * _channels(stage, channels, "depthwise"):
            depthwise_elements += written
            depthwise += written * stage.kernel**2
            excited_elements += after**2 * _channels(stage, channels, "excitation")
        else:
            dense += flops
        channels, side = stage.channels, after
    elements = total.activations, depthwise_elements, excited_elements
    multiply_adds = depthwise, dense, total.flops - dense - depthwise
    return 1.0, architecture.layers, excited, *elements, *multiply_adds, total.params


def _channels(stage: Stage, channels: int, kind: str) -> int:
    """The channels that all parts of one kind in a stage put out together."""
    first, others = stage.widths(channels), stage.widths(stage.channels)
    gives = [part.gives for part in stage.parts if part.kind == kind]
    return sum(first[width] + (stage.layers - 1) * others[width] for width in gives)

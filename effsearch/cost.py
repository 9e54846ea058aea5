"""FLOPs, parameters and activations of an architecture, in closed form.

FLOPs are multiply-adds of convolutions and linear layers, without biases, batch norm and pooling: the convention of
the paper (1905.11946), where EfficientNet-B0 has 0.39B. Activations are output elements of convolutions
(2003.13678, section 3).
"""

import itertools
from dataclasses import dataclass
from typing import Literal, NamedTuple

from effsearch.architecture import Architecture, Op, Stage, Stem
from effsearch.space import Space

CONVENTION = "FLOPs: multiply-adds of convolutions and linear layers"

OPERATORS: dict[Op, str] = {
    "mbconv": "MBConv{e}",
    "fused": "Fused-MBConv{e}",
    "separable": "MBConv1",
    "conv": "Conv",
    "plain_separable": "DSConv",
    "bottleneck": "Bottleneck{e}",
}


class Cost(NamedTuple):
    """FLOPs (multiply-adds), parameters and activations (elements) for one image."""

    flops: int
    params: int
    activations: int


@dataclass(frozen=True, slots=True)
class StageCost:
    """One row of the stage table: `resolution` is the side of the input in px, as in table 1 of the paper."""

    operator: str
    resolution: int
    channels: int
    layers: int
    cost: Cost


def squeeze_channels(channels: int, se_ratio: float) -> int:
    """Channels between the two convolutions of squeeze-and-excitation, from a block's input channels."""
    return max(1, int(channels * se_ratio))


def out_side(side: int, stride: int) -> int:
    """The side of the output of a convolution that pads by half its kernel."""
    return -(-side // stride)


def cost(architecture: Architecture, resolution: int | None = None, classes: int = 1000) -> Cost:
    """Total cost at `resolution` px (the architecture's own unless given) with `classes` outputs."""
    flops, params, activations, side = _stem(architecture.stem, resolution or architecture.resolution)
    channels = architecture.stem.channels
    for stage in architecture.stages:
        a, b, c, side = stage_cost(stage, channels, side)
        flops, params, activations = flops + a, params + b, activations + c
        channels = stage.channels
    a, b, c = _head(architecture.head, channels, side, classes)
    return Cost(flops + a, params + b, activations + c)


def stage_costs(
    architecture: Architecture, resolution: int | None = None, classes: int = 1000
) -> tuple[StageCost, ...]:
    """The stem, each stage and the head with their costs; the rows add up to `cost`."""
    side = resolution or architecture.resolution
    stem = architecture.stem
    *values, out = _stem(stem, side)
    operator = f"Conv{stem.kernel}x{stem.kernel}" + (" & MaxPool" if stem.pool else "")
    rows = [StageCost(operator, side, stem.channels, 1, Cost(*values))]
    side, channels = out, stem.channels
    for stage in architecture.stages:
        *values, out = stage_cost(stage, channels, side)
        operator = f"{OPERATORS[stage.op].format(e=stage.expansion)}, k{stage.kernel}x{stage.kernel}"
        operator += ", SE" if stage.se_ratio else ""
        rows.append(StageCost(operator, side, stage.channels, stage.layers, Cost(*values)))
        side, channels = out, stage.channels
    head = Cost(*_head(architecture.head, channels, side, classes))
    operator = f"{'Conv1x1 & ' if architecture.head else ''}Pooling & FC"
    return (*rows, StageCost(operator, side, architecture.features, 1, head))


def biases(architecture: Architecture, classes: int = 1000) -> int:
    """Additions of biases for one image: of squeeze-and-excitation and the classifier, each on one pixel.

    FLOPs leave them out; counts that have them are larger by this.
    """
    total, channels = classes, architecture.stem.channels
    for stage in architecture.stages:
        first, others = (_se_biases(stage, given) for given in (channels, stage.channels))
        total += first + (stage.layers - 1) * others
        channels = stage.channels
    return total


def _se_biases(stage: Stage, channels: int) -> int:
    return squeeze_channels(channels, stage.se_ratio) + stage.middle(channels) if stage.se_ratio else 0


def cost_range(space: Space, classes: int = 1000, measure: Literal["flops", "params"] = "flops") -> tuple[int, int]:
    """The least and the most FLOPs or parameters in a space, exactly: each is a sum over a chain of stages."""
    index = Cost._fields.index(measure)
    reached: dict[tuple[int, int], tuple[int, int]] = {}
    stems = itertools.product(*(space.choices(f"stem_{field}") for field in ("channels", "kernel", "stride")))
    for (channels, kernel, stride), side in itertools.product(stems, space.choices("resolution")):
        *values, out = _stem(Stem(channels, kernel, stride), side)
        _widen(reached, (channels, out), values[index], values[index])
    for options in space.stage_options():
        after: dict[tuple[int, int], tuple[int, int]] = {}
        for stage, ((channels, side), (least, most)) in itertools.product(options, reached.items()):
            *values, out = stage_cost(stage, channels, side)
            _widen(after, (stage.channels, out), least + values[index], most + values[index])
        reached = after
    ends = [
        limit + _head(head, channels, side, classes)[index]
        for head, ((channels, side), limits) in itertools.product(space.choices("head_channels"), reached.items())
        for limit in limits
    ]
    return min(ends), max(ends)


def _widen(reached: dict[tuple[int, int], tuple[int, int]], state: tuple[int, int], least: int, most: int) -> None:
    low, high = reached.get(state, (least, most))
    reached[state] = min(low, least), max(high, most)


def _stem(stem: Stem, side: int) -> tuple[int, int, int, int]:
    out = out_side(side, stem.stride)
    weights = 3 * stem.channels * stem.kernel**2
    after = out_side(out, 2) if stem.pool else out
    return weights * out * out, weights + 2 * stem.channels, stem.channels * out * out, after


def _head(head: int, channels: int, side: int, classes: int) -> tuple[int, int, int]:
    if not head:
        return channels * classes, (channels + 1) * classes, 0
    weights = channels * head
    return weights * side * side + head * classes, weights + 2 * head + (head + 1) * classes, head * side * side


def stage_cost(stage: Stage, channels: int, side: int) -> tuple[int, int, int, int]:
    """FLOPs, parameters, activations and output side of a stage that gets `channels` channels of side `side`."""
    flops, params, activations, side = _block(stage, channels, side, stage.stride)
    if stage.layers > 1:
        a, b, c, side = _block(stage, stage.channels, side, 1)
        more = stage.layers - 1
        flops, params, activations = flops + more * a, params + more * b, activations + more * c
    return flops, params, activations, side


def _block(stage: Stage, channels: int, side: int, stride: int) -> tuple[int, int, int, int]:
    """Sums conv weights; batch norm adds two parameters a channel, SE two 1x1 convolutions with bias on one pixel."""
    if stage.op == "bottleneck":
        return _bottleneck(stage, channels, side, stride)
    out = out_side(side, stride)
    area, out_area = side * side, out * out
    window = stage.kernel * stage.kernel
    if stage.op == "conv":
        weights = channels * stage.channels * window
        return weights * out_area, weights + 2 * stage.channels, stage.channels * out_area, out
    middle = stage.middle(channels)
    if stage.op == "fused":
        spatial = channels * middle * window
        flops, params, activations = spatial * out_area, spatial + 2 * middle, middle * out_area
    else:
        spatial = middle * window
        flops, params, activations = spatial * out_area, spatial + 2 * middle, middle * out_area
        if stage.expansion > 1:
            expand = channels * middle
            flops, params, activations = (
                flops + expand * area,
                params + expand + 2 * middle,
                activations + middle * area,
            )
    if stage.se_ratio:
        squeeze = squeeze_channels(channels, stage.se_ratio)
        flops, params = flops + 2 * middle * squeeze, params + 2 * middle * squeeze + squeeze + middle
        activations += squeeze + middle
    project = middle * stage.channels
    return (
        flops + project * out_area,
        params + project + 2 * stage.channels,
        activations + stage.channels * out_area,
        out,
    )


def _bottleneck(stage: Stage, channels: int, side: int, stride: int) -> tuple[int, int, int, int]:
    """As `_block`; where the shapes differ the shortcut is a convolution as well."""
    out = out_side(side, stride)
    area, out_area = side * side, out * out
    middle = stage.middle(channels)
    spatial, restore = middle * middle * stage.kernel * stage.kernel, middle * stage.channels
    projected = 0 if stride == 1 and channels == stage.channels else stage.channels
    inner = spatial + restore + channels * projected
    return (
        channels * middle * area + inner * out_area,
        channels * middle + inner + 2 * (2 * middle + stage.channels + projected),
        middle * area + (middle + stage.channels + projected) * out_area,
        out,
    )

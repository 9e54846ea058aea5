"""FLOPs, parameters and activations of an architecture, in closed form.

FLOPs are multiply-adds of convolutions and linear layers, without biases, batch norm and pooling, as in the paper
(1905.11946: 0.39B for EfficientNet-B0). Activations are output elements of convolutions (2003.13678, section 3).
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, reduce
from typing import Literal, NamedTuple

from effsearch.architecture import Architecture, Stage, Stem
from effsearch.operators import SHORTCUT_PROJECTION
from effsearch.space import Space

CONVENTION = "FLOPs: multiply-adds of convolutions and linear layers"


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
    side, stem, channels = resolution or architecture.resolution, architecture.stem, architecture.stem.channels
    *values, out = _stem(stem, side)
    operator = f"Conv{stem.kernel}x{stem.kernel}{' & MaxPool' if stem.pool else ''}"
    rows = [StageCost(operator, side, channels, 1, Cost(*values))]
    for stage in architecture.stages:
        side = out
        *values, out = stage_cost(stage, channels, side)
        label, se = stage.operator.label.format(e=stage.expansion), ", SE" if stage.se_ratio else ""
        operator, channels = f"{label}, k{stage.kernel}x{stage.kernel}{se}", stage.channels
        rows.append(StageCost(operator, side, channels, stage.layers, Cost(*values)))
    head = Cost(*_head(architecture.head, channels, out, classes))
    operator = f"{'Conv1x1 & ' if architecture.head else ''}Pooling & FC"
    return (*rows, StageCost(operator, out, architecture.feature_channels, 1, head))


def biases(architecture: Architecture, classes: int = 1000) -> int:
    """Additions of biases for one image, which FLOPs leave out: of squeeze-and-excitation and the classifier."""
    channels = (architecture.stem.channels, *(stage.channels for stage in architecture.stages))
    # The activations that do not depend on pixels are the outputs of squeeze-and-excitation, each with a bias.
    return classes + sum(_work(*row)[1][2] for row in zip(architecture.stages, channels, strict=False))


def cost_range(space: Space, classes: int = 1000, measure: Literal["flops", "params"] = "flops") -> tuple[int, int]:
    """The least and the most FLOPs or parameters in a space, exactly: each is a sum over a chain of stages."""
    index = Cost._fields.index(measure)
    return _extreme(space, classes, index, min), _extreme(space, classes, index, max)


def _extreme(space: Space, classes: int, index: int, choose: Callable[[int, int], int]) -> int:
    """The extreme of one field of Cost, stage by stage for each pair of channels and side that a stage may put out."""
    reached: dict[tuple[int, int], int] = {}
    stems = itertools.product(*(space.choices[f"stem_{field}"] for field in ("channels", "kernel", "stride")))
    for stem, side in itertools.product(itertools.starmap(Stem, stems), space.choices["resolution"]):
        *values, out = _stem(stem, side)
        state = stem.channels, out
        reached[state] = choose(values[index], reached.get(state, values[index]))
    for options in space.stage_options:
        before, reached = reached, {}
        for stage, ((channels, side), total) in itertools.product(options, before.items()):
            *values, out = stage_cost(stage, channels, side)
            state, total = (stage.channels, out), total + values[index]
            reached[state] = choose(total, reached.get(state, total))
    heads = itertools.product(space.choices["head_channels"], reached.items())
    return reduce(choose, (total + _head(head, *state, classes)[index] for head, (state, total) in heads))


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
    (flops, flops_out, flops_once), (written, written_out, written_once), params = _work(stage, channels)
    out = -(-side // stage.stride)
    area, out_area = side * side, out * out
    flops = flops * area + flops_out * out_area + flops_once
    return flops, params, written * area + written_out * out_area + written_once, out


_PerPixel = tuple[int, int, int]  # a count of a stage: for each pixel of its input, of its output, and once an image


# It depends neither on pixels nor on other stages, so a search asks for the same few thousand again and again.
@lru_cache(maxsize=1 << 14)
def _work(stage: Stage, channels: int) -> tuple[_PerPixel, _PerPixel, int]:
    """Multiply-adds, activations and parameters of a stage; batch norm has two parameters a channel, SE has biases."""
    flops, written, params = [0, 0, 0], [0, 0, 0], 0
    first, others = (channels, stage.stride, 1), (stage.channels, 1, stage.layers - 1)
    for block, (channels, stride, count) in enumerate((first, others) if stage.layers > 1 else (first,)):
        widths, window = stage.widths(channels), stage.kernel**2
        projection = (SHORTCUT_PROJECTION,) if stage.shortcut(channels, stride) == "projection" else ()
        place = block  # The input of all blocks but the first has the size of the stage's output.
        for kind, given, gives, strided, _ in (*stage.parts, *projection):
            out = widths[gives]
            if kind == "excitation":
                squeeze = squeeze_channels(channels, stage.se_ratio)
                flops[2] += count * 2 * out * squeeze
                written[2] += count * (squeeze + out)
                params += count * (2 * out * squeeze + squeeze + out)
            else:
                place = 1 if strided else place
                weights = out if kind == "depthwise" else out * widths[given]
                weights *= 1 if kind == "pointwise" else window
                flops[place] += count * weights
                written[place] += count * out
                params += count * (weights + 2 * out)
    return tuple(flops), tuple(written), params  # type: ignore[return-value]

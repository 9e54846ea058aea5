"""How an architecture grows: channels by a multiplier, rounded."""

from dataclasses import replace

from effsearch.architecture import Architecture


def round_channels(channels: float, divisor: int = 8) -> int:
    """The nearest multiple of `divisor`, at least one and never below 90 % of what was asked (1801.04381)."""
    rounded = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * channels else rounded


def widen(architecture: Architecture, width: float, divisor: int = 8) -> Architecture:
    """Multiplies the channels of stem, stages and head by `width`."""
    if width == 1:
        return architecture
    return replace(
        architecture,
        stem=replace(architecture.stem, channels=round_channels(architecture.stem.channels * width, divisor)),
        stages=tuple(
            replace(stage, channels=round_channels(stage.channels * width, divisor)) for stage in architecture.stages
        ),
        head=round_channels(architecture.head * width, divisor),
    )

"""Hypothesis strategies for architectures: of every operator, and as odd as the notation allows."""

from dataclasses import replace

from hypothesis import strategies as st

from effsearch.architecture import ACTIVATIONS, KERNELS, MOST_EXPANSION, OPS, RESOLUTIONS, Architecture, Stage, Stem

se_ratios = st.one_of(st.just(0), st.sampled_from([0.25, 0.5, 1, 1 / 3]), st.floats(0.001, 1))

stages = st.builds(
    Stage,
    op=st.sampled_from(OPS),
    kernel=st.sampled_from(KERNELS),
    stride=st.sampled_from([1, 2]),
    expansion=st.integers(1, MOST_EXPANSION),
    channels=st.integers(1, 300),
    layers=st.integers(1, 9),
    se_ratio=se_ratios,
)

architectures = st.builds(
    Architecture,
    stem=st.builds(Stem, st.integers(1, 300), st.sampled_from(KERNELS), st.sampled_from([1, 2]), st.booleans()),
    stages=st.lists(stages, min_size=1, max_size=6).map(tuple),
    head=st.one_of(st.just(0), st.integers(1, 2000)),
    resolution=st.integers(*RESOLUTIONS),
    activation=st.sampled_from(ACTIVATIONS),
    lite=st.booleans(),
)


def projections(architecture: Architecture) -> list[bool]:
    """Of the first layer of each stage, whether its shortcut is a convolution.

    Two channel counts that grow into one lose it, so that the larger network may cost less.
    """
    given = [architecture.stem.channels, *(stage.channels for stage in architecture.stages)]
    return [
        stage.op == "bottleneck" and (stage.stride, channels) != (1, stage.channels)
        for stage, channels in zip(architecture.stages, given, strict=False)
    ]


def divided(stage: Stage, first: int) -> tuple[Stage, Stage]:
    """A stage of more than `first` layers as two stages that do the same."""
    return replace(stage, layers=first), replace(stage, layers=stage.layers - first, stride=1)

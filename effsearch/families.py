"""Known architectures as values, each with its source."""

from dataclasses import dataclass

from effsearch.architecture import Architecture, Stage, Stem
from effsearch.scaling import Multipliers, grow

EFFICIENTNET_B0 = Architecture(
    # 1905.11946, table 1.
    stem=Stem(channels=32),
    stages=(
        Stage("mbconv", 3, 1, 1, 16, 1, 0.25),
        Stage("mbconv", 3, 2, 6, 24, 2, 0.25),
        Stage("mbconv", 5, 2, 6, 40, 2, 0.25),
        Stage("mbconv", 3, 2, 6, 80, 3, 0.25),
        Stage("mbconv", 5, 1, 6, 112, 3, 0.25),
        Stage("mbconv", 5, 2, 6, 192, 4, 0.25),
        Stage("mbconv", 3, 1, 6, 320, 1, 0.25),
    ),
    head=1280,
    activation="silu",
)

MNASNET_A1 = Architecture(
    # 1807.11626, figure 7.
    stem=Stem(channels=32),
    stages=(
        Stage("separable", 3, 1, 1, 16, 1),
        Stage("mbconv", 3, 2, 6, 24, 2),
        Stage("mbconv", 5, 2, 3, 40, 3, 0.25),
        Stage("mbconv", 3, 2, 6, 80, 4),
        Stage("mbconv", 3, 1, 6, 112, 2, 0.25),
        Stage("mbconv", 5, 2, 6, 160, 3, 0.25),
        Stage("mbconv", 3, 1, 6, 320, 1),
    ),
    head=1280,
    activation="relu",
)

MOBILENET_V1 = Architecture(
    # 1704.04861, table 1; its last stride of 2 is a misprint there, the map has 7 px before and after.
    stem=Stem(channels=32),
    stages=(
        Stage("plain_separable", 3, 1, 1, 64, 1),
        Stage("plain_separable", 3, 2, 1, 128, 2),
        Stage("plain_separable", 3, 2, 1, 256, 2),
        Stage("plain_separable", 3, 2, 1, 512, 6),
        Stage("plain_separable", 3, 2, 1, 1024, 2),
    ),
    head=0,
    activation="relu",
)

MOBILENET_V2 = Architecture(
    # 1801.04381, table 2.
    stem=Stem(channels=32),
    stages=(
        Stage("separable", 3, 1, 1, 16, 1),
        Stage("mbconv", 3, 2, 6, 24, 2),
        Stage("mbconv", 3, 2, 6, 32, 3),
        Stage("mbconv", 3, 2, 6, 64, 4),
        Stage("mbconv", 3, 1, 6, 96, 3),
        Stage("mbconv", 3, 2, 6, 160, 3),
        Stage("mbconv", 3, 1, 6, 320, 1),
    ),
    head=1280,
    activation="relu6",
)

RESNET50 = Architecture(
    # 1512.03385, table 1, with the stride in the 3x3 convolution, as in torchvision ("v1.5").
    stem=Stem(channels=64, kernel=7, pool=True),
    stages=(
        Stage("bottleneck", 3, 1, 4, 256, 3),
        Stage("bottleneck", 3, 2, 4, 512, 4),
        Stage("bottleneck", 3, 2, 4, 1024, 6),
        Stage("bottleneck", 3, 2, 4, 2048, 3),
    ),
    head=0,
    activation="relu",
)

FAMILIES: dict[str, Architecture] = {
    "b0": EFFICIENTNET_B0,
    "mnasnet_a1": MNASNET_A1,
    "mobilenet_v1": MOBILENET_V1,
    "mobilenet_v2": MOBILENET_V2,
    "resnet50": RESNET50,
}
"""The baselines from which families grow."""


@dataclass(frozen=True, slots=True)
class Published:
    """A released EfficientNet: B0's multipliers, the input's side in px, and the dropout before the classifier."""

    width: float
    depth: float
    resolution: int
    dropout: float

    @property
    def multipliers(self) -> Multipliers:
        """Those of B0, its resolution's as a ratio."""
        return Multipliers(self.depth, self.width, self.resolution / EFFICIENTNET_B0.resolution)

    @property
    def architecture(self) -> Architecture:
        """B0 grown by these multipliers."""
        return grow(EFFICIENTNET_B0, self.multipliers)


PUBLISHED: dict[str, Published] = {
    # The paper's code, efficientnet_builder.py; no phi of the paper's formula gives these.
    "b0": Published(1.0, 1.0, 224, 0.2),
    "b1": Published(1.0, 1.1, 240, 0.2),
    "b2": Published(1.1, 1.2, 260, 0.3),
    "b3": Published(1.2, 1.4, 300, 0.3),
    "b4": Published(1.4, 1.8, 380, 0.4),
    "b5": Published(1.6, 2.2, 456, 0.4),
    "b6": Published(1.8, 2.6, 528, 0.5),
    "b7": Published(2.0, 3.1, 600, 0.5),
    "b8": Published(2.2, 3.6, 672, 0.5),
    "l2": Published(4.3, 5.3, 800, 0.5),
}

NAMES = (*PUBLISHED, *(name for name in FAMILIES if name not in PUBLISHED))
"""All names that `find` knows, without their other spellings."""

_SPELLINGS = (
    {name.replace("_", ""): name for name in NAMES}
    | {f"efficientnet{name}": name for name in PUBLISHED}
    | {"mnasnet": "mnasnet_a1"}
)


def find(name: str) -> Architecture | None:
    """The architecture of that name (case, - and _ do not matter), or None."""
    known = _SPELLINGS.get(name.lower().replace("-", "").replace("_", ""))
    if known is None:
        return None
    return FAMILIES[known] if known in FAMILIES else PUBLISHED[known].architecture


def name_of(architecture: Architecture) -> str | None:
    """The name of a known architecture or None."""
    for name in NAMES:
        known = find(name)
        if known is not None and known.key == architecture.key:
            return name
    return None

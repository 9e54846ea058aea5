"""Known architectures as values, each with its source."""

from dataclasses import dataclass

from effsearch.architecture import Architecture, parse
from effsearch.scaling import Multipliers, grow

EFFICIENTNET_B0 = parse(  # 1905.11946, table 1
    "224px-stem_k3_s2_c32-ds_r1_k3_s1_e1_c16_se0.25-ir_r2_k3_s2_e6_c24_se0.25-ir_r2_k5_s2_e6_c40_se0.25-"
    "ir_r3_k3_s2_e6_c80_se0.25-ir_r3_k5_s1_e6_c112_se0.25-ir_r4_k5_s2_e6_c192_se0.25-ir_r1_k3_s1_e6_c320_se0.25-"
    "head_c1280-silu"
)
MNASNET_A1 = parse(  # 1807.11626, figure 7
    "224px-stem_k3_s2_c32-ds_r1_k3_s1_e1_c16-ir_r2_k3_s2_e6_c24-ir_r3_k5_s2_e3_c40_se0.25-ir_r4_k3_s2_e6_c80-"
    "ir_r2_k3_s1_e6_c112_se0.25-ir_r3_k5_s2_e6_c160_se0.25-ir_r1_k3_s1_e6_c320-head_c1280-relu"
)
MOBILENET_V1 = parse(  # 1704.04861, table 1, where the last stride of 2 is a misprint: the map keeps its 7 px
    "224px-stem_k3_s2_c32-dsa_r1_k3_s1_e1_c64-dsa_r2_k3_s2_e1_c128-dsa_r2_k3_s2_e1_c256-dsa_r6_k3_s2_e1_c512-"
    "dsa_r2_k3_s2_e1_c1024-head_c0-relu"
)
MOBILENET_V2 = parse(  # 1801.04381, table 2
    "224px-stem_k3_s2_c32-ds_r1_k3_s1_e1_c16-ir_r2_k3_s2_e6_c24-ir_r3_k3_s2_e6_c32-ir_r4_k3_s2_e6_c64-"
    "ir_r3_k3_s1_e6_c96-ir_r3_k3_s2_e6_c160-ir_r1_k3_s1_e6_c320-head_c1280-relu6"
)
EFFICIENTNET_LITE0 = parse(  # EfficientNet-Lite, github.com/tensorflow/tpu, models/official/efficientnet/lite
    "224px-stem_k3_s2_c32-ds_r1_k3_s1_e1_c16-ir_r2_k3_s2_e6_c24-ir_r2_k5_s2_e6_c40-ir_r3_k3_s2_e6_c80-"
    "ir_r3_k5_s1_e6_c112-ir_r4_k5_s2_e6_c192-ir_r1_k3_s1_e6_c320-head_c1280-relu6-lite"
)
RESNET50 = parse(  # 1512.03385, table 1, with the stride in the 3x3 convolution, as in torchvision ("v1.5")
    "224px-stem_k7_s2_c64_pool-bn_r3_k3_s1_e4_c256-bn_r4_k3_s2_e4_c512-bn_r6_k3_s2_e4_c1024-bn_r3_k3_s2_e4_c2048-"
    "head_c0-relu"
)

FAMILIES: dict[str, Architecture] = {  # baselines, each the smallest of its family
    "b0": EFFICIENTNET_B0,
    "mnasnet_a1": MNASNET_A1,
    "mobilenet_v1": MOBILENET_V1,
    "mobilenet_v2": MOBILENET_V2,
    "resnet50": RESNET50,
    "efficientnet_lite0": EFFICIENTNET_LITE0,
}


@dataclass(frozen=True, slots=True)
class Published:
    """A released EfficientNet: B0's multipliers, the input's side in px, and the dropout before the classifier."""

    width: float
    depth: float
    resolution: int
    dropout: float

    @property
    def multipliers(self) -> Multipliers:
        return Multipliers(self.depth, self.width, self.resolution / EFFICIENTNET_B0.resolution)

    @property
    def architecture(self) -> Architecture:
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

# Multipliers of depth, width and px of lite1 to lite4, from efficientnet_lite_builder.py there.
_LITE = {1: (1.1, 1.0, 240), 2: (1.2, 1.1, 260), 3: (1.4, 1.2, 280), 4: (1.8, 1.4, 300)}

_KNOWN = {name: published.architecture for name, published in PUBLISHED.items()} | FAMILIES
_KNOWN |= {
    f"efficientnet_lite{number}": grow(EFFICIENTNET_LITE0, Multipliers(depth, width, side / 224))
    for number, (depth, width, side) in _LITE.items()
}
NAMES = tuple(_KNOWN)  # all names that `find` knows, without their other spellings
_SPELLINGS = {name.replace("_", ""): name for name in NAMES} | {f"efficientnet{name}": name for name in PUBLISHED}
_SPELLINGS |= {"mnasnet": "mnasnet_a1"} | {f"lite{number}": f"efficientnet_lite{number}" for number in range(5)}


def find(name: str) -> Architecture | None:
    """The architecture of that name (case, - and _ do not matter), or None."""
    known = _SPELLINGS.get(name.lower().replace("-", "").replace("_", ""))
    return _KNOWN[known] if known else None

"""The paper's tables 2 and 3 of others' networks and its own (1905.11946), and our counts of them.

Published numbers are strings, since 0.70B is more precise than 0.7B. Accuracies are in % on ImageNet.
"""

from dataclasses import dataclass
from typing import NamedTuple

from effsearch.architecture import Architecture
from effsearch.cost import cost
from effsearch.families import MOBILENET_V1, MOBILENET_V2, PUBLISHED, RESNET50
from effsearch.scaling import Multipliers, grow


class Measured(NamedTuple):
    """FLOPs and parameters at `resolution` px and 1000 classes, and how they were counted."""

    flops: int
    params: int
    resolution: int
    by: str


def measure(architecture: Architecture) -> Measured:
    """Counts an architecture at its own resolution, in closed form."""
    flops, params, _ = cost(architecture)
    return Measured(flops, params, architecture.resolution, "closed form")


@dataclass(frozen=True, slots=True)
class Scaled:
    """A row of table 3: a baseline and its multipliers, None where they are not published."""

    name: str
    baseline: Architecture
    method: str
    by: Multipliers | None
    flops: str
    top1: float

    @property
    def measured(self) -> Measured | None:
        """The cost of the baseline grown by these multipliers, or None where they are not published."""
        return None if self.by is None else measure(grow(self.baseline, self.by))


SCALED = (
    Scaled("MobileNetV1", MOBILENET_V1, "baseline", Multipliers(), "0.6B", 70.6),
    Scaled("MobileNetV1", MOBILENET_V1, "width w=2", Multipliers(width=2), "2.2B", 74.2),
    Scaled("MobileNetV1", MOBILENET_V1, "resolution r=2", Multipliers(resolution=2), "2.2B", 72.7),
    Scaled("MobileNetV1", MOBILENET_V1, "d=1.4 w=1.2 r=1.3", Multipliers(1.4, 1.2, 1.3), "2.3B", 75.6),
    Scaled("MobileNetV2", MOBILENET_V2, "baseline", Multipliers(), "0.3B", 72.0),
    Scaled("MobileNetV2", MOBILENET_V2, "depth d=4", Multipliers(depth=4), "1.2B", 76.8),
    Scaled("MobileNetV2", MOBILENET_V2, "width w=2", Multipliers(width=2), "1.1B", 76.4),
    Scaled("MobileNetV2", MOBILENET_V2, "resolution r=2", Multipliers(resolution=2), "1.2B", 74.8),
    Scaled("MobileNetV2", MOBILENET_V2, "compound", None, "1.3B", 77.4),
    Scaled("ResNet-50", RESNET50, "baseline", Multipliers(), "4.1B", 76.0),
    Scaled("ResNet-50", RESNET50, "depth d=4", Multipliers(depth=4), "16.2B", 78.1),
    Scaled("ResNet-50", RESNET50, "width w=2", Multipliers(width=2), "14.7B", 77.7),
    Scaled("ResNet-50", RESNET50, "resolution r=2", Multipliers(resolution=2), "16.4B", 77.5),
    Scaled("ResNet-50", RESNET50, "compound", None, "16.7B", 78.8),
)
"""Table 3, "Scaling Up MobileNets and ResNet"."""


@dataclass(frozen=True, slots=True)
class Foreign:
    """A network of torchvision with its count by fvcore (convolutions and linear layers) at `resolution` px."""

    name: str
    resolution: int
    flops: int
    params: int


DENSENET169 = Foreign("densenet169", 224, 3_359_843_328, 14_149_480)
RESNET152 = Foreign("resnet152", 224, 11_513_626_624, 60_192_808)
INCEPTION_V3 = Foreign("inception_v3", 299, 5_713_216_096, 23_834_568)
RESNEXT101 = Foreign("resnext101_64x4d", 320, 31_549_440_000, 83_455_272)


@dataclass(frozen=True, slots=True)
class Classifier:
    """A row of table 2: accuracies and costs, with their ratios to those of the EfficientNet at the head of its group.

    `network` is the one to count: one of ours, one of torchvision, or None.
    """

    name: str
    top1: float
    top5: float
    params: str
    params_ratio: str
    flops: str | None
    flops_ratio: str | None
    network: Architecture | Foreign | None = None

    @property
    def measured(self) -> Measured | None:
        """The cost of `network` at the published input resolution, or None."""
        if isinstance(self.network, Foreign):
            return Measured(self.network.flops, self.network.params, self.network.resolution, "fvcore")
        return measure(self.network) if self.network else None


IMAGENET = (
    Classifier("EfficientNet-B0", 77.3, 93.5, "5.3M", "1x", "0.39B", "1x", PUBLISHED["b0"].architecture),
    Classifier("ResNet-50", 76.0, 93.0, "26M", "4.9x", "4.1B", "11x", RESNET50),
    Classifier("DenseNet-169", 76.2, 93.2, "14M", "2.6x", "3.5B", "8.9x", DENSENET169),
    Classifier("EfficientNet-B1", 79.2, 94.5, "7.8M", "1x", "0.70B", "1x", PUBLISHED["b1"].architecture),
    Classifier("ResNet-152", 77.8, 93.8, "60M", "7.6x", "11B", "16x", RESNET152),
    Classifier("DenseNet-264", 77.9, 93.9, "34M", "4.3x", "6.0B", "8.6x"),
    Classifier("Inception-v3", 78.8, 94.4, "24M", "3.0x", "5.7B", "8.1x", INCEPTION_V3),
    Classifier("Xception", 79.0, 94.5, "23M", "3.0x", "8.4B", "12x"),
    Classifier("EfficientNet-B2", 80.3, 95.0, "9.2M", "1x", "1.0B", "1x", PUBLISHED["b2"].architecture),
    Classifier("Inception-v4", 80.0, 95.0, "48M", "5.2x", "13B", "13x"),
    Classifier("Inception-resnet-v2", 80.1, 95.1, "56M", "6.1x", "13B", "13x"),
    Classifier("EfficientNet-B3", 81.7, 95.6, "12M", "1x", "1.8B", "1x", PUBLISHED["b3"].architecture),
    # 1611.05431, table 5, has these accuracies for 64x4d at 320 px.
    Classifier("ResNeXt-101", 80.9, 95.6, "84M", "7.0x", "32B", "18x", RESNEXT101),
    Classifier("PolyNet", 81.3, 95.8, "92M", "7.7x", "35B", "19x"),
    Classifier("EfficientNet-B4", 83.0, 96.3, "19M", "1x", "4.2B", "1x", PUBLISHED["b4"].architecture),
    Classifier("SENet", 82.7, 96.2, "146M", "7.7x", "42B", "10x"),
    Classifier("NASNet-A", 82.7, 96.2, "89M", "4.7x", "24B", "5.7x"),
    Classifier("AmoebaNet-A", 82.8, 96.1, "87M", "4.6x", "23B", "5.5x"),
    Classifier("PNASNet", 82.9, 96.2, "86M", "4.5x", "23B", "6.0x"),
    Classifier("EfficientNet-B5", 83.7, 96.7, "30M", "1x", "9.9B", "1x", PUBLISHED["b5"].architecture),
    Classifier("AmoebaNet-C", 83.5, 96.5, "155M", "5.2x", "41B", "4.1x"),
    Classifier("EfficientNet-B6", 84.2, 96.8, "43M", "1x", "19B", "1x", PUBLISHED["b6"].architecture),
    Classifier("EfficientNet-B7", 84.4, 97.1, "66M", "1x", "37B", "1x", PUBLISHED["b7"].architecture),
    Classifier("GPipe", 84.3, 97.0, "557M", "8.4x", None, None),
)  # fmt: skip
"""Table 2: single networks, one crop. The paper's version 5 has EfficientNets at 0.1 or 0.2 points less in top-1."""


def agrees(printed: str, value: float) -> bool:
    """Whether a count rounds to what is printed, such as 4.089e9 to 4.1B."""
    number, unit = printed[:-1], {"M": 1e6, "B": 1e9}[printed[-1]]
    decimals = len(number.partition(".")[2])
    return f"{value / unit:.{decimals}f}" == number

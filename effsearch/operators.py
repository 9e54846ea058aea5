"""The operators that a stage may have, one entry each.

Notation, cost, torch module, latency model and names in timm follow from it; only a new kind of part needs more code.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple, get_args

Op = Literal["mbconv", "fused", "separable", "conv", "plain_separable", "bottleneck"]
Shortcut = Literal["identity", "projection", "none"]

IN, MIDDLE, OUT = range(3)  # the channels of a block's input, middle and output: positions in `Stage.widths`


class Part(NamedTuple):
    """A convolution with its batch norm, or squeeze-and-excitation (1709.01507) on `gives` channels.

    `given` and `gives` are IN, MIDDLE or OUT. A depthwise or dense convolution has the stage's kernel. The one that is
    `strided` has the stage's stride: it and all parts after it run at the resolution of the output.
    """

    kind: Literal["pointwise", "depthwise", "dense", "excitation"]
    given: int
    gives: int
    strided: bool = False
    activated: bool = True


@dataclass(frozen=True)
class Operator:
    """A block: `code` begins its notation, `suffix` ends it, `label` is its name in tables.

    An `identity` shortcut adds the input where the shapes allow it; a `projection` converts the input where they do
    not, and an activation follows the addition. The middle has the channels of the input times the expansion, those of
    the output divided by it, or those of the input. `unexpanded` is the operator that it is with an expansion of 1.
    `timm` names the convolutions in timm's EfficientNets, which lack the block if there are none.
    """

    code: str
    label: str
    parts: tuple[Part, ...]
    timm: tuple[str, ...] = ()
    shortcut: Shortcut = "identity"
    expansion: Literal["input", "output", "none"] = "none"
    unexpanded: Op | None = None
    suffix: str = ""

    @cached_property
    def plain_parts(self) -> tuple[Part, ...]:
        """The parts of a block without squeeze-and-excitation."""
        return tuple(part for part in self.parts if part.kind != "excitation")


EXCITATION = Part("excitation", MIDDLE, MIDDLE)
DEPTHWISE = Part("depthwise", MIDDLE, MIDDLE, strided=True)
PROJECT = Part("pointwise", MIDDLE, OUT, activated=False)
SHORTCUT_PROJECTION = Part("pointwise", IN, OUT, strided=True, activated=False)

OPERATORS: dict[Op, Operator] = {
    "mbconv": Operator(  # 1801.04381, with squeeze-and-excitation as in 1807.11626
        "ir",
        "MBConv{e}",
        parts=(Part("pointwise", IN, MIDDLE), DEPTHWISE, EXCITATION, PROJECT),
        timm=("conv_pw", "conv_dw", "conv_pwl"),
        expansion="input",
        unexpanded="separable",
    ),
    "fused": Operator(  # EfficientNet-EdgeTPU: the kernel expands
        "er",
        "Fused-MBConv{e}",
        parts=(Part("dense", IN, MIDDLE, strided=True), EXCITATION, PROJECT),
        timm=("conv_exp", "conv_pwl"),
        expansion="input",
        unexpanded="conv",
    ),
    # 1905.11946, table 1
    "separable": Operator("ds", "MBConv1", (DEPTHWISE, EXCITATION, PROJECT), ("conv_dw", "conv_pw")),
    "conv": Operator("cn", "Conv", (Part("dense", IN, OUT, strided=True),), ("conv",), suffix="_skip"),
    "plain_separable": Operator(  # MobileNetV1 (1704.04861)
        "dsa",
        "DSConv",
        parts=(DEPTHWISE, EXCITATION, Part("pointwise", MIDDLE, OUT)),
        timm=("conv_dw", "conv_pw"),
        shortcut="none",
    ),
    "bottleneck": Operator(  # 1512.03385, with the stride in the filter as in torchvision's ResNet-50
        "bn",
        "Bottleneck{e}",
        parts=(Part("pointwise", IN, MIDDLE), Part("dense", MIDDLE, MIDDLE, strided=True), PROJECT),
        shortcut="projection",
        expansion="output",
    ),
}
OPS: tuple[Op, ...] = get_args(Op)
OP_OF_CODE: dict[str, Op] = {operator.code: op for op, operator in OPERATORS.items()}

"""A network as a value: a stem, a table of stages and a head, written on one line.

    224px-stem_k3_s2_c32-ds_r1_k3_s1_e1_c16_se0.25-ir_r2_k3_s2_e6_c24_se0.25-head_c1280-silu

A stage is a block string as timm writes it: operator, r layers, k kernel, s stride of the first layer, e expansion,
c output channels, se squeeze-and-excitation ratio. Operator codes, in `operators`, are timm's and bn for a bottleneck.
An expansion of 1 means no expansion convolution, as MBConv1 in the paper (1905.11946, table 1). A stem may end with a
max pool (stem_k7_s2_c64_pool). head_c0 means no head convolution: the last stage is pooled and classified. A notation
that ends with -lite after its activation is of an EfficientNet-Lite.
"""

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any, Literal, NamedTuple, get_args

from effsearch.errors import EffsearchError, NotationError, listed
from effsearch.normalisation import IMAGENET, LITE, Normalisation
from effsearch.operators import OP_OF_CODE, OPERATORS, OPS, Op, Operator, Part, Shortcut

Activation = Literal["silu", "relu", "relu6", "hardswish"]

ACTIVATIONS: tuple[Activation, ...] = get_args(Activation)
KERNELS = (1, 3, 5, 7, 9, 11)
STRIDES = (1, 2)
MOST_CHANNELS = 16384
MOST_LAYERS = 1000
MOST_EXPANSION = 32
RESOLUTIONS = (8, 8192)  # the lowest and the highest, in px
_LITE = "-lite"  # what the notation of an EfficientNet-Lite ends with


class Allowed(NamedTuple):
    """A test for the values of a field, and its wording in an error: "NAME must be `words`"."""

    test: Callable[[Any], bool]
    words: str

    def check(self, what: str, value: object, error: type[EffsearchError] = NotationError) -> None:
        if not self.test(value):
            raise error(f"{what} must be {self.words}, got {value!r}")


def _among(values: tuple[Any, ...]) -> Allowed:
    return Allowed(lambda value: type(value) is type(values[0]) and value in values, f"one of {listed(values)}")


def _whole(low: int, high: int) -> Allowed:
    return Allowed(lambda value: type(value) is int and low <= value <= high, f"a whole number from {low} to {high}")


def _is_ratio(value: Any) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and (value == 0 or 0.001 <= value <= 1)


ALLOWED = {
    "op": _among(OPS),
    "kernel": _among(KERNELS),
    "stride": _among(STRIDES),
    "expansion": _whole(1, MOST_EXPANSION),
    "channels": _whole(1, MOST_CHANNELS),
    "layers": _whole(1, MOST_LAYERS),
    "se_ratio": Allowed(_is_ratio, "0, or from 0.001 to 1"),
    "activation": _among(ACTIVATIONS),
    "resolution": _whole(*RESOLUTIONS),
}
_FLAG, _HEAD = _among((False, True)), _whole(0, MOST_CHANNELS)

STEM_FIELDS = ("kernel", "stride", "channels")
# In the order of Stage's fields.
STAGE_FIELDS = ("op", "kernel", "stride", "expansion", "channels", "layers", "se_ratio")


@dataclass(frozen=True, slots=True)
class Stem:
    """The first convolution, from 3 to `channels` channels; with `pool`, a 3x3 max pool of stride 2 follows."""

    channels: int
    kernel: int = 3
    stride: int = 2
    pool: bool = False

    def __post_init__(self) -> None:
        for name in STEM_FIELDS:
            ALLOWED[name].check(f"stem {name}", getattr(self, name))
        _FLAG.check("stem pool", self.pool)

    def __str__(self) -> str:
        return f"stem_k{self.kernel}_s{self.stride}_c{self.channels}{'_pool' if self.pool else ''}"


@dataclass(frozen=True, slots=True)
class Stage:
    """`layers` equal blocks with `channels` output channels, the first with `stride`, the others with stride 1.

    Inside, a block has `expansion` times its input channels; a bottleneck has `channels` / `expansion`. `se_ratio` is
    relative to the input channels; 0 means no squeeze-and-excitation. Raises NotationError for a value out of range.
    """

    op: Op
    kernel: int
    stride: int
    expansion: int
    channels: int
    layers: int
    se_ratio: float = 0.0

    def __post_init__(self) -> None:
        for name in STAGE_FIELDS:
            ALLOWED[name].check("operator" if name == "op" else name, getattr(self, name))

    @property
    def operator(self) -> Operator:
        return OPERATORS[self.op]

    @property
    def parts(self) -> tuple[Part, ...]:
        """The layers on the main path of each block; a projection on its shortcut is not among them."""
        return self.operator.parts if self.se_ratio else self.operator.plain_parts

    def middle(self, in_channels: int) -> int:
        """The channels inside a block with these input channels (the expanded ones, or those of a bottleneck)."""
        by_output = self.operator.expansion == "output"
        return max(1, self.channels // self.expansion) if by_output else in_channels * self.expansion

    def widths(self, in_channels: int) -> tuple[int, int, int]:
        """The channels of a block's input, middle and output."""
        return in_channels, self.middle(in_channels), self.channels

    def shortcut(self, in_channels: int, stride: int) -> Shortcut:
        """The shortcut of one block; it needs no projection where input and output have one shape."""
        kind = self.operator.shortcut
        if stride == 1 and in_channels == self.channels:
            return "none" if kind == "none" else "identity"
        return "projection" if kind == "projection" else "none"

    def canonical(self) -> "Stage":
        """The stage that stands for all that build the same blocks, so that equal networks compare equal.

        With expansion 1, mbconv becomes separable and fused becomes conv. A `se_ratio` that the operator ignores
        becomes 0. Several expansions may round to the same channels inside a bottleneck: the largest is taken.
        """
        op = (self.operator.unexpanded if self.expansion == 1 else None) or self.op
        operator, expansion = OPERATORS[op], self.expansion
        if operator.expansion == "none":
            expansion = 1
        elif operator.expansion == "output":
            expansion = min(MOST_EXPANSION, self.channels // self.middle(self.channels))
        may_have_se = len(operator.parts) > len(operator.plain_parts)
        se_ratio = float(self.se_ratio) if may_have_se else 0.0
        if (op, expansion, se_ratio) == (self.op, self.expansion, self.se_ratio):
            return self
        return replace(self, op=op, expansion=expansion, se_ratio=se_ratio)

    def __str__(self) -> str:
        short = f"{self.se_ratio:g}"
        se = f"_se{short if float(short) == self.se_ratio else repr(self.se_ratio)}" if self.se_ratio else ""
        block = f"{self.operator.code}_r{self.layers}_k{self.kernel}_s{self.stride}_e{self.expansion}"
        return f"{block}_c{self.channels}{se}{self.operator.suffix}"


@dataclass(frozen=True)
class Architecture:
    """A stem, stages (in canonical form), and a 1x1 convolution to `head` channels (0: none); `resolution` is in px.

    A `lite` network follows TensorFlow, from which the weights of EfficientNet-Lite come, in the padding of strides and
    the epsilon of batch norms; as it grows, its stem, its head and the depth of its first and last stage stay.
    """

    stem: Stem
    stages: tuple[Stage, ...]
    head: int
    resolution: int = 224
    activation: Activation = "silu"
    lite: bool = False

    def __post_init__(self) -> None:
        if not self.stages:
            raise NotationError("an architecture needs at least one stage, got none")
        _HEAD.check("head channels", self.head)
        ALLOWED["resolution"].check("resolution", self.resolution)
        ALLOWED["activation"].check("activation", self.activation)
        _FLAG.check("lite", self.lite)
        object.__setattr__(self, "stages", tuple(stage.canonical() for stage in self.stages))

    def __str__(self) -> str:
        return self.notation

    @property
    def layers(self) -> int:
        """Blocks in all stages, without stem and head."""
        return sum(stage.layers for stage in self.stages)

    @property
    def feature_channels(self) -> int:
        """The number of features that the classifier gets."""
        return self.head or self.stages[-1].channels

    @property
    def channels(self) -> int:
        """The output channels of stem, stages and head added up: one number for the width of the network."""
        return self.stem.channels + sum(stage.channels for stage in self.stages) + self.head

    @property
    def normalisation(self) -> Normalisation:
        """That of the images that the network takes."""
        return LITE if self.lite else IMAGENET

    @cached_property
    def notation(self) -> str:
        """The architecture on one line; `parse` reads it back."""
        return self._join(self.stages)

    @cached_property
    def key(self) -> str:
        """Identifies the network, however its layers are divided into stages: ten hexadecimal digits of a hash."""
        return hashlib.sha256(self._join(_merged(self.stages)).encode()).hexdigest()[:10]

    def _join(self, stages: Sequence[Stage]) -> str:
        rows = "-".join(map(str, stages))
        return f"{self.resolution}px-{self.stem}-{rows}-head_c{self.head}-{self.activation}{_LITE if self.lite else ''}"

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, strings and lists, for JSON and TOML; `from_dict` reads it back."""
        return asdict(self) | {"stages": [asdict(stage) for stage in self.stages]}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Architecture":
        """Reads what `to_dict` wrote; raises NotationError for anything else."""
        try:
            stages = tuple(Stage(**row) for row in values["stages"])
            return cls(**{**values, "stem": Stem(**values["stem"]), "stages": stages})
        except (TypeError, KeyError, AttributeError, ValueError) as error:
            # A wrong key may have line breaks, which Python's message repeats; an error of ours is one line.
            raise NotationError(f"not an architecture in dict form: {' '.join(str(error).split())}") from None


def _merged(stages: tuple[Stage, ...]) -> list[Stage]:
    """The stages, where neighbours whose blocks are equal (and the second has stride 1) are joined to one."""
    merged = [stages[0]]
    for stage in stages[1:]:
        last = merged[-1]
        if stage.stride == 1 and replace(stage, layers=1, stride=last.stride) == replace(last, layers=1):
            merged[-1] = replace(last, layers=last.layers + stage.layers)
        else:
            merged.append(stage)
    return merged


_FIELD = re.compile(r"(se|[rksec])(\d{1,5}(?:\.\d{1,24})?)")


def parse(notation: str) -> Architecture:
    """Reads a notation; raises NotationError that names the wrong part."""
    if notation.strip().removesuffix(_LITE).count("-") < 4:
        shape = "RESpx-stem_k3_s2_cN-STAGES-head_cN-ACTIVATION"
        raise NotationError(f"{_shorten(notation)!r} is not a notation; one reads {shape}")
    plain = notation.strip().removesuffix(_LITE)
    first, stem, *rows, head, activation = plain.split("-")
    if not re.fullmatch(r"\d{1,5}px", first):
        raise NotationError(f"a notation begins with its resolution such as 224px, got {_shorten(first)!r}")
    if activation not in ACTIVATIONS:
        raise NotationError(f"a notation ends with one of {listed(ACTIVATIONS)}, got {_shorten(activation)!r}")
    conv = stem.removesuffix("_pool")
    fields = _fields(conv, "stem", required="ksc")
    head_channels = _fields(head, "head", required="c")["c"]
    made = Stem(fields["c"], fields["k"], fields["s"], pool=conv != stem)
    stages, lite = tuple(map(parse_stage, rows)), plain != notation.strip()
    return Architecture(made, stages, head_channels, int(first[:-2]), activation, lite)


def parse_stage(text: str) -> Stage:
    """Reads one block string such as ir_r2_k3_s2_e6_c24_se0.25; raises NotationError."""
    code = text.split("_", 1)[0]
    if code not in OP_OF_CODE:
        allowed = f"{listed(OP_OF_CODE)} and reads ir_r2_k3_s2_e6_c24_se0.25"
        raise NotationError(f"{_shorten(text)!r} is not a stage; one begins with {allowed}")
    op = OP_OF_CODE[code]
    suffix = OPERATORS[op].suffix
    if not text.endswith(suffix):
        raise NotationError(f"{_shorten(text)!r}: a convolution stage has a shortcut and ends with {suffix}")
    fields = _fields(text.removesuffix(suffix), code, required="rksc", optional=("e", "se"))
    if OPERATORS[op].expansion != "none" and "e" not in fields:
        raise NotationError(f"{_shorten(text)!r} has no expansion (such as e6)")
    kernel, stride, expansion = fields["k"], fields["s"], fields.get("e", 1)
    return Stage(op, kernel, stride, expansion, fields["c"], fields["r"], fields.get("se", 0.0))


def _fields(text: str, name: str, required: str, optional: tuple[str, ...] = ()) -> dict[str, Any]:
    """The numbers of a text such as `name`_k3_s2_se0.25 by letter, all of them whole numbers but for se."""
    head, *tokens = text.split("_")
    fields: dict[str, Any] = {}
    for token in tokens:
        match = _FIELD.fullmatch(token)
        if match is None:
            raise NotationError(f"{_shorten(text)!r}: cannot read {_shorten(token)!r}")
        letter, number = match.groups()
        if letter not in (*required, *optional) or letter in fields or (letter != "se" and "." in number):
            raise NotationError(f"{_shorten(text)!r}: {_shorten(token)!r} is not expected there")
        fields[letter] = float(number) if letter == "se" else int(number)
    missing = [letter for letter in required if letter not in fields]
    if head != name or missing:
        wanted = "_".join((name, *(f"{letter}N" for letter in required)))
        raise NotationError(f"{_shorten(text)!r} is not a {name} of the form {wanted}")
    return fields


def _shorten(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:57]}..."

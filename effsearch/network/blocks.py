"""The blocks of a stage, with the module names of torchvision's EfficientNet where it has them."""

from collections.abc import Callable
from functools import partial

from torch import Tensor, nn
from torchvision.ops import StochasticDepth

from effsearch.architecture import Activation, Stage
from effsearch.costs import squeeze_channels
from effsearch.network.layers import Layer, SqueezeExcitation
from effsearch.operators import SHORTCUT_PROJECTION, Part

ACTIVATION_LAYERS = {"silu": nn.SiLU, "relu": nn.ReLU, "relu6": nn.ReLU6, "hardswish": nn.Hardswish}


def activation_layer(activation: Activation) -> Callable[[], nn.Module]:
    """Makes an activation; in place only where autograd needs no copy of the input."""
    return partial(ACTIVATION_LAYERS[activation], inplace=activation in ("relu", "relu6"))


class Block(nn.Module):
    """One layer of a stage; training skips its residual branch with probability `drop_path` an image (1603.09382)."""

    def __init__(self, stage: Stage, channels: int, stride: int, activation: Activation, drop_path: float) -> None:
        super().__init__()
        act = activation_layer(activation)
        module = partial(_module, stage=stage, channels=channels, stride=stride, act=act)
        self.block = nn.Sequential(*map(module, stage.parts))
        shortcut = stage.shortcut(channels, stride)
        self.shortcut = shortcut != "none"
        self.projection = module(SHORTCUT_PROJECTION) if shortcut == "projection" else nn.Identity()
        self.stochastic_depth = StochasticDepth(drop_path, "row")
        self.activation = act() if stage.operator.shortcut == "projection" else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        out = x
        for part in self.block:
            out = part(out)
        if self.shortcut:
            out = self.activation(self.projection(x) + self.stochastic_depth(out))
        return out

    @property
    def last_norm(self) -> nn.BatchNorm2d | None:
        """The norm that ends the residual branch, or None where an activation does."""
        last = self.block[-1]
        return last[1] if isinstance(last, Layer) and len(last) == 2 else None


def _module(part: Part, stage: Stage, channels: int, stride: int, act: Callable[[], nn.Module]) -> nn.Module:
    widths = stage.widths(channels)
    given, gives = widths[part.given], widths[part.gives]
    if part.kind == "excitation":
        return SqueezeExcitation(gives, squeeze_channels(channels, stage.se_ratio), activation=act)
    return Layer(
        given,
        gives,
        kernel_size=1 if part.kind == "pointwise" else stage.kernel,
        stride=stride if part.strided else 1,
        groups=given if part.kind == "depthwise" else 1,
        activation_layer=act if part.activated else None,
        inplace=None,
    )

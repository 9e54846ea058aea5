"""The blocks of a stage, with the module names of torchvision's EfficientNet where it has them."""

from collections.abc import Callable
from functools import partial

from torch import Tensor, nn
from torchvision.ops import StochasticDepth

from effsearch.architecture import Activation, Stage
from effsearch.cost import squeeze_channels
from effsearch.network.layers import Layer, SqueezeExcitation

ACTIVATION_LAYERS: dict[Activation, Callable[..., nn.Module]] = {
    "silu": nn.SiLU,
    "relu": nn.ReLU,
    "relu6": nn.ReLU6,
    "hardswish": nn.Hardswish,
}


def in_place(activation: Activation) -> bool:
    """Whether an activation overwrites its input: for SiLU and hardswish autograd would have to copy that first."""
    return activation in ("relu", "relu6")


class Block(nn.Module):
    """One layer of a stage: expand, filter in space, squeeze and excite, project; with a shortcut where shapes allow.

    `drop_path` is the probability with which training skips the residual branch for one image (1603.09382).
    """

    def __init__(self, stage: Stage, channels: int, stride: int, activation: Activation, drop_path: float) -> None:
        super().__init__()
        act = ACTIVATION_LAYERS[activation]
        layer = partial(Layer, inplace=in_place(activation))
        middle = stage.middle(channels)
        parts: list[nn.Module] = []
        if stage.op == "conv":
            parts.append(layer(channels, stage.channels, stage.kernel, stride, activation_layer=act))
        else:
            if stage.op == "fused":
                parts.append(layer(channels, middle, stage.kernel, stride, activation_layer=act))
            if stage.op == "mbconv":
                parts.append(layer(channels, middle, 1, activation_layer=act))
            if stage.op in ("mbconv", "separable", "plain_separable"):
                parts.append(layer(middle, middle, stage.kernel, stride, groups=middle, activation_layer=act))
            if stage.se_ratio:
                squeeze = squeeze_channels(channels, stage.se_ratio)
                parts.append(SqueezeExcitation(middle, squeeze, activation=partial(act, inplace=in_place(activation))))
            last = act if stage.op == "plain_separable" else None
            parts.append(layer(middle, stage.channels, 1, activation_layer=last))
        self.block = nn.Sequential(*parts)
        self.shortcut = stride == 1 and channels == stage.channels and stage.op != "plain_separable"
        self.stochastic_depth = StochasticDepth(drop_path, "row")

    def forward(self, x: Tensor) -> Tensor:
        out = x
        for part in self.block:
            out = part(out)
        return x + self.stochastic_depth(out) if self.shortcut else out


class Bottleneck(nn.Module):
    """One layer of a ResNet: reduce, filter in space, restore, add the shortcut or its projection, activate.

    The filter has the stride, as in torchvision; 1512.03385 has it in the first convolution. `drop_path` as in `Block`.
    """

    shortcut = True

    def __init__(self, stage: Stage, channels: int, stride: int, activation: Activation, drop_path: float) -> None:
        super().__init__()
        act = ACTIVATION_LAYERS[activation]
        layer = partial(Layer, inplace=in_place(activation))
        middle = stage.middle(channels)
        self.block = nn.Sequential(
            layer(channels, middle, 1, activation_layer=act),
            layer(middle, middle, stage.kernel, stride, activation_layer=act),
            layer(middle, stage.channels, 1, activation_layer=None),
        )
        same = stride == 1 and channels == stage.channels
        self.projection = nn.Identity() if same else layer(channels, stage.channels, 1, stride, activation_layer=None)
        self.stochastic_depth = StochasticDepth(drop_path, "row")
        self.activation = act(inplace=in_place(activation))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.activation(self.projection(x) + self.stochastic_depth(self.block(x)))
        return out

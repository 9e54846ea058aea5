"""The blocks of a stage, with the module names of torchvision's EfficientNet."""

from collections.abc import Callable
from functools import partial

from torch import Tensor, nn
from torchvision.ops import Conv2dNormActivation, SqueezeExcitation, StochasticDepth

from effsearch.architecture import Activation, Stage
from effsearch.cost import squeeze_channels

ACTIVATION_LAYERS: dict[Activation, Callable[..., nn.Module]] = {
    "silu": nn.SiLU,
    "relu": nn.ReLU,
    "relu6": nn.ReLU6,
    "hardswish": nn.Hardswish,
}


class Block(nn.Module):
    """One layer of a stage: expand, filter in space, squeeze and excite, project; with a shortcut where shapes allow.

    `drop_path` is the probability with which training skips the residual branch for one image (1603.09382).
    """

    def __init__(self, stage: Stage, channels: int, stride: int, activation: Activation, drop_path: float) -> None:
        super().__init__()
        act = ACTIVATION_LAYERS[activation]
        layer = partial(Conv2dNormActivation, norm_layer=nn.BatchNorm2d)
        middle = channels * stage.expansion
        parts: list[nn.Module] = []
        if stage.op == "conv":
            parts.append(layer(channels, stage.channels, stage.kernel, stride, activation_layer=act))
        else:
            if stage.op == "fused":
                parts.append(layer(channels, middle, stage.kernel, stride, activation_layer=act))
            if stage.op == "mbconv":
                parts.append(layer(channels, middle, 1, activation_layer=act))
            if stage.op in ("mbconv", "separable"):
                parts.append(layer(middle, middle, stage.kernel, stride, groups=middle, activation_layer=act))
            if stage.se_ratio:
                squeeze = squeeze_channels(channels, stage.se_ratio)
                parts.append(SqueezeExcitation(middle, squeeze, activation=partial(act, inplace=True)))
            parts.append(layer(middle, stage.channels, 1, activation_layer=None))
        self.block = nn.Sequential(*parts)
        self.shortcut = stride == 1 and channels == stage.channels
        self.stochastic_depth = StochasticDepth(drop_path, "row")

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.block(x)
        return x + self.stochastic_depth(out) if self.shortcut else out

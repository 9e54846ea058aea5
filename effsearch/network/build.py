"""Builds the module of an architecture and initialises it, with the module names of torchvision's EfficientNet."""

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torchvision.ops import StochasticDepth

from effsearch.architecture import Activation, Architecture, Stage
from effsearch.costs import squeeze_channels
from effsearch.network.layers import Layer, LiteLayer, SqueezeExcitation
from effsearch.normalisation import Normalisation
from effsearch.operators import SHORTCUT_PROJECTION, Part

ACTIVATION_LAYERS = {"silu": nn.SiLU, "relu": nn.ReLU, "relu6": nn.ReLU6, "hardswish": nn.Hardswish}


def activation_layer(activation: Activation) -> Callable[[], nn.Module]:
    """Makes an activation; in place only where autograd needs no copy of the input."""
    return partial(ACTIVATION_LAYERS[activation], inplace=activation in ("relu", "relu6"))


class Block(nn.Module):
    """One layer of a stage; training skips its residual branch with probability `drop_path` an image (1603.09382)."""

    def __init__(
        self,
        stage: Stage,
        channels: int,
        stride: int,
        activation: Activation,
        drop_path: float,
        layer: type[Layer] = Layer,
    ) -> None:
        super().__init__()
        act = activation_layer(activation)
        module = partial(_module, stage=stage, channels=channels, stride=stride, act=act, layer=layer)
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


def _module(
    part: Part, stage: Stage, channels: int, stride: int, act: Callable[[], nn.Module], layer: type[Layer]
) -> nn.Module:
    widths = stage.widths(channels)
    given, gives = widths[part.given], widths[part.gives]
    if part.kind == "excitation":
        return SqueezeExcitation(gives, squeeze_channels(channels, stage.se_ratio), activation=act)
    return layer(
        given,
        gives,
        kernel_size=1 if part.kind == "pointwise" else stage.kernel,
        stride=stride if part.strided else 1,
        groups=given if part.kind == "depthwise" else 1,
        activation_layer=act if part.activated else None,
        inplace=None,
    )


class Network(nn.Module):
    """Images (N, 3, H, W) in, logits (N, classes) out; state dicts are those of torchvision's EfficientNet.

    `normalisation` is that of its images.
    """

    def __init__(
        self, features: nn.Sequential, channels: int, classes: int, dropout: float, normalisation: Normalisation
    ) -> None:
        super().__init__()
        self.normalisation = normalisation
        self.features = features
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Sequential(nn.Dropout(dropout), nn.Linear(channels, classes))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.classifier(torch.flatten(self.avgpool(self.features(x)), 1))
        return out


def build(
    architecture: Architecture, classes: int, *, dropout: float = 0.2, drop_path: float = 0.2, zero_init: bool = False
) -> Network:
    """Makes the network, initialised from torch's global generator.

    `drop_path` grows linearly over the blocks from 0 to (almost) its value, as in the paper's code. `zero_init` starts
    layers with a shortcut as the identity (1706.02677, section 5.1) and the classifier at zero, for short trainings.
    """
    stem, channels, done = architecture.stem, architecture.stem.channels, 0
    act, layer = activation_layer(architecture.activation), LiteLayer if architecture.lite else Layer
    first = layer(3, stem.channels, stem.kernel, stem.stride, activation_layer=act, inplace=None)
    if stem.pool:
        first.append(nn.MaxPool2d(3, 2, 1))
    parts: list[nn.Module] = [first]
    for stage in architecture.stages:
        blocks = []
        for stride in (stage.stride, *[1] * (stage.layers - 1)):
            rate = drop_path * done / architecture.layers
            blocks.append(Block(stage, channels, stride, architecture.activation, rate, layer))
            channels, done = stage.channels, done + 1
        parts.append(nn.Sequential(*blocks))
    if architecture.head:
        parts.append(layer(channels, architecture.head, 1, activation_layer=act, inplace=None))
    features, normalisation = nn.Sequential(*parts), architecture.normalisation
    network = Network(features, architecture.feature_channels, classes, dropout, normalisation)
    network.apply(_initialise)
    if zero_init:
        # Not a norm right before an activation: a rectifier has no gradient at zero, and the branch would never learn.
        norms = [block.last_norm for block in network.modules() if isinstance(block, Block) and block.shortcut]
        for parameter in (*network.classifier.parameters(), *(norm.weight for norm in norms if norm is not None)):
            nn.init.zeros_(parameter)
    return network


def _initialise(module: nn.Module) -> None:
    """As in the paper's code, where fan-out of a depthwise filter is its own outputs, not all as in kaiming_normal_."""
    if isinstance(module, nn.Conv2d):
        fan_out = module.kernel_size[0] * module.kernel_size[1] * module.out_channels // module.groups
        nn.init.normal_(module.weight, 0.0, math.sqrt(2 / fan_out))
    elif isinstance(module, nn.Linear):
        bound = 1 / math.sqrt(module.out_features)
        nn.init.uniform_(module.weight, -bound, bound)
    if isinstance(module, nn.Conv2d | nn.Linear) and module.bias is not None:
        nn.init.zeros_(module.bias)

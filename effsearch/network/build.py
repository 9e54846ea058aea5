"""Builds the module of an architecture and initialises it."""

import math
from functools import partial

import torch
from torch import Tensor, nn

from effsearch.architecture import Architecture
from effsearch.network.blocks import Block, activation_layer
from effsearch.network.layers import Layer


class Network(nn.Module):
    """Images (N, 3, H, W) in, logits (N, classes) out; state dicts are those of torchvision's EfficientNet."""

    def __init__(self, features: nn.Sequential, channels: int, classes: int, dropout: float) -> None:
        super().__init__()
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
    layer = partial(Layer, activation_layer=activation_layer(architecture.activation), inplace=None)
    first = layer(3, stem.channels, stem.kernel, stem.stride)
    if stem.pool:
        first.append(nn.MaxPool2d(3, 2, 1))
    parts: list[nn.Module] = [first]
    for stage in architecture.stages:
        blocks = []
        for stride in (stage.stride, *[1] * (stage.layers - 1)):
            rate = drop_path * done / architecture.layers
            blocks.append(Block(stage, channels, stride, architecture.activation, rate))
            channels, done = stage.channels, done + 1
        parts.append(nn.Sequential(*blocks))
    if architecture.head:
        parts.append(layer(channels, architecture.head, 1))
    network = Network(nn.Sequential(*parts), architecture.feature_channels, classes, dropout)
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

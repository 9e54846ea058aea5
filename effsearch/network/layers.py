"""A convolution with norm and activation, and squeeze-and-excitation: as in torchvision, or computed fast on a CPU.

Training on a CPU uses `fast`, and validation `folded` as well; exports, counters and GPUs see the plain modules.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torchvision import ops

from effsearch.network.convolution import convolve


class Layer(ops.Conv2dNormActivation):  # type: ignore[misc]
    fast = False

    def forward(self, x: Tensor) -> Tensor:
        if not self.fast:
            out: Tensor = super().forward(x)
            return out
        # `forward` without the hooks of a module's call, which take as long as a small layer.
        convolution, *others = self._modules.values()
        assert isinstance(convolution, nn.Conv2d)
        x = convolve(x, convolution)
        for module in others:
            assert module is not None
            x = _normalised(x, module) if isinstance(module, nn.BatchNorm2d) else module.forward(x)
        return x


class LiteLayer(Layer):
    """The same with the padding and the epsilon of TensorFlow."""

    def __init__(self, given: int, gives: int, kernel_size: int, stride: int = 1, **others: Any) -> None:
        super().__init__(given, gives, kernel_size, stride, norm_layer=partial(nn.BatchNorm2d, eps=1e-3), **others)
        if stride > 1 and kernel_size > 1:
            groups = others.get("groups", 1)
            self[0] = PaddedLate(given, gives, kernel_size, stride, kernel_size // 2, groups=groups, bias=False)


class PaddedLate(nn.Conv2d):
    """A convolution with TensorFlow's SAME padding: of an even side, the first border gets one pixel less."""

    def forward(self, x: Tensor) -> Tensor:
        (height, width), half = x.shape[2:], self.kernel_size[0] // 2
        top, left = half - 1 + height % 2, half - 1 + width % 2  # without a comparison, so that it can be traced
        padded = functional.pad(x, (left, half, top, half))
        return functional.conv2d(padded, self.weight, self.bias, self.stride, groups=self.groups)


def _normalised(x: Tensor, norm: nn.BatchNorm2d) -> Tensor:
    if not norm.training or x.numel() == x.shape[1]:  # One value a channel, which the module refuses.
        return norm.forward(x)
    assert norm.num_batches_tracked is not None
    assert norm.momentum is not None
    norm.num_batches_tracked.add_(1)
    weights = norm.weight, norm.bias, norm.running_mean, norm.running_var
    return torch.batch_norm(x, *weights, True, norm.momentum, norm.eps, False)


class SqueezeExcitation(ops.SqueezeExcitation):  # type: ignore[misc]
    """Channels, each scaled by a factor that two layers compute from the means of all (1709.01507)."""

    fast = False

    def forward(self, x: Tensor) -> Tensor:
        if not self.fast:
            out: Tensor = super().forward(x)
            return out
        # The gradient of a mean is divided at every pixel, that of a sum is not.
        means = x.sum((2, 3)) / (x.shape[2] * x.shape[3])
        squeezed = self.activation.forward(functional.linear(means, self.fc1.weight.flatten(1), self.fc1.bias))
        scale = functional.linear(squeezed, self.fc2.weight.flatten(1), self.fc2.bias)
        scaled: Tensor = x * self.scale_activation.forward(scale).view(*scale.shape, 1, 1)
        return scaled


@contextmanager
def fast(network: nn.Module) -> Iterator[None]:
    """Lets a network compute by algorithms that are fast on a CPU, with the same results but for rounding."""
    layers = [module for module in network.modules() if isinstance(module, Layer | SqueezeExcitation)]
    for layer in layers:
        layer.fast = True
    try:
        yield
    finally:
        for layer in layers:
            layer.fast = False


@contextmanager
def folded(network: nn.Module) -> Iterator[None]:
    """Folds the batch norms of a network in evaluation mode into the convolutions before them."""
    layers = [module for module in network.modules() if isinstance(module, Layer)]
    pairs = [(layer, layer[0], layer[1]) for layer in layers if isinstance(layer[1], nn.BatchNorm2d)]
    try:
        for layer, convolution, norm in pairs:
            layer[0], layer[1] = fuse_conv_bn_eval(convolution, norm), nn.Identity()
        yield
    finally:
        for layer, convolution, norm in pairs:
            layer[0], layer[1] = convolution, norm

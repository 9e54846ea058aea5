"""Convolutions on a CPU in training, each by the algorithm that is fastest for its shape, with the same results.

oneDNN is slow for the shapes of proxy trainings, most of all backward. The choice depends on a layer's shape alone.
"""

from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

MATRIX_CHANNELS, MATRIX_PIXELS = 16, 100  # least input channels and most pixels of a matrix product
SMALL_MAP = 36  # pixels of the largest map on which a kernel larger than the map is written out: a kernel of 7 on 6x6
AT_ONCE = 1 << 19  # products that the gradient of a written-out kernel keeps in memory: 2 MiB, which stay in the cache


def convolve(x: Tensor, convolution: nn.Conv2d) -> Tensor:
    """The output of `convolution` for x (N, C, H, W) in channels_last.

    Its kernel is square, odd, padded by half of it and not dilated. A pointwise one of many channels on a small map is
    a matrix product; pixels that its stride skips are left out first, since oneDNN's backward pass of narrow ones
    writes outside of its memory (issue 6035). A depthwise one larger than its map is a `SmallMap` (issue 1807).
    """
    kernel, stride = convolution.kernel_size[0], convolution.stride[0]
    if kernel == 1 and convolution.groups == 1:
        if stride > 1:
            x = x[:, :, ::stride, ::stride].contiguous(memory_format=torch.channels_last)
        if x.shape[1] >= MATRIX_CHANNELS and x.shape[2] * x.shape[3] <= MATRIX_PIXELS:
            rows = functional.linear(x.permute(0, 2, 3, 1), convolution.weight.flatten(1), convolution.bias)
            return rows.permute(0, 3, 1, 2)
        return functional.conv2d(x, convolution.weight, convolution.bias)
    if is_written_out(x, convolution):
        out: Tensor = SmallMap.apply(x, convolution.weight, stride)
        return out if convolution.bias is None else out + convolution.bias[:, None, None]
    return convolution.forward(x)


def is_written_out(x: Tensor, convolution: nn.Conv2d) -> bool:
    """Whether a convolution is depthwise with a kernel larger than its map."""
    height, width = x.shape[2:]
    depthwise = convolution.groups == convolution.in_channels == convolution.out_channels > 1
    plain = type(convolution) is nn.Conv2d  # Others are padded in their own way.
    return plain and depthwise and convolution.kernel_size[0] > min(height, width) and height * width <= SMALL_MAP


class SmallMap(torch.autograd.Function):
    """A depthwise convolution, padded by half of its odd kernel, as a dense sum over input and output pixels.

    x (N, C, H, W), weight (C, 1, K, K) and a stride give (N, C, H', W') in channels_last.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, stride: int) -> Tensor:
        images, channels, height, width = x.shape
        between, shape = _between(height, width, weight.shape[-1], stride)
        between = between.to(x.dtype)
        filters = (between @ weight.reshape(channels, -1).t()).view(height * width, shape[0] * shape[1], channels)
        pixels = x.permute(0, 2, 3, 1).reshape(images, height * width, channels)
        ctx.save_for_backward(pixels, filters, between)
        ctx.shapes = x.shape, weight.shape
        return _summed(pixels, filters).view(images, *shape, channels).permute(0, 3, 1, 2)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None]:
        pixels, filters, between = ctx.saved_tensors
        (images, channels, height, width), weight_shape = ctx.shapes
        slopes = gradients[0].permute(0, 2, 3, 1).reshape(images, -1, channels)
        of_x = _summed(slopes, filters.transpose(0, 1))
        some = max(1, AT_ONCE // slopes.numel())
        of_filters = torch.cat([(part[:, :, None] * slopes[:, None]).sum(0) for part in pixels.split(some, 1)])
        of_weight = of_filters.view(-1, channels).t() @ between
        return of_x.view(images, height, width, channels).permute(0, 3, 1, 2), of_weight.view(weight_shape), None


def _summed(pixels: Tensor, filters: Tensor) -> Tensor:
    """The sum over pixels in of pixels (N, in, C) times filters (in, out, C): (N, out, C)."""
    first, *others = zip(pixels.unsqueeze(2).unbind(1), filters.unbind(0), strict=True)
    out = torch.mul(*first)
    for pixel, each in others:
        out.addcmul_(pixel, each)
    return out


@lru_cache(maxsize=256)
@torch.inference_mode(False)  # the tensors are cached, and a training must be able to use those of a validation
def _between(height: int, width: int, kernel: int, stride: int) -> tuple[Tensor, tuple[int, int]]:
    """Which weight lies between two pixels: one-hot rows (pixels in x pixels out, kernel^2), and the shape out."""
    below, shape_y = _offsets(height, kernel, stride)
    right, shape_x = _offsets(width, kernel, stride)
    one_hot = torch.einsum("ioa,jpb->ijopab", below, right)
    return one_hot.reshape(-1, kernel * kernel), (shape_y, shape_x)


def _offsets(size: int, kernel: int, stride: int) -> tuple[Tensor, int]:
    """One-hot positions in the kernel along one axis (size, size out, kernel), and the size out."""
    out = (size - 1) // stride + 1
    offsets = torch.arange(size)[:, None] - stride * torch.arange(out) + kernel // 2
    return (offsets[:, :, None] == torch.arange(kernel)).float(), out

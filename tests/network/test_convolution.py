"""Every way that a convolution may go gives what torch's own gives, forward and backward."""

import pytest
import torch
from hypothesis import assume, example, given, settings, strategies as st
from torch import Tensor, nn

from effsearch.network import convolution as module
from effsearch.network.convolution import MATRIX_CHANNELS, MATRIX_PIXELS, SMALL_MAP, convolve, is_written_out


def convolution(channels: int, out: int, kernel: int, stride: int, groups: int, bias: bool = False) -> nn.Conv2d:
    return nn.Conv2d(channels, out, kernel, stride, kernel // 2, groups=groups, bias=bias)


def draw(made: nn.Conv2d, images: int, height: int, width: int, dtype: torch.dtype = torch.float64) -> Tensor:
    """A batch for it, in channels_last; both in `dtype`."""
    made.to(dtype=dtype, memory_format=torch.channels_last)
    x = torch.randn(images, made.in_channels, height, width, dtype=dtype)
    return x.contiguous(memory_format=torch.channels_last).requires_grad_()


def results(made: nn.Conv2d, x: Tensor, way) -> list[Tensor]:
    """The output, and the gradients of a loss in which every number of it weighs otherwise."""
    out = way(x)
    weights = torch.linspace(-1, 1, out.numel(), dtype=out.dtype).view(out.shape).sin()
    return [out, *torch.autograd.grad((out * weights).sum(), [x, *made.parameters()])]


def check(made: nn.Conv2d, x: Tensor) -> None:
    for got, wanted in zip(results(made, x, lambda x: convolve(x, made)), results(made, x, made), strict=True):
        assert got.shape == wanted.shape
        torch.testing.assert_close(got, wanted)


@settings(max_examples=150, deadline=None)
@given(
    kernel=st.sampled_from([3, 5, 7]),
    stride=st.sampled_from([1, 2, 3]),
    height=st.integers(1, 6),
    width=st.integers(1, 6),
    channels=st.integers(2, 9),
    images=st.integers(1, 4),
    bias=st.booleans(),
)
@example(kernel=7, stride=1, height=6, width=6, channels=3, images=2, bias=False)
@example(kernel=5, stride=2, height=1, width=4, channels=2, images=1, bias=True)
def test_a_depthwise_kernel_larger_than_its_map(kernel, stride, height, width, channels, images, bias):
    assume(kernel > min(height, width))
    made = convolution(channels, channels, kernel, stride, channels, bias)
    x = draw(made, images, height, width)
    assert is_written_out(x, made)
    check(made, x)


@settings(max_examples=100, deadline=None)
@given(
    channels=st.sampled_from([1, 4, MATRIX_CHANNELS - 1, MATRIX_CHANNELS, 24]),
    out=st.integers(1, 20),
    stride=st.sampled_from([1, 2, 3]),
    side=st.sampled_from([1, 2, 7, 10, 11, 20]),
    bias=st.booleans(),
)
def test_a_pointwise_convolution(channels, out, stride, side, bias):
    made = convolution(channels, out, 1, stride, 1, bias)
    check(made, draw(made, 2, side, side))


@settings(max_examples=60, deadline=None)
@given(
    kernel=st.sampled_from([3, 5]),
    stride=st.sampled_from([1, 2]),
    side=st.integers(3, 12),
    groups=st.sampled_from([1, 2, 6]),
)
def test_any_other_convolution(kernel, stride, side, groups):
    made = convolution(6, 6, kernel, stride, groups)
    check(made, draw(made, 2, side, side))


def test_which_way_a_shape_goes():
    def written_out(kernel: int, height: int, width: int, groups: int = 4) -> bool:
        made = convolution(4, 4, kernel, 1, groups)
        return is_written_out(torch.zeros(1, 4, height, width), made)

    assert written_out(5, 4, 4)
    assert written_out(5, 2, 9)
    assert not written_out(5, 5, 5)
    assert not written_out(3, 3, 3)
    assert not written_out(5, 4, 4, groups=2)
    assert written_out(7, 6, 6)
    assert not written_out(11, 7, 7)
    assert SMALL_MAP == 36
    assert MATRIX_PIXELS == 100


@pytest.mark.parametrize(("kernel", "side", "stride"), [(5, 3, 2), (5, 4, 1), (3, 2, 1)])
def test_the_gradient_of_a_kernel_is_the_same_however_many_pixels_are_taken_at_a_time(
    kernel, side, stride, monkeypatch
):
    made = convolution(40, 40, kernel, stride, 40)
    x = draw(made, 8, side, side)
    wanted = results(made, x, lambda x: convolve(x, made))
    monkeypatch.setattr(module, "AT_ONCE", 1)
    for got, expected in zip(results(made, x, lambda x: convolve(x, made)), wanted, strict=True):
        torch.testing.assert_close(got, expected)


@pytest.mark.parametrize(("kernel", "groups", "side"), [(5, 24, 3), (1, 1, 8), (3, 1, 8)])
def test_in_float32_twice_the_same_to_the_bit_in_channels_last(kernel, groups, side):
    made = convolution(24, 24, kernel, 1, groups)
    x = draw(made, 4, side, side, torch.float32)
    once, again = (results(made, x, lambda x: convolve(x, made)) for _ in range(2))
    assert all(map(torch.equal, once, again))
    assert once[0].is_contiguous(memory_format=torch.channels_last)
    for got, wanted in zip(once, results(made, x, made), strict=True):
        torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-4)

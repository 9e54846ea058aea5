"""uint8 images -> what a network takes: normalised float32, channels_last, augmented a batch at a time on the device.

Shifts and flips move bytes, before anything is float. Whatever changes the size is two matrix products a batch, whose
rows are triangle filters as wide as the reduction: exact anti-aliasing for any mix of crops (Pillow's bilinear filter).
"""

from contextlib import nullcontext
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from effsearch.data.augmentation import SHARED, Augmentation
from effsearch.normalisation import IMAGENET, Normalisation

_GREY = (0.299, 0.587, 0.114)  # ITU-R BT.601
_ASPECT = 4 / 3
_DRAWS = 8


def normalise(pixels: Tensor, resolution: int, normalisation: Normalisation = IMAGENET) -> Tensor:
    """Images as a network takes them, without augmentation: uint8 (N, H, W, 3) -> float32 (N, 3, R, R).

    Resized with anti-aliasing where R differs from H or W; channels_last; then normalised.
    """
    return _standardise(_resize(pixels, resolution), normalisation)


def augment(
    pixels: Tensor,
    resolution: int,
    augmentation: Augmentation,
    generator: torch.Generator,
    normalisation: Normalisation = IMAGENET,
) -> Tensor:
    """Images changed at random for training: uint8 (N, H, W, 3) -> float32 (N, 3, R, R), as `normalise`.

    Only `generator` decides (but a policy draws from torch's global generator), with the same number of draws
    whatever is switched on; a generator of the CPU gives the same changes on any device.
    """
    draws = torch.rand(len(pixels), _DRAWS, generator=generator, device=generator.device).to(pixels.device)
    flips = draws[:, 0] < 0.5 if augmentation.flip else torch.zeros_like(draws[:, 0], dtype=torch.bool)
    if augmentation.crop == "resized":
        images = _resized_crop(pixels, resolution, augmentation.scale_min, flips, draws[:, 1:5])
    else:
        pad = augmentation.pad if augmentation.crop == "pad" else 0.0
        images = _resize(_shift(pixels, pad, flips, draws[:, 1:3]), resolution)
    if augmentation.policy == "autoaugment":
        images = _autoaugment(images)
    if augmentation.colour:
        images = _jitter(images, augmentation.colour, draws[:, 5:8])
    return _standardise(images, normalisation)


def _autoaugment(images: Tensor) -> Tensor:
    """AutoAugment's policy for ImageNet on (N, H, W, 3) of 0..255; torchvision draws from torch's global generator."""
    from torchvision.transforms import v2

    policy = v2.AutoAugment(v2.AutoAugmentPolicy.IMAGENET, fill=[int(value) for value in IMAGENET.mean])
    planes = images.round().clamp(0, 255).to(torch.uint8).permute(0, 3, 1, 2)
    with _NoWait(images.device) if images.is_cuda else nullcontext():
        changed = torch.cat([policy(part) for part in torch.split(planes, SHARED)])
    return changed.permute(0, 2, 3, 1).contiguous()


class _NoWait(TorchFunctionMode):
    """Within it `torch.tensor` copies numbers to a GPU from pinned memory, without waiting for the GPU."""

    def __init__(self, device: torch.device) -> None:
        super().__init__()
        self.device = device

    def __torch_function__(self, function: Any, types: Any, arguments: Any = (), options: Any = None) -> Any:
        options = dict(options or {})
        if function is torch.tensor and options.get("device") == self.device:
            del options["device"]
            return function(*arguments, **options).pin_memory().to(self.device, non_blocking=True)
        return function(*arguments, **options)


def _standardise(images: Tensor, normalisation: Normalisation) -> Tensor:
    """(N, R, R, 3) of 0..255 -> float32 (N, 3, R, R) in channels_last, the very same memory order."""
    n, height, width, _ = images.shape
    # Whole rows against a repeated constant: a broadcast over the last axis of 3 is several times slower.
    mean, deviation = (constant(values, images.device, width) for values in normalisation)
    # In place: bytes have just been copied by float(), and what is float already was made here.
    rows = images.reshape(n, height, width * 3).float().sub_(mean).div_(deviation)
    return rows.view(n, height, width, 3).permute(0, 3, 1, 2)


@lru_cache(maxsize=64)
@torch.inference_mode(False)
def constant(values: tuple[float, ...], device: torch.device, times: int = 1) -> Tensor:
    """Numbers as a tensor, repeated; cached, since a copy to a GPU in every step would make each wait."""
    return torch.tensor(values * times, device=device)


def _shift(pixels: Tensor, pad: float, flips: Tensor, draws: Tensor) -> Tensor:
    """Moves each image by up to `pad` of its side, reflecting at the borders, and mirrors those of `flips`."""
    n, height, width, _ = pixels.shape
    if not pad:
        return torch.where(flips[:, None, None, None], pixels.flip(2), pixels)
    rows = _shifted(height, round(pad * height), draws[:, 0])
    columns = _shifted(width, round(pad * width), draws[:, 1])
    columns = torch.where(flips[:, None], columns.flip(1), columns)
    first = torch.arange(n, device=pixels.device)[:, None] * height
    places = ((first + rows) * width)[:, :, None] + columns[:, None, :]
    return pixels.reshape(-1, 3).index_select(0, places.view(-1)).view(pixels.shape)


def _shifted(size: int, most: int, draws: Tensor) -> Tensor:
    """Indices 0..size-1 moved by -most..most, reflected at both ends without repeating the border: (N, size)."""
    offsets = (draws * (2 * most + 1)).long().clamp_(max=2 * most) - most
    moved = (torch.arange(size, device=draws.device) + offsets[:, None]).abs()
    return (size - 1) - (size - 1 - moved).abs()


def _resized_crop(pixels: Tensor, resolution: int, scale_min: float, flips: Tensor, draws: Tensor) -> Tensor:
    height, width = pixels.shape[1:3]
    area = scale_min + (1 - scale_min) * draws[:, 0]
    aspect = _ASPECT ** (2 * draws[:, 1] - 1)
    tall = (area / aspect).sqrt().clamp(max=1) * height
    wide = (area * aspect).sqrt().clamp(max=1) * width
    rows = _filters(height, resolution, draws[:, 2] * (height - tall), tall)
    columns = _filters(width, resolution, draws[:, 3] * (width - wide), wide)
    return _resample(pixels, rows, torch.where(flips[:, None, None], columns.flip(1), columns))


def _resize(pixels: Tensor, resolution: int) -> Tensor:
    n, height, width, _ = pixels.shape
    if height == width == resolution:
        return pixels
    start = torch.zeros(n, device=pixels.device)
    rows, columns = (_filters(size, resolution, start, start + size) for size in (height, width))
    return _resample(pixels, rows, columns)


def _filters(size: int, resolution: int, start: Tensor, length: Tensor) -> Tensor:
    """Triangle filters that read `resolution` samples from [start, start + length) of `size` pixels: (N, R, size)."""
    step = length[:, None] / resolution
    centres = start[:, None] + (torch.arange(resolution, device=start.device) + 0.5) * step
    pixels = torch.arange(size, device=start.device) + 0.5
    weights = (1 - (pixels - centres[:, :, None]).abs() / step.clamp(min=1)[:, :, None]).clamp_(min=0)
    return weights / weights.sum(2, keepdim=True)


def _resample(pixels: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Applies row filters (N, R, H) and column filters (N, R, W) to (N, H, W, 3): float32 (N, R, R, 3) in 0..255."""
    n, height, width, _ = pixels.shape
    resolution = rows.shape[1]
    tall = torch.bmm(rows, pixels.reshape(n, height, width * 3).float()).view(n, resolution, width, 3)
    planes = tall.permute(0, 3, 1, 2).reshape(n, 3 * resolution, width)  # a product over width wants width innermost
    square = torch.bmm(planes, columns.transpose(1, 2)).view(n, 3, resolution, resolution)
    return square.permute(0, 2, 3, 1).contiguous()


def _jitter(images: Tensor, strength: float, draws: Tensor) -> Tensor:
    """Brightness, then contrast about the image's mean grey, then saturation, as one affine map of RGB an image."""
    n, height, width, _ = images.shape
    flat = images.reshape(n, height * width, 3).float()
    brightness, contrast, saturation = (1 + strength * (2 * draws - 1)).unbind(1)
    grey = constant(_GREY, images.device)
    mean_grey = (flat.mean(1) @ grey) * brightness
    keep = torch.eye(3, device=images.device) * saturation[:, None, None]
    mix = keep + (1 - saturation)[:, None, None] * grey[:, None].expand(3, 3)
    matrix = mix * (brightness * contrast)[:, None, None]
    offset = ((1 - contrast) * mean_grey)[:, None, None]
    return torch.baddbmm(offset, flat, matrix).clamp_(0, 255).view(images.shape)

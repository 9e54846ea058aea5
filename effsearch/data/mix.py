"""Mixtures of the images of a batch and of their labels, by torchvision."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torchvision.transforms import v2


class Mix:
    """Mixes each image of a batch with another one, by mixup (1710.09412) or cutmix (1905.04899) at random.

    The share of an image is drawn from a Beta distribution with the parameter of that name for both sides; 0 leaves
    that way out. Draws come from torch's global generator.
    """

    def __init__(self, mixup: float, cutmix: float, classes: int) -> None:
        ways: list[Callable[..., Any]] = []
        if mixup:
            ways.append(v2.MixUp(alpha=mixup, num_classes=classes))
        if cutmix:
            ways.append(v2.CutMix(alpha=cutmix, num_classes=classes))
        self._mix = v2.RandomChoice(ways)

    def __call__(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Images (N, C, H, W) and labels (N,) -> mixed images, channels_last, and shares of classes (N, classes)."""
        mixed, shares = self._mix(images, labels)
        return mixed.contiguous(memory_format=torch.channels_last), shares

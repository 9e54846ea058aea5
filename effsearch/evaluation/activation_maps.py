"""Class activation maps: where in an image a network sees a class (1512.04150).

Every network of `network.build` ends in global average pooling and one linear layer. So the logit of a class is exactly
the mean over places of what the last features there contribute to it, and its bias; nothing needs a gradient.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from effsearch.data.augment import normalise
from effsearch.data.imageset import Pixels
from effsearch.evaluation.predictions import check_finite
from effsearch.evaluation.scores import Floats
from effsearch.network import Network


class ActivationMap(NamedTuple):
    """Of an image and a class: its number, its probability (a fraction), what each place adds to its logit (h, w)."""

    number: int
    probability: float
    contributions: Tensor


@torch.inference_mode()
def activation_maps(
    network: Network, images: Pixels, resolution: int, device: str, number: int | None = None
) -> Iterator[ActivationMap]:
    """The maps of uint8 images (N, H, W, 3), each of class `number` or of the most likely one; raises WeightsError.

    In float32, one image at a time. The mean of a map and the bias of its class make the logit.
    """
    network.to(device).eval()
    linear = network.classifier[-1]
    assert isinstance(linear, nn.Linear)
    for image in images:
        pixels = torch.from_numpy(image[None]).to(device)
        (features,) = network.features(normalise(pixels, resolution, network.normalisation))
        probabilities = linear(features.mean((1, 2))).softmax(0)
        check_finite(probabilities)
        chosen = int(probabilities.argmax()) if number is None else number
        contributions = torch.tensordot(linear.weight[chosen], features, 1).cpu()
        yield ActivationMap(chosen, float(probabilities[chosen]), contributions)


def heat(contributions: Tensor, side: int) -> Floats:
    """A map from 0 (what adds nothing, or speaks against the class) to 1 (its maximum), bilinear: (side, side)."""
    positive = contributions.clamp(min=0)
    scaled = positive / positive.max().clamp(min=torch.finfo(positive.dtype).tiny)
    large = functional.interpolate(scaled[None, None], (side, side), mode="bilinear", align_corners=False)
    return np.asarray(large[0, 0], np.float64)

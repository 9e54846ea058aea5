"""How the pixels of an image are normalised before a network takes them."""

from typing import NamedTuple


class Normalisation(NamedTuple):
    """Of each channel what is subtracted, and by what it is divided then, in units of uint8."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]


# Of ImageNet's training images.
IMAGENET = Normalisation((0.485 * 255, 0.456 * 255, 0.406 * 255), (0.229 * 255, 0.224 * 255, 0.225 * 255))
LITE = Normalisation((127.0, 127.0, 127.0), (128.0, 128.0, 128.0))  # EfficientNet-Lite's: from about -1 to 1

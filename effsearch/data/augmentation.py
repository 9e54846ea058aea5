"""What is changed at random in training images, as a value."""

from dataclasses import dataclass
from typing import Literal

from effsearch.errors import QuantityError

SHARED = 8  # images of a batch that share one draw of a policy: its operations are fast only on many at once


@dataclass(frozen=True)
class Augmentation:
    """What is changed at random in each training image.

    `flip` mirrors half of the images. `crop` is "pad" (shift by up to `pad`, a share of the side, with reflected
    borders), "resized" (a box of `scale_min` to 1 of the area and an aspect of 3/4 to 4/3, as in Inception), or "none".
    `policy` is "autoaugment" (1805.09501, the policy for ImageNet, drawn once for every `SHARED` images) or "none".
    `colour` is the strength of brightness, contrast and saturation jitter: factors of 1 - colour to 1 + colour.
    Raises QuantityError for a value out of range.
    """

    flip: bool = True
    crop: Literal["pad", "resized", "none"] = "pad"
    pad: float = 0.125
    scale_min: float = 0.35
    colour: float = 0.0
    policy: Literal["none", "autoaugment"] = "none"

    def __post_init__(self) -> None:
        for name, allowed, meaning in (
            ("crop", self.crop in ("pad", "resized", "none"), "it may be pad, resized or none"),
            ("policy", self.policy in ("none", "autoaugment"), "it may be none or autoaugment"),
            ("pad", 0 <= self.pad <= 0.5, "it is a share of the side, from 0 to 0.5"),
            ("scale_min", 0 < self.scale_min <= 1, "it is a share of the area, above 0 and up to 1"),
            ("colour", 0 <= self.colour < 1, "it is a strength from 0 to below 1"),
        ):
            if not allowed:
                raise QuantityError(f"{name} is {getattr(self, name)!r}; {meaning}")

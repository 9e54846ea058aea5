"""An encoded image -> a square of uint8 RGB, or the reason why there is none."""

from pathlib import Path

import numpy as np
from PIL import Image

from effsearch.data.imageset import Pixels

SMALLEST = 8
"""Shorter side, in pixels, below which an image tells nothing."""
EXTENSIONS = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".gif", ".tif", ".tiff", ".ppm"})

# Only these decoders ever see a file: a renamed .eps would otherwise start Ghostscript.
_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM")
_ORIENTATION = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class UnusableError(Exception):
    """An image that decodes but cannot be used; the text is the reason."""


def decode(path: Path, resolution: int) -> tuple[Pixels, bool]:
    """The square of an image file; as `square`, and raises whatever Pillow raises for a file it cannot read."""
    with Image.open(path, formats=_FORMATS) as image:
        return square(image, resolution)


def square(image: Image.Image, resolution: int) -> tuple[Pixels, bool]:
    """The central square of an image, upright, in RGB, at `resolution`: (R, R, 3), and whether it had to be enlarged.

    Transparent parts become white; 16-bit greys keep their upper 8 bits; of an animation the first frame is taken.
    Raises UnusableError for an image whose shorter side is under 8 pixels or whose values have no known range.
    """
    width, height = image.size
    if min(width, height) < SMALLEST:
        raise UnusableError(f"{width} x {height} pixels, where the shorter side must be at least {SMALLEST}")
    image.draft("RGB", (2 * resolution, 2 * resolution))  # a JPEG is decoded at 1/2, 1/4 or 1/8 where that is enough
    image.load()
    upright = _UPRIGHT.get(_orientation(image))
    rgb = _rgb(image)
    side = min(rgb.size)
    left, top = (rgb.width - side) / 2, (rgb.height - side) / 2
    box = (left, top, left + side, top + side)
    small = rgb.resize((resolution, resolution), Image.Resampling.BICUBIC, box=box, reducing_gap=2.0)
    # A central square turns into itself, so it is turned when it is small.
    pixels = np.asarray(small if upright is None else small.transpose(upright))
    return pixels, min(width, height) < resolution


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # damaged metadata is no reason to lose the image
        return 1


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if image.mode.startswith("I"):
        # 32-bit integers come from files of 16 bits.
        grey = np.clip(np.asarray(image), 0, 65535).astype(np.uint16) >> 8
        return Image.fromarray(grey.astype(np.uint8)).convert("RGB")
    if image.mode == "F":
        raise UnusableError("pixels are 32-bit floats, whose range is not known")
    if image.mode in {"RGBA", "LA", "PA", "RGBa", "La"} or "transparency" in image.info:
        rgba = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
    return image.convert("RGB")

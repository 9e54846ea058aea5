"""Sources of images: what each of them provides, and how encoded images become squares of uint8 RGB."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
from PIL import Image, UnidentifiedImageError

from effsearch.data.imageset import Labels, Pixels
from effsearch.errors import DataError

TRAIN, VALIDATION, TEST = "train", "validation", "test"

SMALLEST = 8  # shorter side, in pixels, below which an image is skipped
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


class Skipped(NamedTuple):
    """An image that was left out, and why."""

    image: str
    reason: str


@dataclass(frozen=True, eq=False)
class DecodedImages:
    """Consecutive images of a split: (K, R, R, 3), (K,), those left out, and how many were smaller than R."""

    pixels: Pixels
    labels: Labels
    skipped: tuple[Skipped, ...] = ()
    enlarged: int = 0


class SplitReader(Protocol):
    """Decodes the images of one split of a source."""

    def __len__(self) -> int: ...

    def read(self, start: int, stop: int, resolution: int) -> DecodedImages:
        """Images start..stop; safe to call from several threads."""

    def content(self) -> Iterator[bytes]:
        """Bytes that differ whenever an image, its name or its label differs."""


@dataclass(frozen=True, eq=False)
class Contents:
    """The classes of a source, and a reader of each split; labels are indices of `classes`."""

    classes: tuple[str, ...]
    readers: Mapping[str, SplitReader]

    def digest(self) -> str:
        """SHA-256 over the classes and every image's name, label and bytes, in order: 64 hexadecimal digits."""
        total = hashlib.sha256("\0".join(self.classes).encode(errors="surrogateescape"))
        for split, reader in sorted(self.readers.items()):
            total.update(f"\0{split}\0{len(reader)}\0".encode())
            for part in reader.content():
                total.update(part)
        return total.hexdigest()


@dataclass(frozen=True, eq=False)
class Source:
    """An image set found by its name or path; `open` may download it into a folder.

    `origin` says where it is from; `key` stands for its content as far as can be told without reading it; `derivable`
    says whether a smaller resolution may be resized from a larger one.
    """

    name: str
    origin: str
    key: str
    open: Callable[[Path], Contents]
    synthetic: bool = False
    derivable: bool = True


class UnusableError(Exception):
    """An image that decodes but cannot be used; the text is the reason."""


def decode(path: Path, resolution: int) -> tuple[Pixels, bool]:
    """The `square` of an image file; raises whatever Pillow raises for a file that it cannot read."""
    with Image.open(path, formats=_FORMATS) as image:
        return square(image, resolution)


def square(image: Image.Image, resolution: int) -> tuple[Pixels, bool]:
    """The central square of an image, upright, in RGB, at `resolution`: (R, R, 3), and whether it was enlarged.

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


def decode_all(
    indices: range, name: Callable[[int], str], fetch: Callable[[int], tuple[Image.Image | Path, int]], resolution: int
) -> DecodedImages:
    """Decodes images, each of which `fetch` gives with its label, and skips those that cannot be decoded."""
    pixels = np.empty((len(indices), resolution, resolution, 3), np.uint8)
    labels, skipped, enlarged = list[int](), list[Skipped](), 0
    for index in indices:
        try:
            image, label = fetch(index)
            found, small = decode(image, resolution) if isinstance(image, Path) else square(image, resolution)
        except Exception as error:  # Pillow raises nearly any exception for a damaged file, and one must not end it all
            skipped.append(Skipped(name(index), _reason(error)))
        else:
            pixels[len(labels)] = found
            labels.append(label)
            enlarged += small
    return DecodedImages(pixels[: len(labels)], np.array(labels, np.int64), tuple(skipped), enlarged)


def _reason(error: Exception) -> str:
    if isinstance(error, UnusableError):
        return str(error)
    if isinstance(error, UnidentifiedImageError):
        return "not an image of a known format"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return " ".join(str(error).split()) or type(error).__name__


def file_content(path: Path) -> bytes:
    """The length and the bytes of a file, or `unreadable`."""
    try:
        data = path.read_bytes()
    except OSError:
        return b"unreadable"
    return len(data).to_bytes(8, "little") + data


def needed_for_training(splits: Iterable[str]) -> int:
    """The images of a class that `train` must hold: two where validation is yet to be split off."""
    return 1 if VALIDATION in splits else 2


def check_counts(classes: Iterable[str], counts: Iterable[int], needed: int, where: str) -> None:
    """Raises DataError, naming the classes, where one has fewer than `needed` images."""
    if short := [f"{name!r} ({count})" for name, count in zip(classes, counts, strict=True) if count < needed]:
        raise DataError(f"{where}: too few images in class {some(short)}; each class needs at least {needed}")


def some(names: list[str], shown: int = 5) -> str:
    """The first few of many names, for a message of one line."""
    return ", ".join(names[:shown]) + (f" and {len(names) - shown} more" if len(names) > shown else "")


def skipped_message(skipped: Sequence[Skipped]) -> str:
    """One line on the images that were left out, or an empty string."""
    if not skipped:
        return ""
    noun = "image was" if len(skipped) == 1 else "images were"
    return f"{len(skipped):,} {noun} skipped: {some([f'{image} ({reason})' for image, reason in skipped], 3)}"

"""Image files that a user names, decoded by the code that packs the validation images of a folder.

A set that was packed at a larger resolution first is resized from that one, so its pixels may differ by a little.
"""

import os
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from effsearch.data import packed
from effsearch.data.folder import FileReader, list_images
from effsearch.data.sources import EXTENSIONS, DecodedImages, Skipped
from effsearch.errors import DataError, listed


class Photograph(NamedTuple):
    """An image file by its path, and whether a user named it, rather than a folder that it is in."""

    path: str
    named: bool


def find_photographs(places: Sequence[str]) -> list[Photograph]:
    """The files that are named, and the images in the folders that are; raises DataError where there is none."""
    found: list[Photograph] = []
    for place in places:
        if os.path.isdir(place):  # noqa: PTH112 (no error for a name that no file can have)
            images = list_images(Path(place))
            if not images:
                raise DataError(f"{place} has no image ({listed(sorted(EXTENSIONS))})")
            found += [Photograph(str(Path(place) / name), named=False) for name in images]
        elif os.path.isfile(place):  # noqa: PTH113
            found.append(Photograph(place, named=True))
        else:
            raise DataError(f"there is no image and no folder {place[:200]!r}")
    return found


def decode_photographs(
    photographs: Sequence[Photograph], resolution: int, skipped: list[Skipped]
) -> Iterator[DecodedImages]:
    """The central squares of the images, a batch at a time; their labels are their places in `photographs`.

    Those that cannot be decoded go to `skipped`, or raise DataError where they were named.
    """
    named = {path for path, named in photographs if named}
    reader = FileReader(Path(), [path for path, _ in photographs], np.arange(len(photographs)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of each odd file, as when a set is packed.
        for images in packed.decoded(len(photographs), reader.read, resolution):
            for image, reason in images.skipped:
                if image in named:
                    raise DataError(f"{image} cannot be read as an image: {reason}")
            skipped.extend(images.skipped)
            yield images

"""Where images come from: files, a downloaded set, the drawn scenes, a larger packed array."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from PIL import Image, UnidentifiedImageError

from effsearch.data import scenes
from effsearch.data.decode import UnusableError, decode, square
from effsearch.data.imageset import Labels, Pixels
from effsearch.errors import DataError


class Skipped(NamedTuple):
    """An image that was left out, and why."""

    image: str
    reason: str


@dataclass(frozen=True, eq=False)
class ImageBlock:
    """Some images of a split, in order: (K, R, R, 3), (K,), those left out, and how many were smaller than R."""

    pixels: Pixels
    labels: Labels
    skipped: tuple[Skipped, ...] = ()
    enlarged: int = 0


class SplitSource(Protocol):
    """The images of one split, not yet decoded."""

    def __len__(self) -> int: ...

    def block(self, start: int, stop: int, resolution: int) -> ImageBlock:
        """Images start..stop; safe to call from several threads."""
        ...

    def content(self) -> Iterator[bytes]:
        """Bytes that differ whenever an image, its name or its label differs."""
        ...


@dataclass(frozen=True, eq=False)
class FileSource:
    """Image files under one root, named by their paths within it."""

    root: Path
    names: Sequence[str]
    labels: Labels

    def __len__(self) -> int:
        return len(self.names)

    def block(self, start: int, stop: int, resolution: int) -> ImageBlock:
        def fetch(index: int) -> tuple[Path, int]:
            return self.root / self.names[index], int(self.labels[index])

        return _block(range(start, stop), self.names.__getitem__, fetch, resolution)

    def content(self) -> Iterator[bytes]:
        for name, label in zip(self.names, self.labels, strict=True):
            yield f"{name}\0{label}\0".encode(errors="surrogateescape")
            yield _file_content(self.root / name)


@dataclass(frozen=True, eq=False)
class DatasetSource:
    """Chosen items of datasets in torchvision's manner: dataset[i] is (image or path of an image, label)."""

    name: str
    items: Sequence[tuple[Any, int]]  # (dataset, index)

    def __len__(self) -> int:
        return len(self.items)

    def block(self, start: int, stop: int, resolution: int) -> ImageBlock:
        def fetch(index: int) -> tuple[Image.Image | Path, int]:
            dataset, inner = self.items[index]
            image, label = dataset[inner]
            return image, int(label)

        return _block(range(start, stop), lambda index: f"{self.name} {index}", fetch, resolution)

    def content(self) -> Iterator[bytes]:
        for dataset, inner in self.items:
            image, label = dataset[inner]
            if isinstance(image, Image.Image):
                yield f"{image.size}\0{label}\0".encode()
                yield image.tobytes()
            else:
                yield f"{Path(image).name}\0{label}\0".encode()
                yield _file_content(Path(image))


@dataclass(frozen=True, eq=False)
class ScenesSource:
    """The synthetic scenes of one split, drawn at the resolution asked for."""

    split: str
    count: int

    def __len__(self) -> int:
        return self.count

    def block(self, start: int, stop: int, resolution: int) -> ImageBlock:
        return ImageBlock(*scenes.draw(self.split, np.arange(start, stop), resolution))

    def content(self) -> Iterator[bytes]:
        yield f"scenes\0{scenes.VERSION}\0{self.split}\0{self.count}".encode()


@dataclass(frozen=True, eq=False)
class LargerSource:
    """A split that is packed already, at a larger resolution."""

    pixels: Pixels
    labels: Labels

    def __len__(self) -> int:
        return len(self.labels)

    def block(self, start: int, stop: int, resolution: int) -> ImageBlock:
        size = (resolution, resolution)
        rows = (Image.fromarray(row).resize(size, Image.Resampling.BICUBIC) for row in self.pixels[start:stop])
        return ImageBlock(np.stack([np.asarray(row) for row in rows]), self.labels[start:stop])

    def content(self) -> Iterator[bytes]:
        yield from (row.tobytes() for row in self.pixels)


def _block(
    indices: range, name: Callable[[int], str], fetch: Callable[[int], tuple[Image.Image | Path, int]], resolution: int
) -> ImageBlock:
    pixels = np.empty((len(indices), resolution, resolution, 3), np.uint8)
    labels: list[int] = []
    skipped: list[Skipped] = []
    enlarged = 0
    for index in indices:
        try:
            image, label = fetch(index)
            square_of = decode(image, resolution) if isinstance(image, Path) else square(image, resolution)
        except Exception as error:  # Pillow raises nearly any exception for a damaged file, and one must not end it all
            skipped.append(Skipped(name(index), _reason(error)))
        else:
            pixels[len(labels)], small = square_of
            labels.append(label)
            enlarged += small
    return ImageBlock(pixels[: len(labels)], np.array(labels, np.int64), tuple(skipped), enlarged)


def _reason(error: Exception) -> str:
    if isinstance(error, UnusableError):
        return str(error)
    if isinstance(error, UnidentifiedImageError):
        return "not an image of a known format"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return " ".join(str(error).split()) or type(error).__name__


def _file_content(path: Path) -> bytes:
    try:
        data = path.read_bytes()
    except OSError:
        return b"unreadable"
    return len(data).to_bytes(8, "little") + data


TRAIN, VALIDATION, TEST = "train", "validation", "test"


@dataclass(frozen=True, eq=False)
class Contents:
    """The classes and splits of a source; labels count through `classes`."""

    classes: tuple[str, ...]
    sources: Mapping[str, SplitSource]

    def digest(self) -> str:
        """SHA-256 over the classes and every image's name, label and bytes, in order: 64 hexadecimal digits."""
        total = hashlib.sha256("\0".join(self.classes).encode(errors="surrogateescape"))
        for split, source in sorted(self.sources.items()):
            total.update(f"\0{split}\0{len(source)}\0".encode())
            for part in source.content():
                total.update(part)
        return total.hexdigest()


class Source(Protocol):
    """A source found by its name or path; `key` stands for its content as far as can be told without reading it."""

    @property
    def name(self) -> str: ...

    @property
    def origin(self) -> str: ...

    @property
    def key(self) -> str: ...

    @property
    def synthetic(self) -> bool: ...

    @property
    def derivable(self) -> bool:
        """Whether a smaller resolution may be made from a larger one."""
        ...

    def open(self, downloads: Path) -> Contents: ...


def needed_for_training(splits: Iterable[str]) -> int:
    """The images of a class that `train` must hold: two, where validation is yet to be cut out of it."""
    return 1 if VALIDATION in splits else 2


def check_counts(classes: tuple[str, ...], counts: Iterable[int], needed: int, where: str) -> None:
    """Raises DataError, naming the classes, where one has fewer than `needed` images."""
    short = [f"{name!r} ({count})" for name, count in zip(classes, counts, strict=True) if count < needed]
    if short:
        raise DataError(f"{where}: too few images in class {some(short)}; each class needs at least {needed}")


def class_counts(labels: Iterable[int], classes: tuple[str, ...]) -> list[int]:
    """How many images each class has."""
    counts: list[int] = np.bincount(np.fromiter(labels, np.int64), minlength=len(classes)).tolist()
    return counts


def some(names: list[str], shown: int = 5) -> str:
    """The first few of many names, for a message of one line."""
    return ", ".join(names[:shown]) + (f" and {len(names) - shown} more" if len(names) > shown else "")

"""What every source of images gives: the classes and, for each split, a portion that is not yet decoded."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from effsearch.data.portions import Portion
from effsearch.errors import DataError

TRAIN, VALIDATION, TEST = "train", "validation", "test"


@dataclass(frozen=True, eq=False)
class Contents:
    """The classes and splits of a source; labels count through `classes`."""

    classes: tuple[str, ...]
    portions: Mapping[str, Portion]

    def digest(self) -> str:
        """SHA-256 over the classes and every image's name, label and bytes, in order: 64 hexadecimal digits."""
        total = hashlib.sha256("\0".join(self.classes).encode(errors="surrogateescape"))
        for split, portion in sorted(self.portions.items()):
            total.update(f"\0{split}\0{len(portion)}\0".encode())
            for part in portion.content():
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

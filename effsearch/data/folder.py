"""A tree of image files, one folder a class, as an image set.

`train/` beside `test/`: validation is split off train by the seed of the search.
`train/` beside `val/` (or `valid/`, `validation/`): validation is given, and there is no test split.
All three: each is what it says. Class folders without splits, or `train/` alone: a fifth of each class is held out for
testing, always the same images, and validation is split off the rest. A folder that holds no image is not a class.
"""

import hashlib
import itertools
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from effsearch.data import sources
from effsearch.data.imageset import TEST_SEED, TEST_SHARE, Labels, hold_out
from effsearch.data.sources import TEST, TRAIN, VALIDATION, Contents, DecodedImages, Source
from effsearch.errors import DataError

_ROLES = {"train": TRAIN, "val": VALIDATION, "valid": VALIDATION, "validation": VALIDATION, "test": TEST}


class File(NamedTuple):
    """An image file: its path from the root of the set with `/` between names, bytes, and nanoseconds since 1970."""

    name: str
    size: int
    mtime_ns: int


Classes = dict[str, list[File]]


@dataclass(frozen=True, eq=False)
class FileReader:
    """Reads image files under one root, named by their paths within it."""

    root: Path
    names: Sequence[str]
    labels: Labels

    def __len__(self) -> int:
        return len(self.names)

    def read(self, start: int, stop: int, resolution: int) -> DecodedImages:
        def fetch(index: int) -> tuple[Path, int]:
            return self.root / self.names[index], int(self.labels[index])

        return sources.decode_all(range(start, stop), self.names.__getitem__, fetch, resolution)

    def content(self) -> Iterator[bytes]:
        for name, label in zip(self.names, self.labels, strict=True):
            yield f"{name}\0{label}\0".encode(errors="surrogateescape")
            yield sources.file_content(self.root / name)


@dataclass(frozen=True, eq=False)
class ImageFolder:
    """An image folder as listed, its images not yet read."""

    root: Path
    splits: dict[str, Classes]

    @property
    def classes(self) -> tuple[str, ...]:
        return tuple(self.splits[TRAIN])

    @property
    def source(self) -> Source:
        """Its key is a hash of the names, sizes and times of all files."""
        total = hashlib.sha256(str(self.root).encode(errors="surrogateescape"))
        for split in self.splits.values():
            for file in itertools.chain.from_iterable(split.values()):
                total.update(f"\0{file.name}\0{file.size}\0{file.mtime_ns}".encode(errors="surrogateescape"))
        name = re.sub(r"[^\w-]+", "_", self.root.name)[:64] or "images"
        return Source(name, str(self.root), total.hexdigest(), self._open)

    def _open(self, downloads: Path) -> Contents:
        number, readers = {name: index for index, name in enumerate(self.classes)}, {}
        for split, classes in self.splits.items():
            names = [file.name for files in classes.values() for file in files]
            labels = [number[name] for name, files in classes.items() for _ in files]
            readers[split] = FileReader(self.root, names, np.array(labels, np.int64))
        return Contents(self.classes, readers)


def list_folder(root: Path) -> ImageFolder:
    """Lists an image folder and checks all that its listing can tell.

    Raises DataError for a file, an empty or unreadable folder, fewer than two classes, classes of val or test that
    train lacks, and classes too small to be split.
    """
    root = root.resolve()
    if not root.is_dir():
        raise DataError(f"{root} is a file; an image set is a folder with one folder of images for each class")
    try:
        splits = _list_splits(root)
    except OSError as error:
        raise DataError(f"{error.filename or root} cannot be listed: {error.strerror}") from error
    _check_classes(root, splits)
    train, alone = splits[TRAIN], set(splits) == {TRAIN}
    where = f"{root}, to be split into train, validation and test" if alone else f"train of {root}"
    needed = 3 if alone else sources.needed_for_training(splits)
    sources.check_counts(train, map(len, train.values()), needed, where)
    return ImageFolder(root, _hold_out_test(train) if alone else splits)


def list_images(folder: Path) -> list[str]:
    """The image files in a folder and in the folders within, by their sorted paths from it; raises DataError."""
    try:
        return [file.name for file in sorted(_walk(folder, "", frozenset()))]
    except OSError as error:
        raise DataError(f"{error.filename or folder} cannot be listed: {error.strerror}") from error


def _list_splits(root: Path) -> dict[str, Classes]:
    roles: dict[str, Path] = {}
    for folder in _folders(root):
        role = _ROLES.get(folder.name.lower())
        if role is None or not _is_split(folder):
            continue
        if role in roles:
            raise DataError(f"{root} has both {roles[role].name}/ and {folder.name}/; one {role} split is allowed")
        roles[role] = folder
    if not roles:
        return {TRAIN: _list_classes(root, root)}
    if TRAIN not in roles:
        found = " and ".join(f"{folder.name}/" for folder in roles.values())
        raise DataError(f"{root} has {found} but no train/")
    return {role: _list_classes(folder, root) for role, folder in roles.items()}


def _check_classes(root: Path, splits: dict[str, Classes]) -> None:
    for split, classes in splits.items():
        if not classes:
            where = str(root) if len(splits) == 1 else f"{split} of {root}"
            raise DataError(f"{where} has no class folder with images ({', '.join(sorted(sources.EXTENSIONS))})")
        if unknown := [repr(name) for name in classes if name not in splits[TRAIN]]:
            raise DataError(f"{root}: {split} has classes that train lacks: {sources.some(unknown)}")
    if len(splits[TRAIN]) == 1:
        raise DataError(f"{root} has one class, {next(iter(splits[TRAIN]))!r}; at least two are needed")


def _is_split(folder: Path) -> bool:
    """Whether a folder called train is a split; one that holds images is itself a class, of trains."""
    with os.scandir(folder) as entries:
        return not any(_is_image(entry.name) and not entry.is_dir() for entry in entries)


def _hold_out_test(classes: Classes) -> dict[str, Classes]:
    labels = np.repeat(np.arange(len(classes)), [len(files) for files in classes.values()])
    marks = iter(hold_out(labels, TEST_SHARE, TEST_SEED).tolist())
    splits: dict[str, Classes] = {split: {name: [] for name in classes} for split in (TRAIN, TEST)}
    for name, files in classes.items():
        for file in files:
            splits[TEST if next(marks) else TRAIN][name].append(file)
    return splits


def _list_classes(folder: Path, root: Path) -> Classes:
    prefix = "" if folder == root else f"{folder.name}/"
    listed = {child.name: sorted(_walk(child, f"{prefix}{child.name}/", frozenset())) for child in _folders(folder)}
    return {name: files for name, files in listed.items() if files}


def _folders(folder: Path) -> list[Path]:
    return sorted(child for child in folder.iterdir() if child.is_dir() and not child.name.startswith("."))


def _walk(folder: Path, prefix: str, above: frozenset[tuple[int, int]]) -> Iterator[File]:
    status = folder.stat()
    here = (status.st_dev, status.st_ino)
    if here in above:  # a symbolic link to a folder above: following it would never end
        return
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if entry.is_dir():
                yield from _walk(Path(entry.path), f"{prefix}{entry.name}/", above | {here})
            elif _is_image(entry.name):
                yield _file(entry, prefix + entry.name)


def _is_image(name: str) -> bool:
    return not name.startswith(".") and os.path.splitext(name)[1].lower() in sources.EXTENSIONS  # noqa: PTH122 (speed)


def _file(entry: "os.DirEntry[str]", name: str) -> File:
    try:
        status = entry.stat()
    except OSError:  # a link to nothing: listed, so that it is reported as skipped
        return File(name, 0, 0)
    return File(name, status.st_size, status.st_mtime_ns)

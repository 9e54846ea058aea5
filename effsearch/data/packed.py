"""A packed image set on disk: for each split SPLIT_pixels.npy (N, R, R, 3) and SPLIT_labels.npy (N,), and meta.json."""

import json
import os
import zlib
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from effsearch.data.imageset import VALIDATION_SHARE, ImageSet, Labels, Split, hold_out
from effsearch.data.sources import TEST, TRAIN, VALIDATION, DecodedImages, Skipped, skipped_message
from effsearch.errors import DataError
from effsearch.files import write_atomically

FORMAT = 1  # raised whenever the same image would be packed into other pixels
_META = "meta.json"
_BATCH_BYTES = 1 << 24
THREADS = min(2, os.cpu_count() or 1)
VERIFIED_BYTES = 1 << 30  # bytes of the pixels of a split up to which their checksum is verified: about a second

Read = Callable[[int, int, int], DecodedImages]  # images start..stop at a resolution, from several threads


class CorruptError(Exception):
    """A packed folder that is not what its meta.json says; the text says how."""


class OutdatedError(CorruptError):
    """A packed folder as another version writes it."""


@dataclass(frozen=True)
class PackedInfo:
    """What is in a packed folder.

    `counts` are the images of each split; `enlarged` is the number of images that were smaller than the resolution;
    `derived_from` is the larger resolution that this one was resized from, if any. `checksums` are CRC-32s of the
    arrays' values by file; the first versions wrote none.
    """

    name: str
    source: str
    classes: tuple[str, ...]
    resolution: int
    digest: str
    synthetic: bool
    counts: dict[str, int]
    skipped: tuple[Skipped, ...] = ()
    enlarged: int = 0
    derived_from: int | None = None
    format: int = FORMAT
    checksums: dict[str, int] = field(default_factory=dict)

    def skipped_message(self) -> str:
        """One line on the images that were left out, or an empty string."""
        return skipped_message(self.skipped)


def info(folder: Path) -> PackedInfo:
    """What is in a packed folder. Raises DataError if it is missing or damaged."""
    try:
        return check(folder)
    except CorruptError as error:
        raise DataError(f"{folder} is not a sound packed image set ({error}); prepare it again") from error


def load(folder: Path, *, split_seed: int = 0, validation_share: float = VALIDATION_SHARE) -> ImageSet:
    """Opens a packed folder read-only for training and validation; the test split is not opened.

    Without a validation split of the source, `validation_share` of each class of train is split off by `split_seed`,
    at least one image of each on either side. The rows of a split ascend: shuffling is for the epoch.
    Raises DataError for a missing or damaged folder and a share outside (0, 1).
    """
    if not 0 < validation_share < 1:
        raise DataError(f"a validation share of {validation_share} was asked for; it lies between 0 and 1")
    about = info(folder)
    train = open_split(folder, TRAIN)
    if VALIDATION in about.counts:
        validation = open_split(folder, VALIDATION)
    else:
        held = hold_out(train.labels, validation_share, split_seed)
        train, validation = train.take(np.flatnonzero(~held)), train.take(np.flatnonzero(held))
    return ImageSet(about.name, about.classes, about.resolution, about.digest, about.synthetic, train, validation)


def load_test(folder: Path) -> Split:
    """Opens the test split of a packed folder read-only. Raises DataError where there is none."""
    about = info(folder)
    if TEST not in about.counts:
        raise DataError(f"{about.name} has no test split: {about.source} gives train and validation alone")
    return open_split(folder, TEST)


def held_out(folder: Path) -> dict[str, Split]:
    """The splits of a packed folder that train nothing: validation and, where there is one, test, which is the last."""
    test = {TEST: load_test(folder)} if TEST in info(folder).counts else {}
    return {VALIDATION: load(folder).validation, **test}


def check(folder: Path, pixels: bool = False) -> PackedInfo:
    """Compares every array's header and size with meta.json, and labels with their checksum; raises CorruptError.

    With `pixels` their checksums are compared too, for splits of up to VERIFIED_BYTES.
    """
    try:
        meta = json.loads((folder / _META).read_text(encoding="utf-8"))
        known = {item.name: meta[item.name] for item in fields(PackedInfo) if item.name != "checksums"}
        skipped = tuple(Skipped(*entry) for entry in known["skipped"])
        typed = {"classes": tuple(known["classes"]), "counts": dict(known["counts"]), "skipped": skipped}
        about = PackedInfo(**known | typed, checksums=dict(meta.get("checksums", {})))
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise CorruptError(f"{_META} is missing or unreadable") from error
    if about.format != FORMAT:
        raise OutdatedError(f"it has format {about.format}, and this version reads {FORMAT}")
    side = about.resolution
    for split, count in about.counts.items():
        images = _check_array(folder / f"{split}_pixels.npy", (count, side, side, 3), np.dtype(np.uint8))
        labels = _check_array(folder / f"{split}_labels.npy", (count,), np.dtype(np.int64))
        _check_values(about, f"{split}_labels.npy", labels)
        if pixels and images.nbytes <= VERIFIED_BYTES:
            _check_values(about, f"{split}_pixels.npy", images)
    return about


def open_split(folder: Path, split: str) -> Split:
    """A split with its pixels memory-mapped read-only and its labels in memory."""
    pixels, labels = (np.load(folder / f"{split}_{kind}.npy", mmap_mode="r") for kind in ("pixels", "labels"))
    return Split(np.asarray(pixels), np.arange(len(labels), dtype=np.int64), np.array(labels))


def write_meta(folder: Path, about: PackedInfo) -> None:
    """Writes meta.json, the last file of a packed folder."""
    write_atomically(folder / _META, json.dumps(asdict(about), indent=1))


@dataclass(frozen=True, eq=False)
class Written:
    """A split as written: labels of the images kept (N,), those left out, how many were enlarged, checksums by file."""

    labels: Labels
    skipped: tuple[Skipped, ...]
    enlarged: int
    checksums: dict[str, int]


def write_split(folder: Path, split: str, count: int, read: Read, resolution: int) -> Written:
    """Reads the `count` images of a split batch by batch into SPLIT_pixels.npy and SPLIT_labels.npy.

    Written as a file, not through a memory map, where a full disk would be a bus error instead of an OSError.
    """
    labels, skipped = [np.empty(0, np.int64)], list[Skipped]()
    enlarged = checksum = 0
    with (folder / f"{split}_pixels.npy").open("wb") as file:
        length = _header(file, count, resolution)
        for batch in decoded(count, read, resolution):
            values = np.ascontiguousarray(batch.pixels).data
            file.write(values)
            checksum = zlib.crc32(values, checksum)
            labels.append(batch.labels)
            skipped.extend(batch.skipped)
            enlarged += batch.enlarged
        kept = np.concatenate(labels)
        file.seek(0)
        if _header(file, len(kept), resolution) != length:  # numpy pads a header so that its first axis may change
            raise AssertionError("the header of a packed array changed its length")
        _sync(file)
    with (folder / f"{split}_labels.npy").open("wb") as file:
        np.save(file, kept, allow_pickle=False)
        _sync(file)
    checksums = {f"{split}_pixels.npy": checksum, f"{split}_labels.npy": zlib.crc32(kept.data)}
    return Written(kept, tuple(skipped), enlarged, checksums)


def at_once(resolution: int) -> int:
    """How many images of a resolution are decoded together, at most 256."""
    return max(1, min(256, _BATCH_BYTES // (resolution * resolution * 3)))


def _sync(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def decoded(count: int, read: Read, resolution: int) -> Iterator[DecodedImages]:
    """All `count` images in their order, decoded by a few threads, so many at a time as take little memory."""
    size = at_once(resolution)
    waiting: deque[Future[DecodedImages]] = deque()
    with ThreadPoolExecutor(THREADS) as pool:
        for start in range(0, count, size):
            waiting.append(pool.submit(read, start, min(start + size, count), resolution))
            if len(waiting) > 2 * THREADS:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _header(file: BinaryIO, count: int, resolution: int) -> int:
    shape = (count, resolution, resolution, 3)
    np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
    return file.tell()


def _check_array(path: Path, shape: tuple[int, ...], dtype: npt.DTypeLike) -> Any:
    try:
        array = np.load(path, mmap_mode="r")  # Never unpickles, by default.
    except (OSError, EOFError) as error:
        raise CorruptError(f"{path.name} is missing or short") from error
    except Exception as error:  # What reads the header raises whatever it meets.
        raise CorruptError(f"{path.name} is no array") from error
    if array.shape != shape or array.dtype != dtype:
        raise CorruptError(f"{path.name} holds {array.shape} {array.dtype} instead of {shape} {np.dtype(dtype)}")
    return array


def _check_values(about: PackedInfo, name: str, array: Any) -> None:
    if zlib.crc32(np.ascontiguousarray(array).data) != about.checksums.get(name, -1) and about.checksums:
        raise CorruptError(f"{name} holds other values than were written")

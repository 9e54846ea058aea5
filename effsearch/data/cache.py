"""Image sets packed once and found again: packed/NAME-DIGEST-RESOLUTION/ under the user's cache folder.

A folder is built beside its place under a lock and then renamed: it is whole or absent, even if a process is killed.
"""

import hashlib
import io
import logging
import os
import re
import shutil
import tarfile
import warnings
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import platformdirs
from filelock import FileLock, Timeout
from PIL import Image

from effsearch.data import packed
from effsearch.data.catalog import find
from effsearch.data.imageset import Split
from effsearch.data.packed import CorruptError, OutdatedError, PackedInfo
from effsearch.data.sources import TRAIN, Contents, DecodedImages, Source, check_counts, needed_for_training
from effsearch.errors import DataError
from effsearch.files import BUILDING, building, quarantine, write_atomically

RESOLUTIONS = range(8, 2049)
_log = logging.getLogger(__name__)


def prepare(source: str | Path, resolution: int, *, cache: Path | None = None) -> Path:
    """Packs an image set at a resolution, or finds it packed already, and gives the packed folder.

    `source` is a name of the catalog or a path to an image folder; `cache` comes before the environment variable
    EFFSEARCH_CACHE and the user's cache folder. Raises DataError for whatever is wrong with the source, the resolution
    or the cache folder.
    """
    if resolution not in RESOLUTIONS:
        allowed = f"{RESOLUTIONS[0]} to {RESOLUTIONS[-1]} are allowed"
        raise DataError(f"a resolution of {resolution} was asked for; {allowed}")
    found = find(str(source))
    root = cache_folder() if cache is None else cache.expanduser().absolute()
    try:
        with warnings.catch_warnings():
            # Pillow warns of each odd file; what matters of that is in `skipped`.
            warnings.simplefilter("ignore")
            return _prepare(found, resolution, root)
    except OSError as error:
        reason = f"cannot be used: {error.strerror or error}"
        raise DataError(f"the cache folder {root} {reason}; EFFSEARCH_CACHE may name another folder") from error


def cache_folder() -> Path:
    """Where packed images are kept: EFFSEARCH_CACHE, or the user's cache."""
    chosen = os.environ.get("EFFSEARCH_CACHE") or platformdirs.user_cache_dir("effsearch")
    return Path(chosen).expanduser().absolute()


def _prepare(source: Source, resolution: int, root: Path) -> Path:
    note = root / "digests" / hashlib.sha256(source.key.encode(errors="surrogateescape")).hexdigest()
    digest = _remembered(note)
    if digest is not None:
        folder = _place(root, source.name, digest, resolution)
        if _is_sound(folder):
            return folder
        larger = _larger(root, source.name, digest, resolution) if source.derivable else None
        if larger is not None:
            return _ensure(root, folder, lambda unfinished: _derive(unfinished, larger, resolution))
    contents = source.open(root / "downloads")
    if digest is None:
        digest = contents.digest()
        _remember(note, digest)
    about = PackedInfo(source.name, source.origin, contents.classes, resolution, digest, source.synthetic, counts={})
    folder = _place(root, source.name, digest, resolution)
    return _ensure(root, folder, lambda unfinished: _pack(unfinished, contents, about))


def _ensure(root: Path, folder: Path, build: Callable[[Path], None]) -> Path:
    """The folder, built if it is not there or is corrupt; two processes at once build it once."""
    if _is_sound(folder):
        return folder
    with _lock(root, folder.name):
        if not _is_sound(folder):  # another process may have built it while this one waited
            _sweep(root, folder.name)
            with building(folder) as unfinished:
                build(unfinished)
                _make_room(folder)
    return folder


def _make_room(folder: Path) -> None:
    """Quarantines a corrupt folder, with a warning, and removes one that another version has packed."""
    try:
        packed.check(folder, pixels=True)
    except OutdatedError:
        shutil.rmtree(folder)
    except CorruptError as error:
        if folder.exists():
            said = "%s is corrupt (%s): built anew, and quarantined as %s, which may be removed"
            _log.warning(said, folder, error, quarantine(folder).name)


def _pack(folder: Path, contents: Contents, about: PackedInfo) -> None:
    images = sum(map(len, contents.readers.values()))
    needed, free = images * about.resolution**2 * 3, shutil.disk_usage(folder).free
    if needed > free:
        raise DataError(
            f"{about.name} at {about.resolution} px needs {needed / 1e9:.1f} GB, and the cache folder "
            f"{folder.parent} has {free / 1e9:.1f} GB left"
        )
    _log.info("packing %d images of %s at %d px", images, about.name, about.resolution)
    written = {
        split: packed.write_split(folder, split, len(reader), reader.read, about.resolution)
        for split, reader in contents.readers.items()
    }
    about = replace(
        about,
        counts={split: len(part.labels) for split, part in written.items()},
        skipped=tuple(skipped for part in written.values() for skipped in part.skipped),
        enlarged=sum(part.enlarged for part in written.values()),
        checksums={name: value for part in written.values() for name, value in part.checksums.items()},
    )
    _check_kept(about, np.bincount(written[TRAIN].labels, minlength=len(about.classes)).tolist())
    packed.write_meta(folder, about)


def _check_kept(about: PackedInfo, train: list[int]) -> None:
    """Checks again what the listing could not tell: that enough images could be read."""
    try:
        check_counts(about.classes, train, needed_for_training(about.counts), f"train of {about.source}")
        if empty := [split for split, count in about.counts.items() if not count]:
            raise DataError(f"{empty[0]} of {about.source} has no readable image")
    except DataError as error:
        raise DataError(f"{error}; {about.skipped_message()}" if about.skipped else str(error)) from error


def _derive(folder: Path, larger: Path, resolution: int) -> None:
    about = packed.check(larger)
    checksums: dict[str, int] = {}
    for split in about.counts:
        images = packed.open_split(larger, split)
        checksums |= packed.write_split(folder, split, len(images), partial(_resized, images), resolution).checksums
    about = replace(about, resolution=resolution, derived_from=about.resolution, checksums=checksums)
    packed.write_meta(folder, about)


def _resized(split: Split, start: int, stop: int, resolution: int) -> DecodedImages:
    size = (resolution, resolution)
    rows = (Image.fromarray(row).resize(size, Image.Resampling.BICUBIC) for row in split.pixels[start:stop])
    return DecodedImages(np.stack([np.asarray(row) for row in rows]), split.labels[start:stop])


def _larger(root: Path, name: str, digest: str, resolution: int) -> Path | None:
    """The smallest packed folder of a higher resolution whose images were not enlarged, which would blur them."""
    candidates = []
    for folder in (root / "packed").glob(f"{name}-{digest[:12]}-*"):
        try:
            about = packed.check(folder)
        except CorruptError:
            continue
        in_place = folder == _place(root, name, about.digest, about.resolution) and about.digest == digest
        if in_place and about.resolution > resolution and not about.enlarged and not about.derived_from:
            candidates.append((about.resolution, folder))
    return next((folder for _, folder in sorted(candidates) if _is_sound(folder)), None)


def _sweep(root: Path, locked: str) -> None:
    """Removes what killed processes left: unfinished folders whose lock is free, or is held here by name `locked`."""
    for unfinished in (root / "packed").glob(f"{BUILDING}*"):
        name = unfinished.name.removeprefix(BUILDING).partition(".")[0]
        try:
            with nullcontext() if name == locked else _lock(root, name, timeout=0):
                shutil.rmtree(unfinished, ignore_errors=True)
        except Timeout:
            continue


def _is_sound(folder: Path) -> bool:
    try:
        return bool(packed.check(folder, pixels=True))
    except CorruptError:
        return False


def _place(root: Path, name: str, digest: str, resolution: int) -> Path:
    return root / "packed" / f"{name}-{digest[:12]}-{resolution}"


def _lock(root: Path, name: str, timeout: float = -1) -> FileLock:
    (root / "locks").mkdir(parents=True, exist_ok=True)
    return FileLock(root / "locks" / f"{name}.lock", timeout=timeout)


def _remembered(note: Path) -> str | None:
    try:
        digest = note.read_text(encoding="ascii")
    except (OSError, ValueError):
        return None
    return digest if re.fullmatch("[0-9a-f]{64}", digest) else None


def _remember(note: Path, digest: str) -> None:
    try:
        note.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(note, digest)
    except OSError:  # a cache that cannot be written may still hold the packed folder
        _log.debug("the digest could not be noted in %s", note.parent)


def ship(folder: Path) -> bytes:
    """All files of a packed folder."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as archive:
        for file in sorted(folder.iterdir()):
            if file.is_file():
                archive.add(file, arcname=file.name)
    return data.getvalue()


def unpacked(folder: Path, fetch: Callable[[], bytes], cache: Path | None = None) -> Path:
    """A folder that another machine has packed: itself on a shared file system, or else a copy in the cache.

    One process of a machine fetches what `ship` gave there while the others wait.
    """

    def extract(unfinished: Path) -> None:
        with tarfile.open(fileobj=io.BytesIO(fetch())) as archive:
            archive.extractall(unfinished, filter="data")

    if _is_sound(folder):
        return folder
    root = cache or cache_folder()
    return _ensure(root, root / "packed" / folder.name, extract)

"""Image sets packed once and found again: packed/NAME-DIGEST-RESOLUTION/ under the user's cache folder.

A folder is built beside its place under a lock and then renamed, so that what is there is whole, whoever was killed.
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
from dataclasses import replace
from pathlib import Path

import platformdirs
from filelock import FileLock, Timeout

from effsearch.data import packed
from effsearch.data.catalog import find
from effsearch.data.packed import CorruptError, OutdatedError, PackedInfo
from effsearch.data.sources import (
    TRAIN,
    Contents,
    LargerSource,
    Source,
    check_counts,
    class_counts,
    needed_for_training,
)
from effsearch.errors import DataError
from effsearch.files import quarantine

RESOLUTIONS = range(8, 2049)
THREADS = min(2, os.cpu_count() or 1)
_BUILDING = ".building-"
_log = logging.getLogger(__name__)


def prepare(source: str | Path, resolution: int, *, cache: Path | None = None) -> Path:
    """Packs an image set at a resolution, or finds it packed already, and gives the packed folder.

    `source` is a name of the catalog or a path to an image folder; `cache` comes before the environment variable
    EFFSEARCH_CACHE and the user's cache folder. Raises DataError for whatever is wrong with the source, the resolution
    or the cache folder.
    """
    if resolution not in RESOLUTIONS:
        raise DataError(
            f"a resolution of {resolution} was asked for; {RESOLUTIONS[0]} to {RESOLUTIONS[-1]} are allowed"
        )
    found = find(str(source))
    root = cache_folder() if cache is None else cache.expanduser().absolute()
    try:
        with warnings.catch_warnings():
            # Pillow warns of each odd file; what matters of that is in `skipped`.
            warnings.simplefilter("ignore")
            return _prepare(found, resolution, root)
    except OSError as error:
        reason = error.strerror or str(error)
        raise DataError(
            f"the cache folder {root} cannot be used: {reason}; EFFSEARCH_CACHE may name another folder"
        ) from error


def cache_folder() -> Path:
    """Where packed images are kept: EFFSEARCH_CACHE, or the user's cache."""
    chosen = os.environ.get("EFFSEARCH_CACHE") or platformdirs.user_cache_dir("effsearch")
    return Path(chosen).expanduser().absolute()


def adopt(folder: Path, files: Callable[[Path], None], cache: Path | None = None) -> Path:
    """A folder that another machine has packed: itself where it is here too, or else a copy in the cache.

    `files` writes its files into a new folder; one process of a machine does that, and the others wait for it.
    """
    if _is_sound(folder):
        return folder
    root = cache or cache_folder()
    return _ensure(root, root / "packed" / folder.name, files)


def _prepare(source: Source, resolution: int, root: Path) -> Path:
    key = source.key
    digest = _remembered(root, key)
    if digest is not None:
        folder = _place(root, source.name, digest, resolution)
        if _is_sound(folder):
            return folder
        larger = _larger(root, source.name, digest, resolution) if source.derivable else None
        if larger is not None:
            return _ensure(root, folder, lambda building: _derive(building, larger, resolution))
    contents = source.open(root / "downloads")
    if digest is None:
        digest = contents.digest()
        _remember(root, key, digest)
    about = PackedInfo(source.name, source.origin, contents.classes, resolution, digest, source.synthetic, counts={})
    folder = _place(root, source.name, digest, resolution)
    return _ensure(root, folder, lambda building: _pack(building, contents, about))


def _ensure(root: Path, folder: Path, build: Callable[[Path], None]) -> Path:
    """The folder, built if it is not there or is corrupt; two processes at once build it once."""
    if _is_sound(folder):
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _lock(root, folder.name):
        if _is_sound(folder):  # another process has built it while this one waited
            return folder
        building = folder.with_name(_BUILDING + folder.name)
        shutil.rmtree(building, ignore_errors=True)
        _sweep(root)
        building.mkdir()
        try:
            build(building)
            _make_room(folder)
            building.rename(folder)
            packed.sync_folder(folder.parent)
        finally:
            shutil.rmtree(building, ignore_errors=True)
    return folder


def _make_room(folder: Path) -> None:
    """Sets what is corrupt aside, and says so; what another version has packed is replaced."""
    try:
        packed.check(folder, pixels=True)
    except OutdatedError:
        shutil.rmtree(folder)
    except CorruptError as error:
        if folder.exists():
            _log.warning(
                "%s is corrupt (%s): built anew, and quarantined as %s, which may be removed",
                folder,
                error,
                quarantine(folder).name,
            )


def _pack(building: Path, contents: Contents, about: PackedInfo) -> None:
    images = sum(len(source) for source in contents.sources.values())
    needed, free = images * about.resolution**2 * 3, shutil.disk_usage(building).free
    if needed > free:
        raise DataError(
            f"{about.name} at {about.resolution} px needs {needed / 1e9:.1f} GB, and the cache folder "
            f"{building.parent} has {free / 1e9:.1f} GB left"
        )
    _log.info("packing %d images of %s at %d px", images, about.name, about.resolution)
    written = {
        split: packed.write_split(building, split, source, about.resolution, THREADS)
        for split, source in contents.sources.items()
    }
    about = replace(
        about,
        counts={split: len(part.labels) for split, part in written.items()},
        skipped=tuple(skipped for part in written.values() for skipped in part.skipped),
        enlarged=sum(part.enlarged for part in written.values()),
        checksums={name: value for part in written.values() for name, value in part.checksums.items()},
    )
    _check_kept(about, class_counts(written[TRAIN].labels, about.classes))
    packed.write_meta(building, about)


def _check_kept(about: PackedInfo, train: list[int]) -> None:
    """Checks again what the listing could not tell: that enough images could be read."""
    try:
        check_counts(about.classes, train, needed_for_training(about.counts), f"train of {about.source}")
        for split, count in about.counts.items():
            if not count:
                raise DataError(f"{split} of {about.source} has no readable image")
    except DataError as error:
        raise DataError(f"{error}; {about.skipped_message()}" if about.skipped else str(error)) from error


def _derive(building: Path, larger: Path, resolution: int) -> None:
    about = packed.check(larger)
    checksums: dict[str, int] = {}
    for split in about.counts:
        source = LargerSource(packed.pixels_of(larger, split), packed.labels_of(larger, split))
        checksums |= packed.write_split(building, split, source, resolution, THREADS).checksums
    about = replace(about, resolution=resolution, derived_from=about.resolution, checksums=checksums)
    packed.write_meta(building, about)


def _larger(root: Path, name: str, digest: str, resolution: int) -> Path | None:
    """The smallest packed folder that a smaller one may come from: decoded, and none of its images enlarged.

    Shrinking what was enlarged before would blur it.
    """
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


def _sweep(root: Path) -> None:
    """Removes what killed processes left: a folder under construction whose lock is free has no builder."""
    for building in (root / "packed").glob(f"{_BUILDING}*"):
        try:
            with _lock(root, building.name.removeprefix(_BUILDING), timeout=0):
                shutil.rmtree(building, ignore_errors=True)
        except Timeout:
            continue


def _is_sound(folder: Path) -> bool:
    try:
        packed.check(folder, pixels=True)
    except CorruptError:
        return False
    return True


def _place(root: Path, name: str, digest: str, resolution: int) -> Path:
    return root / "packed" / f"{name}-{digest[:12]}-{resolution}"


def _lock(root: Path, name: str, timeout: float = -1) -> FileLock:
    (root / "locks").mkdir(parents=True, exist_ok=True)
    return FileLock(root / "locks" / f"{name}.lock", timeout=timeout)


def _remembered(root: Path, key: str) -> str | None:
    try:
        digest = _note(root, key).read_text(encoding="ascii")
    except (OSError, ValueError):
        return None
    return digest if re.fullmatch("[0-9a-f]{64}", digest) else None


def _remember(root: Path, key: str, digest: str) -> None:
    note = _note(root, key)
    part = note.with_name(f"{note.name}.{os.getpid()}")
    try:
        note.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(digest, encoding="ascii")
        part.replace(note)
    except OSError:  # a cache that cannot be written may still hold the packed folder
        _log.debug("the digest could not be noted in %s", note.parent)


def _note(root: Path, key: str) -> Path:
    return root / "digests" / hashlib.sha256(key.encode(errors="surrogateescape")).hexdigest()


def ship(folder: Path) -> bytes:
    """All files of a packed folder."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as archive:
        for file in sorted(folder.iterdir()):
            if file.is_file():
                archive.add(file, arcname=file.name)
    return data.getvalue()


def unpacked(folder: Path, fetch: Callable[[], bytes], cache: Path | None = None) -> Path:
    """The packed folder as this machine has it; what it does not have, it fetches and keeps in its cache."""

    def extract(building: Path) -> None:
        with tarfile.open(fileobj=io.BytesIO(fetch())) as archive:
            archive.extractall(building, filter="data")

    return adopt(folder, extract, cache)

"""A packed image set as bytes, for machines that do not share a disk."""

import io
import tarfile
from collections.abc import Callable
from pathlib import Path

from effsearch.data.cache import adopt


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

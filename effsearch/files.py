"""Files that are whole or absent, corrupt ones that are kept aside, and TOML that others may have written."""

import os
import shutil
import tempfile
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


def read_toml(path: Path) -> dict[str, Any]:
    """Reads a TOML file; raises ValueError for what is none, or has a whole number past TOML's 64 bits, and OSError."""
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
        _check_numbers(document)
    except RecursionError as error:
        raise ValueError(f"too many levels: {error}") from None
    return document


def _check_numbers(value: Any) -> None:
    # Python reads longer ones, some of which it can neither print nor make a float of.
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise ValueError("a whole number past 64 bits")
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        _check_numbers(item)


def quarantine(path: Path) -> Path:
    """Renames a damaged file or folder to NAME.corrupt beside it (or NAME.corrupt-2, ...), and returns that."""
    aside = beside(path)
    path.rename(aside)
    sync_folder(path.parent)
    return aside


def beside(path: Path) -> Path:
    """Where the next that is corrupt of a file or folder is set aside: a name that is free."""
    number = 1
    while (aside := path.with_name(f"{path.name}.corrupt" + (f"-{number}" if number > 1 else ""))).exists():
        number += 1
    return aside


def sync_folder(folder: Path) -> None:
    """Brings a folder's own entries, such as a new name, to the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """Gives a temporary folder to fill, which becomes `folder` at the end, or is removed after an error."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    building = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    try:
        building.chmod(0o755)
        yield building
        building.rename(folder)
    finally:
        shutil.rmtree(building, ignore_errors=True)


def write_atomically(path: Path, content: str | bytes) -> None:
    """Writes a file (text as UTF-8) under a temporary name, syncs it, renames it and syncs the folder."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fchmod(file.fileno(), 0o644)
            os.fsync(file.fileno())
        Path(temporary).replace(path)
        sync_folder(path.parent)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise

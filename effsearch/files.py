"""Files and folders that are whole or absent, corrupt ones that are set aside, and TOML of unknown origin."""

import os
import shutil
import tempfile
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

BUILDING = ".building-"  # the prefix of a folder that a killed process may leave


def read_toml(path: Path) -> dict[str, Any]:
    """Reads a TOML file; raises OSError, and ValueError for other text or a whole number past TOML's 64 bits."""
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
    """The first free name NAME.corrupt, NAME.corrupt-2, ... beside a file or folder."""
    number = 1
    while (aside := path.with_name(f"{path.name}.corrupt" + (f"-{number}" if number > 1 else ""))).exists():
        number += 1
    return aside


def sync_folder(folder: Path) -> None:
    """Brings a folder's own entries, such as a new name, to the disk, where the system can."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def building(path: Path) -> Iterator[Path]:
    """A new folder beside `path`, renamed to it at the end, or removed on an error; raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=path.parent, prefix=f"{BUILDING}{path.name}."))
    try:
        folder.chmod(0o755)
        yield folder
        folder.rename(path)
        sync_folder(path.parent)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


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

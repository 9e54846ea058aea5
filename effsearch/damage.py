"""What is damaged is set aside, never used and never thrown away; what is renamed stays renamed."""

import os
from pathlib import Path


def set_aside(path: Path) -> Path:
    """Renames a damaged file or folder to NAME.damaged beside it (or NAME.damaged-2, ...), and returns that."""
    aside = beside(path)
    path.rename(aside)
    sync_folder(path.parent)
    return aside


def beside(path: Path) -> Path:
    """Where the next that is damaged of a file or folder is set aside: a name that is free."""
    number = 1
    while (aside := path.with_name(f"{path.name}.damaged" + (f"-{number}" if number > 1 else ""))).exists():
        number += 1
    return aside


def sync_folder(folder: Path) -> None:
    """Brings a folder's own entries, such as a new name, to the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

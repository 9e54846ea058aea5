"""Files that are whole or absent."""

import os
import tempfile
from pathlib import Path

from effsearch.damage import sync_folder


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

"""A run as tables, pictures and a page; here is how their files are checked and written."""

from collections.abc import Iterable
from pathlib import Path

from effsearch.errors import ReportError, listed
from effsearch.files import write_atomically


def check_suffix(path: Path, suffixes: Iterable[str]) -> None:
    """Raises ReportError for a file that ends in anything else."""
    if path.suffix not in suffixes:
        raise ReportError(f"--out takes a file that ends in {listed(suffixes)}, got {str(path)!r}")


def write_report(path: Path, content: str | bytes) -> None:
    """Writes a file, whole or not at all, over an earlier one; raises ReportError where it cannot be written."""
    try:
        write_atomically(path, content)
    except OSError as error:
        raise ReportError(f"cannot write {path}: {error.strerror or error}") from None

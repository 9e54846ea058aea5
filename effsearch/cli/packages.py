"""What a command says where a package that it needs is missing."""

from collections.abc import Iterator
from contextlib import contextmanager

from effsearch.errors import ReportError


@contextmanager
def needed() -> Iterator[None]:
    """Imports within it raise ReportError, which names the package to install."""
    try:
        yield
    except ModuleNotFoundError as error:
        name = (error.name or "").partition(".")[0]
        if name in ("", "effsearch"):
            raise
        raise ReportError(f"this needs the package {name}: python -m pip install {name}") from None

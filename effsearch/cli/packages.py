"""What a command says where a package that it needs is missing."""

from collections.abc import Iterator
from contextlib import contextmanager

from effsearch.errors import ReportError


@contextmanager
def needed(extra: str | None = None) -> Iterator[None]:
    """Imports within it raise ReportError, which names what to install: the package, or the extra that has it."""
    try:
        yield
    except ModuleNotFoundError as error:
        name = (error.name or "").partition(".")[0]
        if name in ("", "effsearch"):
            raise
        what = name if extra is None else f"'effsearch[{extra}]'"
        raise ReportError(f"this needs the package {name}: python -m pip install {what}") from None

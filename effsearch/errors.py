"""Every error that a user can cause, as one small tree."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager


def listed(values: Iterable[object]) -> str:
    """What is allowed, as an error names it: a, b, c."""
    return ", ".join(map(str, values))


class EffsearchError(Exception):
    """Says in one line what was got and what is allowed; the command line prints it and exits with status 2."""


class NotationError(EffsearchError):
    """A notation that names no architecture."""


class SpaceError(EffsearchError):
    """A search space that is malformed, empty within its limits, or does not hold an architecture."""


class QuantityError(EffsearchError):
    """A number, a time or a window that cannot be read or is out of range."""


class DataError(EffsearchError):
    """An image set that is missing, empty, or cannot be split."""


class RecipeError(EffsearchError):
    """A recipe that cannot be read or has no sense."""


class TableError(EffsearchError):
    """A benchmark table that cannot be read, or that is none."""


class RunError(EffsearchError):
    """A run folder that is missing, held by another driver, or was made with other settings."""


class ExecutorError(EffsearchError):
    """Workers that cannot be had."""


class ExportError(EffsearchError):
    """A network that cannot be written in the form asked for."""


class ReportError(EffsearchError):
    """A table that cannot be shown or written as asked."""


class WeightsError(EffsearchError):
    """A state dict that does not fit an architecture."""


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

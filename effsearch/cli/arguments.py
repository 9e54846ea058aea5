"""What several commands take: a results folder, an architecture, a format."""

import json
import re
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from effsearch.architecture import Architecture, parse
from effsearch.errors import EffsearchError, NotationError, QuantityError, RunError, listed
from effsearch.families import NAMES, find
from effsearch.scaling import Coefficients

Results = Annotated[
    Path, typer.Option("--results", envvar="EFFSEARCH_RESULTS", help="The folder of all runs.", show_envvar=True)
]

ARCH_HELP = f"An architecture: a name ({listed(NAMES)}), a notation, a file that holds one, RUN:RANK or RUN."
LARGEST_FILE = 1_000_000


class Format(StrEnum):
    """How a table is printed."""

    table = "table"
    json = "json"
    markdown = "markdown"


def resolve(text: str, results: Path) -> tuple[Architecture, str]:
    """The architecture that ARCH names, and a short name for it; raises EffsearchError."""
    known = find(text)
    if known is not None:
        return known, text
    if _is_file(text):
        return _from_file(Path(text)), Path(text).stem
    if "px-" in text:
        return parse(text), "the architecture"
    run, colon, rank = text.rpartition(":")
    if colon and rank.isdigit():
        return _ranked(run, int(rank), results), text
    if _is_file(str(results / text / "run.toml")):
        return _ranked(text, 1, results), f"{text}:1"
    raise NotationError(
        f"no architecture {text[:80]!r}; give a name ({listed(NAMES)}), a notation, a file that holds one, or RUN:RANK"
    )


def check_classes(classes: int) -> None:
    """Raises QuantityError for numbers of outputs that make no sense."""
    if not 2 <= classes <= 1_000_000:
        raise QuantityError(f"--classes must be from 2 to 1,000,000, got {classes}")


def check_limits(trials: int | None, workers: int | None, most_trials: int = 1_000_000) -> None:
    """Raises QuantityError for numbers that make no sense."""
    for name, value, most in (("trials", trials, most_trials), ("workers", workers, 256)):
        if value is not None and not 1 <= value <= most:
            raise QuantityError(f"--{name} must be from 1 to {most:,}, got {value}")


def plain_name(text: str, otherwise: str) -> str:
    """What is left of a text in the letters of a run's name, or `otherwise`."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-._")[:60] or otherwise


def coefficients_of(name: str, results: Path) -> Coefficients:
    """What a grid found; raises EffsearchError."""
    from effsearch.runs.folder import find as find_run

    run = find_run(results, name)
    found = run.read_coefficients()
    if found is None:
        raise RunError(f"run {run.name} has found no coefficients yet; effsearch grid does")
    return found


def _is_file(text: str) -> bool:
    try:
        return Path(text).is_file()
    except (OSError, ValueError):  # A notation may be longer than any file name; nor has a name a zero byte.
        return False


def _from_file(path: Path) -> Architecture:
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise NotationError(f"{path} is larger than {LARGEST_FILE:,} bytes; a notation is one line")
        text = path.read_text(encoding="utf-8").strip()
        document: Any = json.loads(text) if text.startswith("{") else {"notation": text}
        return parse(document["notation"]) if "notation" in document else Architecture.from_dict(document)
    except (OSError, ValueError, RecursionError, TypeError, AttributeError) as error:
        raise NotationError(f"{path} does not hold an architecture: {error}") from None
    except EffsearchError as error:
        raise NotationError(f"{path}: {error}") from None


def _ranked(name: str, rank: int, results: Path) -> Architecture:
    from effsearch.runs.folder import find as find_run
    from effsearch.runs.ranking import read_ranking

    run = find_run(results, name or None)
    rows = read_ranking(run.ranking)
    for row in rows:
        if row.rank == rank:
            return parse(row.notation)
    ranks = [row.rank for row in rows if row.rank is not None]
    raise NotationError(f"run {run.name} has {f'ranks 1 to {max(ranks)}' if ranks else 'no ranks yet'}, got {rank}")

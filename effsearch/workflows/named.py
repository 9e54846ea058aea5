"""What people name: architectures, in a file, a run's ranking or one line; and coefficients that a grid found."""

import json
import re
from pathlib import Path
from typing import Any

from effsearch.architecture import Architecture, parse
from effsearch.errors import EffsearchError, NotationError, RunError, listed
from effsearch.families import NAMES, find
from effsearch.runs.folder import find as find_run
from effsearch.runs.ranking import read_ranking
from effsearch.scaling import Coefficients

LARGEST_FILE = 1_000_000


def resolve(text: str, results: Path) -> tuple[Architecture, str]:
    """The architecture that ARCH names, and a short name for it; raises EffsearchError.

    ARCH is a name, a file that holds a notation or JSON, a notation, RUN:RANK, or RUN for its best.
    """
    if (known := find(text)) is not None:
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


def coefficients_of(name: str, results: Path) -> Coefficients:
    """What a grid found; raises EffsearchError."""
    run = find_run(results, name)
    if (found := run.read_coefficients()) is None:
        raise RunError(f"run {run.name} has found no coefficients yet; effsearch grid does")
    return found


def plain_name(text: str, otherwise: str) -> str:
    """What is left of a text in the letters of a run's name, or `otherwise`."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-._")[:60] or otherwise


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
    run = find_run(results, name or None)
    rows = read_ranking(run.ranking)
    for row in rows:
        if row.rank == rank:
            return parse(row.notation)
    ranks = [row.rank for row in rows if row.rank is not None]
    raise NotationError(f"run {run.name} has {f'ranks 1 to {max(ranks)}' if ranks else 'no ranks yet'}, got {rank}")

"""TOML files that others may have written."""

import tomllib
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

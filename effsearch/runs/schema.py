"""Plain values, such as those of TOML and JSON that may be a stranger's, to dataclasses and back."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from effsearch.errors import QuantityError, RunError

T = TypeVar("T")
INVALID = (OSError, ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError, QuantityError)

LARGEST = 2.0**63  # no number of a run comes near it; some larger ones Python can neither print nor make a float of


def read_file(file: Path, parse: Callable[[str], T], missing: T, problem: str = "cannot be read") -> T:
    """What `parse` makes of a run's file, or `missing` where there is no file; raises RunError for an invalid one."""
    try:
        return parse(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return missing
    except INVALID as error:
        raise RunError(f"{file} {problem}: {error}") from None


def convert(values: Any, kind: type[T], strict: bool = True) -> T:
    """Makes a dataclass, also of nested ones, ignoring unknown keys; unless `strict`, strings serve as numbers.

    Raises ValueError that names the field for a value of another type, and whatever the dataclass itself raises.
    """
    check_numbers(values)
    try:
        return msgspec.convert(values, kind, strict=strict)
    except msgspec.ValidationError as error:
        what, _, where = str(error).partition(" - at `$")
        place = where.strip("`.")
        raise ValueError(f"{place}: {what[0].lower()}{what[1:]}" if place else what) from None


def to_plain(value: Any) -> Any:
    """The dictionaries, lists, strings and numbers of a dataclass, without what is None, which TOML cannot hold."""
    plain = msgspec.to_builtins(value)
    return _without_none(plain) if is_dataclass(value) else plain


def _without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_none(item) for name, item in value.items() if item is not None}
    return [_without_none(item) for item in value] if isinstance(value, list | tuple) else value


def check_numbers(value: Any) -> None:
    """Raises ValueError for a number that is infinite or LARGEST and above, however deep; NaN passes."""
    if isinstance(value, int | float):
        if abs(value) >= LARGEST:
            raise ValueError("a number is too large")
    elif isinstance(value, Mapping | list | tuple):
        for item in value.values() if isinstance(value, Mapping) else value:
            check_numbers(item)


def flatten(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Names with dots, and values, of nested tables."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from flatten(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def differences(one: Any, other: Any) -> list[str]:
    """What differs between two dataclasses, as 'name is A, not B'."""
    # asdict has every field, however deep, where what was read has those alone that its file names.
    mine, theirs = (dict(flatten(_without_none(asdict(value)))) for value in (one, other))
    names = [name for name in {**mine, **theirs} if mine.get(name) != theirs.get(name)]
    return [f"{name} is {mine.get(name, 'not set')}, not {theirs.get(name, 'unset')}" for name in names]

"""The trainings of a run that failed, in failed.json beside the ranking: what `show --failed` prints."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, get_args, get_type_hints

from effsearch.errors import RunError
from effsearch.printable import printable
from effsearch.runs.folder import Run


@dataclass(frozen=True)
class Failure:
    """A training that failed, its reason and stack trace those of its last attempt.

    `epochs` is where it was to stop, if not at its end.
    """

    key: str
    notation: str
    seed: int
    epochs: int | None
    reason: str
    fault: str
    attempts: int
    traceback: str


def to_json(failures: Sequence[Failure]) -> str:
    """A list of objects, one a training."""
    return json.dumps([asdict(failure) for failure in failures], indent=1) + "\n"


def read_failures(run: Run) -> list[Failure]:
    """The failed trainings of a run; raises RunError for a file that a run does not write."""
    try:
        rows = json.loads(run.failed.read_text(encoding="utf-8"))
        return [_failure(row) for row in rows]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise RunError(f"{run.failed} cannot be read: {error}") from None


def _failure(row: dict[str, Any]) -> Failure:
    kinds = get_type_hints(Failure)
    values = {field.name: row[field.name] for field in fields(Failure)}
    for name, value in values.items():
        if type(value) not in (get_args(kinds[name]) or (kinds[name],)):
            raise TypeError(f"{name} is {value!r}")
    # A stack trace has lines; it is only shown as JSON, which escapes what a terminal would obey.
    shown = {name: printable(values[name]) for name in ("key", "notation", "reason", "fault")}
    return Failure(**values | shown)

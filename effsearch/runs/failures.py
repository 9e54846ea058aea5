"""The trainings of a run that failed, in failed.json beside the ranking: what `show --failed` prints."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from effsearch.errors import RunError
from effsearch.printable import printable
from effsearch.runs.folder import Run
from effsearch.runs.forms import check_fields


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
    found = Failure(**{field.name: row[field.name] for field in fields(Failure)})
    check_fields(found)
    # A stack trace has lines; it is only shown as JSON, which escapes what a terminal would obey.
    return replace(
        found,
        key=printable(found.key),
        notation=printable(found.notation),
        reason=printable(found.reason),
        fault=printable(found.fault),
    )

"""The trainings of a run that failed: `effsearch show --failed`."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from effsearch.errors import QuantityError
from effsearch.reports.text_table import TextTable, console
from effsearch.runs.folder import Run
from effsearch.runs.records import Failure, read_failures, to_json
from effsearch.text import counted

HEADINGS = ("key", "seed", "epoch", "attempts", "reason")


def show_failed(run: Run, form: str, out: Path | None = None) -> None:
    """Prints them as a table, csv, json (with stack traces) or markdown; raises RunError, QuantityError."""
    if out is not None:
        raise QuantityError("--failed is printed; leave out --out, or send --format json to a file")
    failures = read_failures(run)
    if form == "json":
        print(to_json(failures), end="")
    elif form == "csv":
        print(_csv(failures), end="")
    elif form == "markdown":
        print(failed_table(failures).markdown())
    elif not failures:
        print(f"{run.name}: no training has failed")
    else:
        grid = failed_table(failures)
        console(wide=False).print(grid.rich(f"{run.name}: {counted(len(failures), 'failed training')}"))
        print("epoch: where the training was to stop, where it has parts; stack traces: --format json")


def failed_table(failures: Sequence[Failure]) -> TextTable:
    """One line a training."""
    return TextTable(HEADINGS, "lrrrl", [_cells(failure) for failure in failures])


def _cells(failure: Failure) -> tuple[str, ...]:
    epochs = "" if failure.epochs is None else str(failure.epochs)
    return failure.key, str(failure.seed), epochs, str(failure.attempts), failure.reason


def _csv(failures: Sequence[Failure]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([HEADINGS, *map(_cells, failures)])
    return text.getvalue()

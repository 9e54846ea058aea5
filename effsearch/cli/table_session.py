"""`effsearch nas --table`: from what was asked for to a run on a table that is ready to be driven."""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console

from effsearch.benchmark_table import Table
from effsearch.cli.arguments import check_limits, plain_name
from effsearch.cli.budget import NO_TARGET, short
from effsearch.cli.session import create_stored, existing_run, free_name, refuse_changes
from effsearch.errors import EffsearchError, QuantityError, RunError, SpaceError, listed
from effsearch.evaluation.tables import Listing, read_table, to_csv
from effsearch.reward import format_cost
from effsearch.runs.folder import Run, environment
from effsearch.runs.settings import Limits
from effsearch.runs.storage import stored as stored_run
from effsearch.search.completion import Quality, complete
from effsearch.search.samplers import SAMPLERS
from effsearch.search.table_problem import TableSettings
from effsearch.text import counted

TRIALS = 100
OPTIONS = ("target", "measure", "sampler", "reward", "exponent", "window", "seed")
"""What a search of a table takes; the others are about training."""


@dataclass(frozen=True)
class TableRequest:
    """What was asked for on the command line, and only that."""

    asked: Mapping[str, Any]
    table: Path | None
    pool: bool
    measurements: tuple[str, ...]
    trials: int | None
    seconds: float | None
    workers: int | None
    storage: str | None
    run: str | None
    resume: str | None
    results: Path


@dataclass(frozen=True)
class TableSession:
    """A run on a table that is ready to be driven; `qualities` say how well missing rows are predicted."""

    run: Run
    listing: Listing
    table: Table
    settings: TableSettings
    limits: Limits
    qualities: list[Quality]


def open_table_session(request: TableRequest, out: Console) -> TableSession:
    """Makes a new run or takes up an existing one; raises EffsearchError before anything is written."""
    check_limits(request.trials, request.workers)
    if "sampler" in request.asked and request.asked["sampler"] not in SAMPLERS:
        raise QuantityError(f"--sampler must be one of {listed(SAMPLERS)}, got {request.asked['sampler']!r}")
    if unknown := [name for name in request.asked if name not in OPTIONS]:
        raise QuantityError(f"a search of a table trains nothing: it takes no --{unknown[0].replace('_', '-')}")
    existing = existing_run(request.run, request.resume, request.results)
    return _begin(request, out) if existing is None else _continue(request, existing, out)


def open_table(
    path: Path, pool: bool, measurements: tuple[str, ...], out: Console
) -> tuple[Listing, Table, list[Quality]]:
    """Reads a table and completes it if it must be, and says what it found; raises TableError."""
    listing = read_table(path, measurements)
    if pool or listing.complete:
        _describe(listing, pool, out)
        return listing, listing.table, []
    _describe(listing, pool, out)
    with out.status(f"fitting a predictor to {counted(listing.table.size, 'row')}"):
        table, qualities = complete(listing)
    for line in describe_qualities(qualities):
        out.print(line)
    return listing, table, qualities


def _describe(listing: Listing, pool: bool, out: Console) -> None:
    table = listing.table
    what = "every combination has a row" if listing.complete else f"rows for {table.size:,} of {listing.combinations:,}"
    searched = ", which alone are searched" if pool and not listing.complete else ""
    out.print(f"table {table.name}: {counted(len(table.decisions), 'decision')}; {what}{searched}")
    if listing.repeats:
        out.print(f"{counted(listing.repeats, 'row')} repeat another under another seed: accuracies are averaged")
    if listing.others:
        out.print(f"not used: {listed(listing.others)}", style="dim")


def describe_qualities(qualities: list[Quality]) -> list[str]:
    """A line for each measurement that is predicted."""
    lines = []
    for quality in qualities:
        off = f"{100 * quality.error:.2f} {'points' if quality.measurement == 'accuracy' else '%'}"
        lines.append(
            f"{quality.measurement} of rows left out is predicted to {off} (root mean square), Kendall tau "
            f"{quality.tau:.3f} ({counted(quality.rows, 'row')}, each left out in turn)"
        )
    return lines


def _begin(request: TableRequest, out: Console) -> TableSession:
    if "target" not in request.asked:
        raise QuantityError(NO_TARGET)
    assert request.table is not None
    # Looked at before a predictor is fitted, which takes longer than to complain.
    settings = TableSettings(table=request.table.stem, digest="", **request.asked)
    listing, table, qualities = open_table(request.table, request.pool, request.measurements, out)
    rows = to_csv(listing.table)
    settings = replace(settings, table=table.name, digest=_digest(rows), pool=request.pool and not listing.complete)
    _check_window(listing, settings)
    limits = Limits(request.trials or TRIALS, request.seconds)
    manifest = {
        "run": {"kind": "nas", **environment()},
        "settings": settings.to_dict(),
        "limits": {name: value for name, value in asdict(limits).items() if value is not None},
        "data": {
            "name": table.name,
            "source": str(request.table),
            "digest": settings.digest,
            "rows": listing.table.size,
            "combinations": listing.combinations,
            "predicted": [asdict(quality) for quality in qualities],
            **_deviation(listing),
        },
    }
    stem = plain_name(table.name, "table")
    name = request.run or free_name(request.results, f"{stem}-{short(settings.score)}")
    run = create_stored(request.results, name, manifest, request.storage, {"table.csv": rows})
    return TableSession(run, listing, table, settings, limits, qualities)


def _continue(request: TableRequest, run: Run, out: Console) -> TableSession:
    manifest = run.manifest()
    stored = manifest.get("settings", {})
    if "table" not in stored:
        raise RunError(f"run {run.name} is not on a table; choose another --run name")
    run = stored_run(run, manifest, request.storage)
    settings = TableSettings.from_dict(stored)
    wanted = replace(settings, **request.asked)
    if request.table is not None:
        listing = read_table(request.table, request.measurements)
        pool = request.pool and not listing.complete
        wanted = replace(wanted, table=request.table.stem, digest=_digest(to_csv(listing.table)), pool=pool)
    refuse_changes(run, settings.differences(wanted))
    listing, table, qualities = open_table(run.path / "table.csv", settings.pool, (), out)
    table = replace(table, name=settings.table)
    trials = request.trials or manifest.get("limits", {}).get("trials", TRIALS)
    return TableSession(run, listing, table, settings, Limits(trials, request.seconds), qualities)


def _deviation(listing: Listing) -> dict[str, float]:
    """The median deviation between trainings of one network, where the table has it."""
    found = [entry.deviation for entry in listing.table.entries.values() if entry.deviation is not None]
    return {"accuracy_std": median(found)} if found else {}


def _digest(rows: str) -> str:
    return hashlib.sha256(rows.encode()).hexdigest()[:16]


def _check_window(listing: Listing, settings: TableSettings) -> None:
    """Raises SpaceError unless a row lies within the window."""
    entries = listing.table.entries.values()
    if not any(map(settings.feasible, entries)):
        least, most = (format_cost(found(map(settings.cost, entries)), settings.measure) for found in (min, max))
        window = settings.score.span(settings.window)
        raise SpaceError(f"no row of table {settings.table} has {window}: it spans {least} to {most}")


def of_table(run: str | None, resume: str | None, results: Path) -> bool:
    """Whether the run that is to be continued, if any, is one on a table."""
    try:
        found = existing_run(run, resume, results)
        return found is not None and "table" in found.manifest().get("settings", {})
    except EffsearchError:  # It is new, or whoever opens it says what is wrong with it.
        return False

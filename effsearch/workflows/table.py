"""The search of a benchmark table: nothing is trained, so it needs no torch."""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median

from effsearch.benchmark_table import Quality, Table
from effsearch.engine.completion import complete
from effsearch.engine.search_problems import TableProblem, look_up
from effsearch.errors import QuantityError, RunError, SpaceError, listed
from effsearch.evaluation.tables import Listing, read_table, to_csv
from effsearch.executors.local import InlineExecutor
from effsearch.reward import format_cost
from effsearch.runs.folder import Run, environment
from effsearch.runs.manifest import Data, Limits, Manifest
from effsearch.runs.settings import TableSettings
from effsearch.runs.storage import stored as stored_run
from effsearch.text import counted
from effsearch.workflows import common
from effsearch.workflows.common import Listener, Outcome, Session, never
from effsearch.workflows.request import NO_TARGET, SearchRequest, plain_name

TRIALS = 100
SETTINGS = ("target", "measure", "sampler", "reward", "exponent", "window", "seed", "warm_start")
"""What a search of a table takes; the others are about training, and there is nothing to start from."""


def search_table(request: SearchRequest, listener: Listener, stopping: Callable[[], bool] = never) -> Outcome:
    """Makes or continues a run on a table, and drives it; raises EffsearchError before anything is written."""
    common.check_search(request)
    if refused := [name for name in request.options() if name not in SETTINGS]:
        raise QuantityError(f"a search of a table trains nothing: it takes no --{refused[0].replace('_', '-')}")
    request = replace(request, settings={k: v for k, v in request.settings.items() if k != "warm_start"})
    existing = request.existing()
    run, problem = _begin(request, listener) if existing is None else _continue(request, existing, listener)
    settings = problem.settings
    common.announce(run, listener)
    listener.note(
        f"target {settings.score.aim}, {settings.score.span(settings.window)} are looked up; {settings.sampler} "
        f"sampler, seed {settings.seed}; {counted(problem.trials, 'network')}"
    )
    executor = InlineExecutor(request.workers or 1)
    session = Session(run, problem, look_up, executor, request.seconds, problem.trials)
    return common.run_session(session, listener, stopping)


def refuse_plan(request: SearchRequest, listener: Listener) -> None:
    """Raises QuantityError: there is nothing to plan."""
    raise QuantityError("--dry-run is for trainings; a search of a table trains nothing: leave it out")


def is_on_table(request: SearchRequest) -> bool:
    """Whether a table is to be searched, or a run that is to be continued, if there is one, is on a table."""
    if request.table is not None:
        return True
    return (existing := request.existing()) is not None and existing.manifest().on_table


def open_table(
    path: Path, pool: bool, measurements: tuple[str, ...], listener: Listener
) -> tuple[Listing, Table, list[Quality]]:
    """Reads a table and completes it if it must be, and says what it found; raises TableError."""
    listing = read_table(path, measurements)
    table = listing.table
    what = "every combination has a row" if listing.complete else f"rows for {table.size:,} of {listing.combinations:,}"
    searched = ", which alone are searched" if pool and not listing.complete else ""
    listener.note(f"table {table.name}: {counted(len(table.decisions), 'decision')}; {what}{searched}")
    if listing.repeats:
        listener.note(f"{counted(listing.repeats, 'row')} repeat another under another seed: accuracies are averaged")
    if listing.others:
        listener.note(f"not used: {listed(listing.others)}", "dim")
    if pool or listing.complete:
        return listing, table, []
    with listener.busy(f"fitting a predictor to {counted(listing.table.size, 'row')}"):
        table, qualities = complete(listing)
    for quality in qualities:
        off = f"{100 * quality.error:.2f} {'points' if quality.measurement == 'accuracy' else '%'}"
        listener.note(
            f"{quality.measurement} of rows left out is predicted to {off} (root mean square), Kendall tau "
            f"{quality.tau:.3f} ({counted(quality.rows, 'row')}, each left out in turn)"
        )
    return listing, table, qualities


def _begin(request: SearchRequest, listener: Listener) -> tuple[Run, TableProblem]:
    if "target" not in request.settings:
        raise QuantityError(NO_TARGET)
    assert request.table is not None
    # Looked at before a predictor is fitted, which takes longer than to complain.
    settings = TableSettings(table=request.table.stem, digest="", **request.settings)
    listing, table, qualities = open_table(request.table, request.pool, request.measurements, listener)
    rows = to_csv(listing.table)
    settings = replace(settings, table=table.name, digest=_digest(rows), pool=request.pool and not listing.complete)
    _check_window(listing, settings)
    deviations = [entry.deviation for entry in listing.table.entries.values() if entry.deviation is not None]
    data = Data(
        table.name,
        str(request.table),
        settings.digest,
        rows=listing.table.size,
        combinations=listing.combinations,
        predicted=tuple(qualities),
        accuracy_std=median(deviations) if deviations else None,
    )
    trials = request.trials or TRIALS
    manifest = Manifest(environment("nas"), settings, data, Limits(trials, request.seconds))
    stem = f"{plain_name(table.name, 'table')}-{common.short(settings.score)}"
    run = common.create_stored(request, stem, manifest, {"table.csv": rows})
    return run, TableProblem(table, settings, trials)


def _continue(request: SearchRequest, run: Run, listener: Listener) -> tuple[Run, TableProblem]:
    manifest = run.manifest()
    if not isinstance(manifest.settings, TableSettings):
        raise RunError(f"run {run.name} is not on a table; choose another --run name")
    run, settings = stored_run(run, manifest.storage, request.storage), manifest.settings
    wanted = replace(settings, **request.settings)
    if request.table is not None:
        listing = read_table(request.table, request.measurements)
        pool = request.pool and not listing.complete
        wanted = replace(wanted, table=request.table.stem, digest=_digest(to_csv(listing.table)), pool=pool)
    common.refuse_changes(run, settings, wanted)
    _, table, _ = open_table(run.path / "table.csv", settings.pool, (), listener)
    trials = request.trials or manifest.limits.trials or TRIALS
    return run, TableProblem(replace(table, name=settings.table), settings, trials)


def _digest(rows: str) -> str:
    return hashlib.sha256(rows.encode()).hexdigest()[:16]


def _check_window(listing: Listing, settings: TableSettings) -> None:
    entries = listing.table.entries.values()
    if not any(map(settings.feasible, entries)):
        least, most = (format_cost(found(map(settings.cost, entries)), settings.measure) for found in (min, max))
        window = settings.score.span(settings.window)
        raise SpaceError(f"no row of table {settings.table} has {window}: it spans {least} to {most}")

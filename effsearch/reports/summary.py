"""What is printed about a run besides its table."""

from collections import Counter
from collections.abc import Sequence

from effsearch.costs import CONVENTION
from effsearch.errors import RunError, listed
from effsearch.evaluation import Proxy
from effsearch.prior import load
from effsearch.reports.ranking_table import marks_caption, noise_line, ranking_table, read_rows
from effsearch.reports.text_table import NOTATION_FROM, TextTable, cell, console
from effsearch.reward import MEASURE_NAMES, Reward, format_cost
from effsearch.runs.folder import Run
from effsearch.runs.manifest import Data, Manifest
from effsearch.runs.ranking import Row
from effsearch.runs.settings import NasSettings, TableSettings, TrainSettings
from effsearch.text import counted, format_count, format_latency


def print_ranking(run: Run, rows: Sequence[Row], chosen: Sequence[Row]) -> None:
    """The chosen rows of a ranking with what the numbers mean, how noisy they are, and the best within the target."""
    out = console()
    manifest = run.manifest()
    score = manifest.score
    table = ranking_table(chosen, notation=out.width >= NOTATION_FROM, measure=score.measure)
    out.print(table.rich(f"{run.name}: {counts_line(rows, how_evaluated(manifest))}"))
    if out.width < NOTATION_FROM:
        out.print(f"notations: effsearch describe {run.name}:RANK, or a window of {NOTATION_FROM} columns", style="dim")
    out.print_dim(captions(manifest))
    if manifest.trains:
        out.print(noise_line(rows))
    best = best_within_target(rows)
    if best is not None:
        found = f"rank {best.rank}, {100 * (best.accuracy or 0.0):.1f} %, {costs(best)}"
        out.print(f"{within(score)}: {found}", style="bold")
        out.print(best.notation, soft_wrap=True)


def within(score: Reward) -> str:
    what = MEASURE_NAMES[score.measure]
    return f"best with {what} <= {score.aim.removesuffix(' ' + what)}"


def costs(row: Row) -> str:
    """What a network costs, with units."""
    latency = "" if row.latency is None else f", {format_latency(row.latency)}"
    return f"{format_count(row.flops)} FLOPs, {format_count(row.params)} parameters{latency}"


def best_within_target(rows: Sequence[Row]) -> Row | None:
    """The first of a ranking that costs no more than the target."""
    return next((row for row in rows if row.rank is not None and row.target_ratio <= 1), None)


def captions(manifest: Manifest) -> list[str]:
    """What the columns of a ranking are."""
    settings, data, score = manifest.settings, manifest.data, manifest.score
    if isinstance(settings, TableSettings):
        return _table_captions(settings, data)
    assert not isinstance(settings, TrainSettings)
    if isinstance(settings, NasSettings):
        side, more = f"{settings.resolution} px", _latency_captions(settings)
    else:
        side, more = f"each network's own px ({settings.architecture.resolution} px the baseline's)", []
    return [
        _accuracy_caption(manifest, settings.proxy),
        f"reward: {score.formula}, T = {score.aim}",
        f"{CONVENTION}, at {side} and {settings.classes} classes",
        *more,
        marks_caption(score.measure),
    ]


def _accuracy_caption(manifest: Manifest, proxy: Proxy) -> str:
    data = manifest.data
    if manifest.by_function:
        return f"acc: as {data.name} gives it"
    if not manifest.trains:
        prior = load()
        return (
            f"acc: ImageNet top-1 after a short training, PREDICTED from {prior.trainings:,} trainings in B0's "
            f"skeleton (networks left out: RMSE {100 * prior.rmse:.2f} points, Kendall tau {prior.kendall_tau:.2f})"
        )
    kind = " (synthetic images)" if data.synthetic else ""
    spread = "sd in points" if manifest.run.kind == "nas" else "+-: half of its 95 % interval in points"
    return (
        f"acc: validation top-1 on {data.name}{kind}, {len(data.classes)} classes, after the {proxy.name} proxy "
        f"({proxy.resolution} px, channels x {proxy.width:g}, {counted(proxy.epochs, 'epoch')} of "
        f"{counted(data.train, 'image')}), mean over n seeds, {spread}"
    )


def _latency_captions(settings: NasSettings) -> list[str]:
    lines, by = [], settings.latency
    if by is not None:
        where = f"{counted(by.threads, 'thread')}, float32" if by.device == "cpu" else "bf16 if the GPU has it"
        lines.append(f"ms: latency of a batch of {by.batch} on {by.name}, {where}: median, no training beside it")
    if settings.limits:
        found = listed(f"at most {format_cost(limit, measure)}" for measure, limit in settings.limits.items())
        lines.append(f"limits: {found}")
    return lines


def how_evaluated(manifest: Manifest) -> str:
    """What was done to the architectures of a run that have an accuracy."""
    return "trained" if manifest.trains or manifest.on_table else "evaluated" if manifest.by_function else "predicted"


def _table_captions(settings: TableSettings, data: Data) -> list[str]:
    score, of = settings.score, ""
    if data.predicted:
        quality = data.predicted[0]
        of = (
            f" of {data.combinations:,} combinations; (predicted): no row, by a Gaussian process, off by "
            f"{100 * quality.error:.2f} points for rows left out, Kendall tau {quality.tau:.3f}"
        )
    elif settings.pool:
        of = f", which alone are searched, of {data.combinations:,} combinations"
    lines = [f"acc: of table {data.name}, {data.rows:,} rows{of}"]
    if data.accuracy_std is not None:
        points = 100 * data.accuracy_std
        lines.append(f"noise: sd {points:.2f} points between trainings of one network (accuracy_std, median)")
    lines.append(f"reward: {score.formula}, T = {score.aim}; FLOPs and params are the table's")
    return [*lines, f"* on the Pareto front of accuracy and {MEASURE_NAMES[score.measure]}"]


def counts_line(rows: Sequence[Row], complete: str = "trained") -> str:
    """How many architectures are in which state; `complete` is what those with an accuracy are."""
    states = Counter(row.state for row in rows)
    words = {"complete": complete, "failed": "failed", "running": "running", "queued": "queued"}
    found = [f"{states[state]} {word}" for state, word in words.items() if states[state]]
    return f"{', '.join(found) or 'no'} architecture{'' if len(rows) == 1 else 's'}"


def runs_table(found: Sequence[Run]) -> TextTable:
    """One line for each run: what it searched and how far it came."""
    headings = ("run", "command", "data", "target", "trained", "failed", "best reward", "acc %", "created (UTC)")
    return TextTable(headings, "lllrrrrrl", list(map(_run_cells, found)))


def _run_cells(run: Run) -> tuple[str, ...]:
    try:
        manifest = run.manifest()
        rows = read_rows(run) if run.ranking.is_file() else []
    except RunError as error:
        return (run.name, f"cannot be read: {error}", *[""] * 7)
    best = rows[0] if rows and rows[0].rank == 1 else None
    states = Counter(row.state for row in rows)
    return (
        run.name,
        manifest.run.kind,
        manifest.data.name,
        "" if isinstance(manifest.settings, TrainSettings) else manifest.score.aim,
        str(states["complete"]),
        str(states["failed"]),
        cell(best.reward if best else None, ".4f"),
        cell(best.accuracy if best else None, ".1f", 100),
        manifest.run.created.replace("T", " ").removesuffix("+00:00"),
    )

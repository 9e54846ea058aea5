"""The ranking of a run as a table, with what is said about it.

The terminal, Markdown, files, the page and --sort are all made of one list of columns.
"""

import json
import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from operator import attrgetter
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from effsearch.costs import CONVENTION
from effsearch.errors import ReportError, RunError, listed
from effsearch.evaluation import Proxy
from effsearch.prior import load
from effsearch.reports import check_suffix, write_report
from effsearch.reports.text_table import NOTATION_FROM, TextTable, cell, console
from effsearch.reward import MEASURE_NAMES, RATIOS, Measure, Reward, format_cost
from effsearch.runs.comparison import quantile
from effsearch.runs.folder import Run
from effsearch.runs.manifest import Data, Manifest
from effsearch.runs.ranking import COLUMNS, TIE, Noise, Row, measure_noise, read_ranking
from effsearch.runs.settings import GridSettings, NasSettings, TableSettings, TrainSettings
from effsearch.runs.transfer_settings import TransferSettings
from effsearch.text import counted, format_count, format_latency


@dataclass(frozen=True)
class Column:
    """A column of the ranking: the attribute of Row that it is sorted by and that files hold, and its printed cells.

    Without a heading it is in files alone; with `best_last` sorting begins with the largest; `unknown` says what
    happens to a column without values.
    """

    name: str
    heading: str | None
    align: Literal["l", "r"]
    text: Callable[[Row], str]
    best_last: bool = False
    unknown: Literal["kept", "not printed", "left out"] = "kept"

    def is_known(self, rows: Sequence[Row]) -> bool:
        return any(getattr(row, self.name) is not None for row in rows)


def columns(noise: Noise | None = None, measure: Measure = "flops") -> tuple[Column, ...]:
    """All columns as printed: accuracies in %, deviations (with `noise`, 95 % intervals) in points, latency in ms."""
    return (
        Column("rank", "rank", "r", lambda row: cell(row.rank)),
        Column("reward", "reward", "r", lambda row: cell(row.reward, ".4f") or row.state, best_last=True),
        Column("accuracy", "acc %", "r", lambda row: cell(row.accuracy, ".1f", 100), best_last=True),
        Column(
            "expected", "exp %", "r", lambda row: cell(row.expected, ".1f", 100), best_last=True, unknown="not printed"
        ),
        Column("accuracy_sd", None if noise else "sd (n)", "r", _deviation),
        Column("seeds", "+-" if noise else None, "r", lambda row: interval(row, noise), best_last=True),
        Column("probability_best", "best %", "r", _probability, best_last=True, unknown="not printed"),
        Column("flops", "FLOPs", "r", lambda row: format_count(row.flops)),
        Column("target_ratio", RATIOS[measure], "r", lambda row: f"{row.target_ratio:.2f}"),
        Column("params", "params", "r", lambda row: format_count(row.params)),
        Column("latency", "ms", "r", lambda row: cell(row.latency, ".3g", 1e3), unknown="not printed"),
        Column("epochs", "epochs", "r", lambda row: cell(row.epochs)),
        Column("pareto", "", "l", _marks, best_last=True),
        Column("alpha", "alpha", "r", lambda row: cell(row.alpha, ".3f"), unknown="left out"),
        Column("beta", "beta", "r", lambda row: cell(row.beta, ".3f"), unknown="left out"),
        Column("gamma", "gamma", "r", lambda row: cell(row.gamma, ".3f"), unknown="left out"),
        Column("source", "source", "l", lambda row: row.source),
        Column("key", "key", "l", lambda row: row.key),
        Column("notation", "notation", "l", lambda row: row.notation),
        Column("tie", None, "l", _marks, best_last=True),
        *(Column(name, None, "l", str) for name in ("state", "seconds", "reason")),
    )


def _deviation(row: Row) -> str:
    return "" if row.accuracy_sd is None else f"{100 * row.accuracy_sd:.1f} ({row.seeds})"


def _probability(row: Row) -> str:
    value = row.probability_best
    return "" if value is None else "<1" if value < 0.01 else f"{100 * value:.0f}"


def interval(row: Row | None, noise: Noise | None) -> str:
    """Half of the 95 % interval of a row's accuracy in points and the number of seeds; empty where unknown."""
    if row is None or noise is None or row.accuracy is None:
        return ""
    return f"{half_width(row, noise):.1f} ({row.seeds})"


def half_width(row: Row, noise: Noise) -> float:
    """Half of the 95 % interval of a mean over seeds, in points, from the pooled deviation (Student's t)."""
    return float(100 * quantile(noise.freedom) * noise.sd / math.sqrt(row.seeds))


def _marks(row: Row) -> str:
    return ("*" if row.pareto else "") + ("=" if row.tie and row.rank != 1 else "")


def _printed(rows: Sequence[Row], noise: Noise | None, measure: Measure) -> list[Column]:
    having = [column for column in columns(noise, measure) if column.heading is not None]
    known = [column for column in having if column.unknown == "kept" or column.is_known(rows)]
    if any(row.expected is not None for row in rows) and len({row.epochs for row in rows} - {None}) == 1:
        known = [column for column in known if column.name != "epochs"]  # for the width; the caption says them
    return known


def ranking_table(
    rows: Sequence[Row], notation: bool = True, noise: Noise | None = None, measure: Measure = "flops"
) -> TextTable:
    """The ranking as text; `noise` and `measure` as for `columns`."""
    shown = [column for column in _printed(rows, noise, measure) if notation or column.name != "notation"]
    return TextTable.of([(column.heading or "", column.align, column.text) for column in shown], rows)


@dataclass(frozen=True)
class PageRanking:
    """For the page's script; `falling` are the columns whose first click puts the largest on top."""

    headings: Sequence[str]
    align: str
    cells: Sequence[Sequence[str]]
    sort: Sequence[Sequence[Any]]
    falling: Sequence[bool]
    notations: Sequence[str]
    reasons: Sequence[str | None]


def page_ranking(rows: Sequence[Row], noise: Noise | None, measure: Measure = "flops") -> PageRanking:
    """All rows with the columns in which any cell is filled; the page writes notations by itself."""
    texts = {column: [column.text(row) for row in rows] for column in _printed(rows, noise, measure)}
    shown = {column: cells for column, cells in texts.items() if any(cells) and column.name != "notation"}
    return PageRanking(
        headings=[column.heading or "marks" for column in shown],
        align="".join(column.align for column in shown),
        cells=list(zip(*shown.values(), strict=True)),
        sort=[[getattr(row, column.name) for row in rows] for column in shown],
        falling=[column.best_last for column in shown],
        notations=[row.notation for row in rows],
        reasons=[row.reason for row in rows],
    )


def read_rows(run: Run) -> list[Row]:
    """The ranking of a run; raises RunError where there is none yet, or the file is damaged."""
    if not run.ranking.exists():
        raise RunError(f"run {run.name} has no ranking yet")
    return read_ranking(run.ranking)


def select_rows(rows: list[Row], top: int | None = None, sort: str = "rank", pareto: bool = False) -> list[Row]:
    """The rows on the Pareto front, or all, by a column (unknown values last), the first `top`; raises ReportError."""
    by = next((column for column in columns() if column.name == sort), None)
    if by is None:
        raise ReportError(f"cannot sort by {sort!r}; columns are {listed(COLUMNS)}")
    chosen = [row for row in rows if row.pareto or not pareto]
    known = [row for row in chosen if getattr(row, sort) is not None]
    known.sort(key=attrgetter(sort), reverse=by.best_last)
    return [*known, *(row for row in chosen if getattr(row, sort) is None)][:top]


def _file_columns(rows: Sequence[Row]) -> list[str]:
    missing = {column.name for column in columns() if column.unknown == "left out" and not column.is_known(rows)}
    return [name for name in COLUMNS if name not in missing]


def ranking_frame(rows: list[Row]) -> pd.DataFrame:
    """One line for each architecture, in nullable integer types where a whole number may be unknown."""
    table = pd.DataFrame(list(map(asdict, rows)), columns=_file_columns(rows))
    return table.astype({"rank": "Int64", "epochs": "Int64", "flops": "int64", "params": "int64"})


def ranking_json(rows: list[Row]) -> str:
    names = _file_columns(rows)
    return json.dumps([{name: getattr(row, name) for name in names} for row in rows], indent=2)


def write_ranking(rows: list[Row], path: Path) -> None:
    """Writes CSV, JSON or Parquet, by the suffix; raises ReportError as `write_rows`."""
    write_rows(path, lambda: ranking_frame(rows), lambda: ranking_json(rows))


def write_rows(path: Path, frame: Callable[[], pd.DataFrame], document: Callable[[], str]) -> None:
    """Writes CSV, JSON or Parquet, by the suffix; raises ReportError for another, or where it cannot be written."""
    writers: dict[str, Callable[[], str | bytes]] = {
        ".csv": lambda: frame().to_csv(index=False),
        ".json": lambda: document() + "\n",
        ".parquet": lambda: frame().to_parquet(index=False),
    }
    check_suffix(path, writers)
    write_report(path, writers[path.suffix]())


def noise_line(rows: Sequence[Row]) -> str:
    """How far apart two seeds of one network are, as measured in this run."""
    noise = measure_noise(rows)
    if noise is None:
        return "noise: not measured, since no network was trained under two seeds; small differences mean nothing"
    points, networks = 100 * noise.sd, counted(noise.networks, "network")
    basis = f"pooled over {networks}, {counted(noise.freedom, 'degree')} of freedom"
    count = f"two networks of one seed each must differ by {TIE * 2**0.5 * points:.1f} points to count"
    return f"noise: seed sd {points:.1f} points ({basis}); {count}"


def print_ranking(run: Run, rows: Sequence[Row], chosen: Sequence[Row]) -> None:
    """The chosen rows of a ranking with what the numbers mean, how noisy they are, and the best within the target."""
    out, manifest = console(), run.manifest()
    score = manifest.score
    table = ranking_table(chosen, notation=out.width >= NOTATION_FROM, measure=score.measure)
    out.print(table.rich(f"{run.name}: {counts_line(rows, how_evaluated(manifest))}"))
    if out.width < NOTATION_FROM:
        out.print(f"notations: effsearch describe {run.name}:RANK, or a window of {NOTATION_FROM} columns", style="dim")
    out.print_dim(captions(manifest))
    if manifest.trains:
        out.print(noise_line(rows))
    if (best := best_within_target(rows)) is not None:
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
    assert not isinstance(settings, TrainSettings | TransferSettings)
    if isinstance(settings, NasSettings):
        side, more = f"{settings.resolution} px", _latency_captions(settings)
    else:
        side, more = f"each network's own px ({settings.resolution} px the baseline's)", []
    return [
        _accuracy_caption(manifest, settings.proxy),
        f"reward: {score.formula}, T = {score.aim}",
        f"{CONVENTION}, at {side} and {settings.classes} classes",
        *more,
        *([JUDGED_CAPTION] if isinstance(settings, NasSettings) and manifest.trains else []),
        *([SURFACE_CAPTION] if isinstance(settings, GridSettings) and settings.method == "surface" else []),
        f"{_front_caption(score)}; = tied with rank 1 ({TIE:g} standard errors of the seeds)",
    ]


JUDGED_CAPTION = (
    "exp %: the accuracy to be expected by all trainings of the run together (a Gaussian process over the decisions); "
    "networks are ranked by its reward; best %: the probability that the reward is the highest of the run"
)

SURFACE_CAPTION = (
    "exp %: the accuracy to be expected at T FLOPs by all trainings of the run together (a surface over alpha, beta "
    "and gamma, and what a network is off it); candidates are ranked by it, before the references; best %: the "
    "probability that it is the highest of the candidates that were trained"
)


def _front_caption(score: Reward) -> str:
    return f"* on the Pareto front of accuracy and {MEASURE_NAMES[score.measure]}"


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
    return [*lines, _front_caption(score)]


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

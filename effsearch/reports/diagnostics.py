"""What `effsearch show` prints besides the ranking: failed trainings, and how well each rung told the final order."""

import csv
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy import stats

from effsearch.errors import QuantityError, RunError
from effsearch.reports.text_table import Columns, TextTable, cell, console
from effsearch.runs.folder import Run
from effsearch.runs.history import read_history
from effsearch.runs.records import Failure, Record, epochs_alone, read_failures, to_json
from effsearch.runs.settings import NasSettings
from effsearch.text import counted

FAILURES: Columns[Failure] = (
    ("key", "l", lambda failure: failure.key),
    ("seed", "r", lambda failure: str(failure.seed)),
    ("epoch", "r", lambda failure: cell(failure.epochs)),
    ("attempts", "r", lambda failure: str(failure.attempts)),
    ("reason", "l", lambda failure: failure.reason),
)


def show_failed(run: Run, form: str, out: Path | None = None) -> None:
    """Prints failed trainings as a table, csv, json (with stack traces) or markdown; raises RunError, QuantityError."""
    if out is not None:
        raise QuantityError("--failed is printed; leave out --out, or send --format json to a file")
    failures = read_failures(run)
    table = TextTable.of(FAILURES, failures)
    if form == "json":
        print(to_json(failures), end="")
    elif form == "csv":
        csv.writer(sys.stdout, lineterminator="\n").writerows([table.headings, *table.cells])
    elif form == "markdown":
        print(table.markdown())
    elif not failures:
        print(f"{run.name}: no training has failed")
    else:
        console(wide=False).print(table.rich(f"{run.name}: {counted(len(failures), 'failed training')}"))
        print("epoch: where the training was to stop, where it has parts; stack traces: --format json")


RESAMPLES = 2000


@dataclass(frozen=True)
class Fidelity:
    """How well accuracies after a rung of `epochs` epochs predict those after the last one.

    `reached` networks came to the rung, `networks` of them to the end. `tau` is Kendall's between accuracies, with a
    95 % bootstrap interval (None if undefined). `regret` is how much less accurate (a fraction) the rung's best is at
    the end than the best; `share` is the part of all networks' epochs that was trained until then.
    """

    epochs: int
    reached: int
    networks: int
    tau: float | None
    low: float | None
    high: float | None
    regret: float | None
    share: float


FIDELITY: Columns[Fidelity] = (
    ("epochs", "r", lambda row: str(row.epochs)),
    ("reached", "r", lambda row: str(row.reached)),
    ("to the end", "r", lambda row: str(row.networks)),
    ("tau", "r", lambda row: cell(row.tau, ".2f")),
    ("95 % interval", "r", lambda row: "" if row.tau is None else f"{row.low:.2f} to {row.high:.2f}"),
    ("regret", "r", lambda row: cell(row.regret, ".1f", 100)),
    ("epochs so far", "r", lambda row: f"{100 * row.share:.0f} %"),
)
FIDELITY_CAPTION = (
    "reached, to the end: networks on the rung, and those of them that came to the last one",
    "tau: Kendall's between accuracies on the rung and at the end, of those that came to the end; they were chosen "
    "by the rung, so that it is less than for all",
    "regret: points of accuracy that the first of the rung lacks at the end; epochs so far: % of training all "
    "networks to the last rung",
)


def rung_fidelity(records: Sequence[Record], rungs: Sequence[int], seed: int) -> list[Fidelity]:
    """The fidelity of each rung, by the trainings under one seed."""
    reached: dict[int, dict[str, float]] = {epochs: {} for epochs in rungs}
    for record in records:
        candidate = record.candidate
        if candidate.seed == seed and candidate.epochs in reached and record.accuracy is not None:
            reached[candidate.epochs][candidate.key] = record.accuracy
    everyone, final, spent, found = len(reached[rungs[0]]), reached[rungs[-1]], 0, []
    for epochs in rungs:
        here = reached[epochs]
        spent += len(here) * epochs_alone(epochs, rungs)
        both = [key for key in here if key in final]
        early, late = np.array([here[key] for key in both]), np.array([final[key] for key in both])
        tau, low, high = _kendall_tau(early, late) if epochs != rungs[-1] else (None, None, None)
        regret = float(late.max() - late[early.argmax()]) if both else None
        share = spent / (everyone * rungs[-1]) if everyone else 0.0
        found.append(Fidelity(epochs, len(here), len(both), tau, low, high, regret, share))
    return found


def _kendall_tau(
    early: npt.NDArray[np.float64], late: npt.NDArray[np.float64]
) -> tuple[float, float, float] | tuple[None, None, None]:
    if len(early) < 3 or np.ptp(early) == 0 or np.ptp(late) == 0:
        return None, None, None
    rng = np.random.default_rng(0)
    rows = rng.integers(0, len(early), (RESAMPLES, len(early)))
    drawn = [float(stats.kendalltau(early[row], late[row]).statistic) for row in rows]
    low, high = np.nanpercentile(drawn, [2.5, 97.5])
    return float(stats.kendalltau(early, late).statistic), float(low), float(high)


def read_fidelity(run: Run) -> list[Fidelity]:
    """The fidelity of a run's rungs; raises RunError for a run without rungs."""
    settings = run.manifest().settings
    if not isinstance(settings, NasSettings) or not settings.rungs:
        raise RunError(f"run {run.name} has no rungs; effsearch nas --rungs 1,3,9 makes one that has")
    history = read_history(run)
    return rung_fidelity([] if history is None else history.records, settings.rungs, settings.seed)


def show_fidelity(run: Run, form: str, out: Path | None = None) -> None:
    """Prints the fidelity of rungs as a table or as JSON; raises RunError, QuantityError."""
    if out is not None or form not in ("table", "json"):
        raise QuantityError("--fidelity prints a table, or with --format json a list; leave out --out")
    found = read_fidelity(run)
    if form == "json":
        print(json.dumps([asdict(row) for row in found], indent=2))
        return
    terminal = console()
    terminal.print(TextTable.of(FIDELITY, found).rich(f"{run.name}: what each rung told of the last"))
    terminal.print_dim(FIDELITY_CAPTION)

"""How well each rung of a search told what the last one says."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy import stats

from effsearch.errors import QuantityError, RunError
from effsearch.reports.text_table import TextTable, console
from effsearch.runs.folder import Run
from effsearch.runs.history import read_history
from effsearch.runs.records import Record, epochs_alone
from effsearch.runs.settings import NasSettings

RESAMPLES = 2000


@dataclass(frozen=True)
class Fidelity:
    """What a rung of `epochs` epochs told of the last one.

    `networks` have reached both, under the same seed. `tau` is Kendall's between their accuracies, with its 95 %
    interval by the bootstrap (None for fewer than three networks, where all accuracies are alike, and at the end).
    `regret` is how much less accurate (a fraction) at the end the first of the rung is than the best. `reached`
    networks came to the rung, and `share` is what all were trained until then, of their epochs to the last rung.
    """

    epochs: int
    reached: int
    networks: int
    tau: float | None
    low: float | None
    high: float | None
    regret: float | None
    share: float


def fidelity(records: Sequence[Record], rungs: Sequence[int], seed: int) -> list[Fidelity]:
    """A line for each rung."""
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
        tau, low, high = _agreement(early, late) if epochs != rungs[-1] else (None, None, None)
        regret = float(late.max() - late[early.argmax()]) if both else None
        share = spent / (everyone * rungs[-1]) if everyone else 0.0
        found.append(Fidelity(epochs, len(here), len(both), tau, low, high, regret, share))
    return found


def _agreement(
    early: npt.NDArray[np.float64], late: npt.NDArray[np.float64]
) -> tuple[float | None, float | None, float | None]:
    if len(early) < 3 or np.ptp(early) == 0 or np.ptp(late) == 0:
        return None, None, None
    rng = np.random.default_rng(0)
    rows = rng.integers(0, len(early), (RESAMPLES, len(early)))
    drawn = [float(stats.kendalltau(early[row], late[row]).statistic) for row in rows]
    low, high = np.nanpercentile(drawn, [2.5, 97.5])
    return float(stats.kendalltau(early, late).statistic), float(low), float(high)


def read_fidelity(run: Run) -> list[Fidelity]:
    """That of a run; raises RunError for one without rungs."""
    settings = run.manifest().settings
    if not isinstance(settings, NasSettings) or not settings.rungs:
        raise RunError(f"run {run.name} has no rungs; effsearch nas --rungs 1,3,9 makes one that has")
    history = read_history(run)
    return fidelity([] if history is None else history.records, settings.rungs, settings.seed)


def show_fidelity(run: Run, form: str, out: Path | None = None) -> None:
    """Prints it as a table or as JSON; raises RunError, QuantityError."""
    if out is not None or form not in ("table", "json"):
        raise QuantityError("--fidelity prints a table, or with --format json a list; leave out --out")
    found = read_fidelity(run)
    if form == "json":
        print(json.dumps([asdict(row) for row in found], indent=2))
    else:
        _print(run, found)


def _print(run: Run, found: Sequence[Fidelity]) -> None:
    """The table, with what its columns are."""
    out = console()
    headings = ("epochs", "reached", "to the end", "tau", "95 % interval", "regret", "epochs so far")
    grid = TextTable(headings, "rrrrrrr", [_cells(row) for row in found])
    out.print(grid.rich(f"{run.name}: what each rung told of the last"))
    for line in (
        "reached, to the end: networks on the rung, and those of them that came to the last one",
        "tau: Kendall's between accuracies on the rung and at the end, of those that came to the end; they were chosen "
        "by the rung, so that it is less than for all",
        "regret: points of accuracy that the first of the rung lacks at the end; epochs so far: % of training all "
        "networks to the last rung",
    ):
        out.print(line, style="dim")


def _cells(row: Fidelity) -> tuple[str, ...]:
    known = row.tau is not None and row.low is not None and row.high is not None
    return (
        str(row.epochs),
        str(row.reached),
        str(row.networks),
        f"{row.tau:.2f}" if known else "",
        f"{row.low:.2f} to {row.high:.2f}" if known else "",
        "" if row.regret is None else f"{100 * row.regret:.1f}",
        f"{100 * row.share:.0f} %",
    )

"""Trainings of a run: epoch by epoch, one after another, those that failed, and how well rungs predict the last one."""

import csv
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from effsearch.errors import QuantityError, RunError
from effsearch.reports.text_table import Columns, TextTable, cell, console
from effsearch.runs.comparison import kendall_tau
from effsearch.runs.folder import Run
from effsearch.runs.history import History, TrialHistory, longest, read_history
from effsearch.runs.records import Failure, Record, epochs_alone, read_failures, to_json
from effsearch.runs.schema import convert, read_file
from effsearch.runs.settings import NasSettings, TrainSettings
from effsearch.text import counted, format_duration, sanitize
from effsearch.training import best_epoch

BARS = "▁▂▃▄▅▆▇█"
WIDTH = 60


@dataclass(frozen=True)
class EpochLine:
    """A line of metrics.jsonl: mean training loss (nats), validation accuracy (a fraction), seconds."""

    epoch: int
    loss: float
    accuracy: float
    seconds: float


def print_training(run: Run) -> None:
    """The learning curve of a run and its result; raises RunError where there is none yet."""
    history, result, out = read_metrics(run), read_result(run), console(wide=False)
    accuracies = [line.accuracy for line in history]
    low, best = (f"{100 * accuracy:.1f} %" for accuracy in (min(accuracies), max(accuracies)))
    out.print(f"{run.name}: {time_line(history)}", style="bold")
    out.print(f"validation top-1, epoch by epoch: {low} {sparkline(accuracies)} {best}")
    for line in result_lines(run.settings(TrainSettings), history, result):
        out.print(line)
    if result is not None:
        out.print(f"weights: {run.path / 'weights.safetensors'}")


def time_line(history: Sequence[EpochLine]) -> str:
    return f"{counted(len(history), 'epoch')} in {format_duration(sum(line.seconds for line in history))}"


def result_lines(
    settings: TrainSettings, history: Sequence[EpochLine], result: dict[str, dict[str, float]] | None
) -> list[str]:
    """How good the network is, split by split, or how far a training has come that has no result yet."""
    if result is None:
        return [f"not finished; the last epoch reached {100 * history[-1].accuracy:.1f} %"]
    lines = _stop_lines(settings, history)
    for split, found in result.items():
        tops = ", ".join(f"top-{name.removeprefix('top')} {100 * found[name]:.2f} %" for name in found if "top" in name)
        lines.append(f"{split}: {tops} of {found['images']:,} images")
    if "test" not in result:
        chose = "nothing here but were looked at every epoch" if settings.patience is None else "this epoch"
        lines.append(f"the image set has no test split; validation images chose {chose}")
    return lines


def _stop_lines(settings: TrainSettings, history: Sequence[EpochLine]) -> list[str]:
    """With patience: where the training ended, and which epoch's network was kept."""
    if settings.patience is None:
        return []
    best, count = best_epoch([line.accuracy for line in history]), len(history)
    kept = f"the network is that of epoch {best}, whose validation accuracy is the highest"
    if count == settings.epochs:
        return [kept]
    return [f"stopped after {count} of {settings.epochs} epochs, {count - best} of them without a better one; {kept}"]


def sparkline(values: list[float]) -> str:
    """The values as a row of bars, WIDTH of them at most."""
    picked = values if len(values) <= WIDTH else [values[i * (len(values) - 1) // (WIDTH - 1)] for i in range(WIDTH)]
    low, high = min(picked), max(picked)
    span = (high - low) or 1.0
    return "".join(BARS[round((value - low) / span * (len(BARS) - 1))] for value in picked)


def read_metrics(run: Run) -> list[EpochLine]:
    """The epochs of a training, from metrics.jsonl; raises RunError."""

    def parse(text: str) -> list[EpochLine]:
        return [convert(json.loads(line), EpochLine) for line in text.splitlines()]

    history: list[EpochLine] = read_file(run.path / "metrics.jsonl", parse, [])
    if not history:
        raise RunError(f"run {run.name} has no finished epoch yet")
    return history


def read_result(run: Run) -> dict[str, dict[str, float]] | None:
    """Accuracies (fractions) of the finished network and the number of images by split, or None; raises RunError."""

    def parse(text: str) -> dict[str, dict[str, float]]:
        return {
            sanitize(split): {name: float(value) for name, value in values.items()} | {"images": int(values["images"])}
            for split, values in json.loads(text).items()
        }

    return read_file(run.path / "result.json", parse, None)


@dataclass(frozen=True)
class ProgressPoint:
    """A finished training, the `number`-th of a search to end, with the best reward until then."""

    number: int
    key: str
    reward: float
    best: float


def best_so_far(history: History) -> list[ProgressPoint]:
    """The whole trainings of a search in the order in which they ended; those stopped early have another reward."""
    most = longest(history.records)
    steps: list[ProgressPoint] = []
    ended = [(end.timestamp(), record.number, record) for record in history.records if (end := record.finished)]
    for _, _, record in sorted(ended, key=lambda item: item[:2]):
        if record.epochs == most and record.reward is not None:
            best = max(record.reward, steps[-1].best) if steps else record.reward
            steps.append(ProgressPoint(len(steps) + 1, record.candidate.key, record.reward, best))
    return steps


@dataclass(frozen=True)
class LearningCurve:
    """A training of one or more `parts`: the loss (nats) of each epoch, and (epoch, accuracy) where it was measured."""

    key: str
    seed: int
    losses: tuple[float, ...]
    accuracies: tuple[tuple[int, float], ...]
    parts: int


def learning_curves(history: History, keys: Sequence[str]) -> list[LearningCurve]:
    """The trainings of these networks, in their order, each from its longest part, which holds those before it."""
    rank = {key: index for index, key in enumerate(keys)}
    groups: dict[tuple[int, int], list[TrialHistory]] = {}
    for training in history.trainings:
        candidate = training.record.candidate
        if training.record.accuracy is not None and candidate.key in rank:
            groups.setdefault((rank[candidate.key], candidate.seed), []).append(training)
    return [_learning_curve(group) for _, group in sorted(groups.items(), key=lambda item: item[0])]


def _learning_curve(group: Sequence[TrialHistory]) -> LearningCurve:
    last = max(group, key=lambda training: training.record.epochs or 0)
    reached = {t.record.epochs or 0: t.record.accuracy for t in group if t.record.accuracy is not None}
    accuracies = reached | dict(last.accuracies)
    candidate = last.record.candidate
    return LearningCurve(candidate.key, candidate.seed, last.losses, tuple(sorted(accuracies.items())), len(reached))


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
        tau, low, high = kendall_tau(early, late) if epochs != rungs[-1] else (None, None, None)
        regret = float(late.max() - late[early.argmax()]) if both else None
        share = spent / (everyone * rungs[-1]) if everyone else 0.0
        found.append(Fidelity(epochs, len(here), len(both), tau, low, high, regret, share))
    return found


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

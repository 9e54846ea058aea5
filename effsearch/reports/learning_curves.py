"""Trainings, epoch by epoch and one after another: read from a run, and printed."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from effsearch.errors import RunError
from effsearch.reports.text_table import console
from effsearch.runs.folder import Run
from effsearch.runs.history import History, TrialHistory, longest
from effsearch.runs.schema import convert, read_file
from effsearch.text import counted, format_duration, sanitize

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
    for line in result_lines(history, result):
        out.print(line)
    if result is not None:
        out.print(f"weights: {run.path / 'weights.safetensors'}")


def time_line(history: Sequence[EpochLine]) -> str:
    return f"{counted(len(history), 'epoch')} in {format_duration(sum(line.seconds for line in history))}"


def result_lines(history: Sequence[EpochLine], result: dict[str, dict[str, float]] | None) -> list[str]:
    """How good the network is, split by split, or how far a training has come that has no result yet."""
    if result is None:
        return [f"not finished; the last epoch reached {100 * history[-1].accuracy:.1f} %"]
    lines = []
    for split, found in result.items():
        tops = ", ".join(f"top-{name.removeprefix('top')} {100 * found[name]:.2f} %" for name in found if "top" in name)
        lines.append(f"{split}: {tops} of {found['images']:,} images")
    if "test" not in result:
        lines.append(
            "the image set has no test split; validation images chose nothing here but were looked at every epoch"
        )
    return lines


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

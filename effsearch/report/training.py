"""What is printed about a full training: its curve and how good the network is."""

import json
from typing import Any

from rich.console import Console

from effsearch.errors import RunError
from effsearch.printable import printable
from effsearch.quantities import counted, format_duration
from effsearch.runs.folder import Run
from effsearch.runs.forms import fault

BARS = "▁▂▃▄▅▆▇█"
WIDTH = 60


def print_training(run: Run, out: Console) -> None:
    """The learning curve of a run and its result; raises RunError where there is none yet."""
    history = read_metrics(run)
    accuracies = [line["accuracy"] for line in history]
    best, low = max(accuracies), min(accuracies)
    out.print(f"{run.name}: {time_line(history)}", style="bold")
    out.print(f"validation top-1, epoch by epoch: {100 * low:.1f} % {curve(accuracies)} {100 * best:.1f} %")
    result = read_result(run)
    for line in result_lines(history, result):
        out.print(line)
    if result is not None:
        out.print(f"weights: {run.path / 'weights.safetensors'}")


def time_line(history: list[dict[str, Any]]) -> str:
    """How long a training has taken."""
    return f"{counted(len(history), 'epoch')} in {format_duration(sum(line['seconds'] for line in history))}"


def result_lines(history: list[dict[str, Any]], result: dict[str, dict[str, float]] | None) -> list[str]:
    """How good the network is, split by split, or how far a training has come that has no result yet."""
    if result is None:
        return [f"not finished; the last epoch reached {100 * history[-1]['accuracy']:.1f} %"]
    lines = []
    for split, found in result.items():
        tops = ", ".join(f"top-{name.removeprefix('top')} {100 * found[name]:.2f} %" for name in found if "top" in name)
        lines.append(f"{split}: {tops} of {found['images']:,} images")
    if "test" not in result:
        lines.append(
            "the image set has no test split; validation images chose nothing here but were looked at every epoch"
        )
    return lines


def curve(values: list[float]) -> str:
    """The values as a row of bars, no more than WIDTH."""
    picked = values if len(values) <= WIDTH else [values[i * (len(values) - 1) // (WIDTH - 1)] for i in range(WIDTH)]
    low, high = min(picked), max(picked)
    span = (high - low) or 1.0
    return "".join(BARS[round((value - low) / span * (len(BARS) - 1))] for value in picked)


EPOCH: dict[str, Any] = {"epoch": int, "loss": float, "accuracy": float, "seconds": float}
"""What is read of each line of metrics.jsonl."""


def read_metrics(run: Run) -> list[dict[str, Any]]:
    """The epochs of a training, from metrics.jsonl; raises RunError."""
    file = run.path / "metrics.jsonl"
    try:
        lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
        history = [{name: line[name] for name in EPOCH} for line in lines]
        if wrong := next((found for line in history if (found := fault(line, EPOCH, ""))), None):
            raise ValueError(wrong)
    except FileNotFoundError:
        raise RunError(f"run {run.name} has no finished epoch yet") from None
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise RunError(f"{file} cannot be read: {error}") from None
    if not history:
        raise RunError(f"run {run.name} has no finished epoch yet")
    return history


def read_result(run: Run) -> dict[str, dict[str, float]] | None:
    """Accuracies of the finished network by split, or None; raises RunError."""
    file = run.path / "result.json"
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        return {printable(split): _split(values) for split, values in found.items()}
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise RunError(f"{file} cannot be read: {error}") from None


def _split(values: dict[str, Any]) -> dict[str, float]:
    """Accuracies, each a fraction, and how many images they are of."""
    return {name: float(value) for name, value in values.items()} | {"images": int(values["images"])}

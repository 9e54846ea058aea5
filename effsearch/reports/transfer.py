"""How well networks transfer to image sets: the paper's table 5 (1905.11946) of a run."""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd
from scipy import stats

from effsearch.costs import CONVENTION
from effsearch.errors import RunError
from effsearch.evaluation.scores import NORMAL
from effsearch.reports.ranking_table import write_rows
from effsearch.reports.text_table import Columns, TextTable, cell, console
from effsearch.runs.folder import Run
from effsearch.runs.history import read_history
from effsearch.runs.records import Record
from effsearch.runs.transfer_settings import IMAGENET, SCRATCH, TransferNetwork, TransferSet, TransferSettings
from effsearch.text import counted, format_count, sanitize


@dataclass(frozen=True)
class TransferRow:
    """A network on an image set: means over `seeds` trainings, as fractions, with the ends of a 95 % interval.

    `accuracy` is on the test images, or of a set that has none on those to validate on. `ratio` is how many times as
    many parameters the reference has, None where this network is worse than it; `seconds` are the mean of a training.
    """

    set: str
    network: str
    weights: str
    notation: str
    params: int
    flops: int
    validation: float | None
    accuracy: float | None
    accuracy_low: float | None
    accuracy_high: float | None
    images: int
    seeds: int
    ratio: float | None
    seconds: float | None


@dataclass(frozen=True)
class TransferSummary:
    """A network on all sets: the mean of its accuracies, and the geometric mean of its ratios, where all have one."""

    network: str
    accuracy: float | None
    ratio: float | None


class TransferResult:
    """The trainings of a run of transfer, by its records."""

    def __init__(self, settings: TransferSettings, records: Sequence[Record]) -> None:
        self.settings = settings
        done = [record for record in records if record.state == "complete" and record.accuracy is not None]
        self.records = {key: [each for each in done if each.candidate.key == key] for key in self._keys()}

    @classmethod
    def read(cls, run: Run) -> "TransferResult":
        """The result of a run's folder; raises RunError where its trainings are not known."""
        if (history := read_history(run)) is None:
            raise RunError(f"run {run.name} has no journal, so the accuracy of its networks is not known")
        return cls(run.settings(TransferSettings), history.records)

    def _keys(self) -> list[str]:
        settings = self.settings
        return [settings.key(network, images) for images in settings.sets for network in settings.networks]

    @cached_property
    def rows(self) -> list[TransferRow]:
        """A row a set and network, set by set."""
        return [self._row(network, images) for images in self.settings.sets for network in self.settings.networks]

    @cached_property
    def summaries(self) -> list[TransferSummary]:
        found = []
        for network in self.settings.networks:
            own = [row for row in self.rows if row.network == sanitize(network.name)]
            accuracies = [row.accuracy for row in own if row.accuracy is not None]
            ratios = [row.ratio for row in own if row.ratio is not None]
            mean = sum(accuracies) / len(own) if len(accuracies) == len(own) else None
            together = math.exp(sum(map(math.log, ratios)) / len(own)) if len(ratios) == len(own) else None
            found.append(TransferSummary(sanitize(network.name), mean, together))
        return found

    def _row(self, network: TransferNetwork, images: TransferSet) -> TransferRow:
        settings, records = self.settings, self.records[self.settings.key(network, images)]
        total = settings.cost(network, images)
        value, half = self._estimate(network, images)
        low, high = (None, None) if value is None or half is None else (max(0.0, value - half), min(1.0, value + half))
        validations = [record.accuracy for record in records if record.accuracy is not None]
        seconds = [record.seconds for record in records if record.seconds is not None]
        return TransferRow(
            set=sanitize(images.name),
            network=sanitize(network.name),
            weights=network.weights,
            notation=network.notation,
            params=total.params,
            flops=total.flops,
            validation=_mean(validations),
            accuracy=value,
            accuracy_low=low,
            accuracy_high=high,
            images=images.test or images.validation,
            seeds=len(records),
            ratio=self._ratio(network, images),
            seconds=_mean(seconds),
        )

    def _estimate(self, network: TransferNetwork, images: TransferSet) -> tuple[float | None, float | None]:
        """The mean accuracy and half of its 95 % interval, for other images of the set and other seeds."""
        records = self.records[self.settings.key(network, images)]
        values = [value for each in records if (value := each.test if images.test else each.accuracy) is not None]
        if not values:
            return None, None
        mean, count = sum(values) / len(values), images.test or images.validation
        # With two right and two wrong images added (Agresti-Coull): all of them right is not surely all of the next.
        share = (mean * count + 2) / (count + 4)
        of_images = NORMAL * math.sqrt(share * (1 - share) / (count + 4))
        if len(values) == 1:
            return mean, of_images
        deviation = math.sqrt(sum((value - mean) ** 2 for value in values) / (len(values) - 1))
        of_seeds = float(stats.t.ppf(0.975, len(values) - 1)) * deviation / math.sqrt(len(values))
        return mean, math.hypot(of_images, of_seeds)

    def _ratio(self, network: TransferNetwork, images: TransferSet) -> float | None:
        settings = self.settings
        reference = next(each for each in settings.networks if each.name == settings.reference)
        (mine, _), (its, _) = self._estimate(network, images), self._estimate(reference, images)
        if mine is None or its is None or mine < its:
            return None
        return settings.cost(reference, images).params / settings.cost(network, images).params


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def transfer_table(result: TransferResult) -> TextTable:
    """One line for each set and network."""
    columns: Columns[TransferRow] = (
        ("set", "l", lambda row: row.set),
        ("network", "l", lambda row: row.network),
        ("from", "l", lambda row: row.weights if row.weights in (IMAGENET, SCRATCH) else "file"),
        ("params", "r", lambda row: format_count(row.params)),
        ("val %", "r", lambda row: cell(row.validation, ".1f", 100)),
        ("test %", "r", lambda row: cell(row.accuracy, ".1f", 100)),
        ("+- (n)", "r", _half),
        ("ratio", "r", lambda row: "" if row.ratio is None else f"x {row.ratio:.2g}"),
        ("s", "r", lambda row: cell(row.seconds, ",.0f")),
    )
    return TextTable.of(columns, result.rows)


def _half(row: TransferRow) -> str:
    if row.accuracy is None or row.accuracy_high is None or row.accuracy_low is None:
        return ""
    return f"{50 * (row.accuracy_high - row.accuracy_low):.1f} ({row.seeds})"


def summary_table(result: TransferResult) -> TextTable:
    """One line for each network."""
    columns: Columns[TransferSummary] = (
        ("network", "l", lambda row: row.network),
        ("mean test %", "r", lambda row: cell(row.accuracy, ".1f", 100)),
        ("geo-mean ratio", "r", lambda row: "" if row.ratio is None else f"x {row.ratio:.2g}"),
    )
    return TextTable.of(columns, result.summaries)


def transfer_captions(result: TransferResult) -> list[str]:
    """What the numbers of the table are."""
    settings = result.settings
    untested = [images.name for images in settings.sets if not images.test]
    if settings.linear:
        how = "a linear classifier on the features of the network as it is, its L2 penalty chosen by validation"
    else:
        recipe = settings.recipe
        how = (
            f"all of the network trained for {counted(settings.epochs, 'epoch')} ({recipe.optimizer}, batch "
            f"{recipe.batch}, peak rate {recipe.rate:g})"
        )
    used = "" if settings.train_images is None else f", of at most {counted(settings.train_images, 'image')} a set"
    lines = [
        f"{how}{used}, each network at its own px; from: the weights that it began from",
        "val %, test %: top-1 on images to validate on and, looked at once, to test on; means over n seeds; +-: half "
        "of the 95 % interval, for other images of the set and other seeds",
        f"ratio: parameters of {settings.reference} over those of the network, where it is as accurate or better "
        f"(1905.11946, table 5); s: seconds of a training",
        f"params: with a classifier of the set's classes; {CONVENTION}",
    ]
    if untested:
        lines.append(f"{', '.join(untested)}: without images to test on; test % is on those to validate on")
    return lines


def print_transfer(run: Run, result: TransferResult) -> None:
    """The tables of a run of transfer, and what their numbers are."""
    out, done = console(), sum(map(len, result.records.values()))
    out.print(transfer_table(result).rich(f"{run.name}: {counted(done, 'training')}"))
    out.print_dim(transfer_captions(result))
    out.print()
    out.print(summary_table(result).rich(f"over {counted(len(result.settings.sets), 'set')}"))


def transfer_json(result: TransferResult) -> str:
    return json.dumps([asdict(row) for row in result.rows], indent=2)


def transfer_frame(result: TransferResult) -> pd.DataFrame:
    """One line for each set and network."""
    return pd.DataFrame([asdict(row) for row in result.rows])


def show_transfer(run: Run, result: TransferResult, form: str, out: Path | None = None) -> None:
    """Prints a run of transfer as a table, csv, json or markdown, or writes its rows; raises ReportError."""
    if out is not None:
        write_rows(out, lambda: transfer_frame(result), lambda: transfer_json(result))
        print(f"wrote {counted(len(result.rows), 'row')} to {out}")
    elif form == "json":
        print(transfer_json(result))
    elif form == "csv":
        print(transfer_frame(result).to_csv(index=False), end="")
    elif form == "markdown":
        tables = transfer_table(result).markdown(), summary_table(result).markdown()
        print(*tables, "\n".join(map(sanitize, transfer_captions(result))), sep="\n\n")
    else:
        print_transfer(run, result)

"""The networks of a figure of ImageNet accuracies: those of the paper, and own ones of runs of train or of files."""

import csv
import io
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from effsearch.costs import cost
from effsearch.errors import QuantityError, ReportError, RunError
from effsearch.published import Classifier
from effsearch.reports.trainings import read_result
from effsearch.runs.folder import Run, find
from effsearch.runs.manifest import Data
from effsearch.runs.settings import TrainSettings
from effsearch.text import parse_count, sanitize

IMAGENET, CLASSES, IMAGES = "imagenet", 1000, 50_000  # the set of the paper's accuracies, and its validation images
SUFFIXES = (".csv", ".json")
MOST_ADDED = 24  # networks, as there are in the paper's table; a picture has no room for the names of many more
LARGEST_FILE = 1_000_000  # bytes
LONGEST_NAME = 40  # characters
TAKES = "--add takes a run of effsearch train, or a .csv or .json file"
COLUMNS = (
    "a network has name, accuracy (a fraction) or top1_percent, params, flops, and data where that is not imagenet"
)


@dataclass(frozen=True)
class ComparedNetwork:
    """A network with its top-1 (%), and its parameters and FLOPs (multiply-adds), None where they are not known.

    `data` says which images the accuracy is of; it is empty for the validation images of ImageNet.
    """

    name: str
    top1: float
    params: float | None
    flops: float | None
    data: str = ""


def published_networks(rows: Iterable[Classifier]) -> list[ComparedNetwork]:
    """The rows of table 2 with the numbers that the paper prints."""
    return [
        ComparedNetwork(row.name, row.top1, parse_count(row.params), parse_count(row.flops) if row.flops else None)
        for row in rows
    ]


def added_networks(sources: Iterable[str], results: Path) -> list[ComparedNetwork]:
    """The networks of runs, by name or folder, and of files, in their order; raises EffsearchError."""
    found = [network for source in sources for network in _read(source, results)]
    if len(found) > MOST_ADDED:
        raise QuantityError(f"--add takes at most {MOST_ADDED} networks, got {len(found)}")
    return found


def _read(source: str, results: Path) -> list[ComparedNetwork]:
    if Path(source).suffix.lower() in SUFFIXES:
        return _of_file(Path(source))
    try:
        run = find(results, source)
    except RunError as error:
        raise RunError(f"{TAKES}: {error}") from None
    return [_of_run(run)]


def _of_run(run: Run) -> ComparedNetwork:
    """What a finished training reached on test images, or on validation images where the set has no others."""
    if run.kind != "train":
        raise RunError(f"{TAKES}; run {run.name} is of effsearch {run.kind or '?'}")
    result = read_result(run)
    if result is None:
        raise RunError(f"run {run.name} has no accuracy yet; go on with: effsearch train --resume {run.name}")
    split = "test" if "test" in result else "validation"
    try:
        top1, images = 100 * result[split]["top1"], result[split]["images"]
    except KeyError as error:
        raise RunError(f"{run.path / 'result.json'} has no {error}") from None
    if not 0 <= top1 <= 100:
        raise RunError(f"{run.path / 'result.json'}: top1 must be from 0 to 1, got {top1 / 100:g}")
    total = cost(run.settings(TrainSettings).architecture)
    return ComparedNetwork(
        _short(run.name), top1, total.params, total.flops, _images(run.manifest().data, split, images)
    )


def _images(data: Data, split: str, images: float) -> str:
    """Which images an accuracy is of; empty for those of the paper's, by the name of the set and what is in it."""
    if (data.name.lower(), len(data.classes), images) == (IMAGENET, CLASSES, IMAGES):
        return ""
    return _short(f"{'synthetic ' if data.synthetic else ''}{data.name or 'an unknown set'} {split}")


def _of_file(path: Path) -> list[ComparedNetwork]:
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise ReportError(f"{path} is larger than {LARGEST_FILE:,} bytes; {COLUMNS}")
        text = path.read_text(encoding="utf-8-sig")
        records = json.loads(text) if path.suffix.lower() == ".json" else list(csv.DictReader(io.StringIO(text)))
    except OSError as error:
        raise ReportError(f"{path} cannot be read: {error.strerror or error}") from None
    except (ValueError, csv.Error, RecursionError) as error:
        raise ReportError(f"{path} cannot be read: {error}") from None
    if not isinstance(records, list) or not records or not all(isinstance(record, dict) for record in records):
        raise ReportError(f"{path} holds no list of networks; {COLUMNS}")
    return [_of_record(record, f"{path}, network {number}") for number, record in enumerate(records, 1)]


def _of_record(record: Mapping[Any, Any], where: str) -> ComparedNetwork:
    """A network of a row; `compare --format json` calls its name model or network."""
    values = {str(column).strip().lower(): value for column, value in record.items() if value not in (None, "")}
    name = next((_short(str(values[column])) for column in ("name", "model", "network") if column in values), "")
    params, flops = (
        parse_count(str(values[column])[:80], f"{where}: {column}") if column in values else None
        for column in ("params", "flops")
    )
    if not name or (params is None and flops is None):
        raise ReportError(f"{where} has no {'params and no flops' if name else 'name'}; {COLUMNS}")
    data = _short(str(values.get("data", IMAGENET)))
    return ComparedNetwork(name, _top1(values, where), params, flops, "" if data.lower() == IMAGENET else data)


def _top1(values: Mapping[str, Any], where: str) -> float:
    """The accuracy of a row in %."""
    for column, most in (("accuracy", 1), ("top1_percent", 100)):
        if column in values:
            try:
                share = float(values[column]) / most
            except (TypeError, ValueError, OverflowError):
                share = math.nan
            if 0 <= share <= 1:
                return 100 * share
            raise QuantityError(f"{where}: {column} must be from 0 to {most}, got {str(values[column])[:80]!r}")
    raise ReportError(f"{where} has no accuracy; {COLUMNS}")


def _short(text: str) -> str:
    """A text in one line that a picture has room for."""
    text = sanitize(text.strip())
    return text if len(text) <= LONGEST_NAME else f"{text[: LONGEST_NAME - 1]}…"

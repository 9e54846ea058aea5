"""What a network says of images: a row an image, as a table and as files."""

import csv
import json
from collections.abc import Sequence
from io import StringIO
from pathlib import Path

from effsearch.evaluation.scores import Prediction
from effsearch.reports import check_suffix, write_report
from effsearch.reports.text_table import Columns, TextTable
from effsearch.text import sanitize

SUFFIXES = (".csv", ".json")

COLUMNS: Columns[Prediction] = (
    ("image", "l", lambda row: sanitize(row.image)),
    ("class", "l", lambda row: sanitize(row.classes[0])),
    ("%", "r", lambda row: f"{100 * row.probabilities[0]:.1f}"),
)
THEN: Columns[Prediction] = (("then", "l", lambda row: sanitize(_others(row))),)


def _others(row: Prediction) -> str:
    others = zip(row.classes[1:], row.probabilities[1:], strict=True)
    return ", ".join(f"{name} {100 * share:.1f}" for name, share in others)


def predictions_table(rows: Sequence[Prediction]) -> TextTable:
    """The most likely class of each image, and the next ones where they are known."""
    return TextTable.of((*COLUMNS, *(THEN if any(len(row.classes) > 1 for row in rows) else ())), rows)


def predictions_csv(rows: Sequence[Prediction]) -> str:
    """Columns image, class_1, probability_1 (a fraction), class_2 and so on."""
    text, most = StringIO(), max(len(row.classes) for row in rows)
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(["image", *(f"{what}_{n}" for n in range(1, most + 1) for what in ("class", "probability"))])
    for row in rows:
        pairs = zip(row.classes, row.probabilities, strict=True)
        cells = [cell for name, share in pairs for cell in (sanitize(name), f"{share:.6f}")]
        lines.writerow([sanitize(row.image), *cells])
    return text.getvalue()


def predictions_json(rows: Sequence[Prediction]) -> str:
    """A list of objects, with probabilities as fractions."""
    return json.dumps([_document(row) for row in rows], indent=2) + "\n"


def _document(row: Prediction) -> dict[str, object]:
    pairs = zip(row.classes, row.probabilities, strict=True)
    return {"image": row.image, "predictions": [{"class": name, "probability": share} for name, share in pairs]}


def check_predictions_file(path: Path) -> None:
    """Raises ReportError for a file that `write_predictions` does not write."""
    check_suffix(path, SUFFIXES)


def write_predictions(rows: Sequence[Prediction], path: Path) -> None:
    """Writes a .csv or a .json file, whole or not at all; raises ReportError."""
    check_predictions_file(path)
    write_report(path, predictions_csv(rows) if path.suffix == ".csv" else predictions_json(rows))

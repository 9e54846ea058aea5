"""How a network classifies a split, as tables, as sentences and as files, and read back from a run's folder."""

import base64
import csv
import json
from collections.abc import Sequence
from io import BytesIO, StringIO
from pathlib import Path

from effsearch.data.sources import VALIDATION
from effsearch.evaluation.scores import BINS, ClassScore, Confused, Scores, WorstImage, wilson
from effsearch.reports import check_suffix, write_report
from effsearch.reports.text_table import Columns, TextTable
from effsearch.runs.folder import Run
from effsearch.runs.schema import convert, read_file
from effsearch.text import counted, sanitize

EVALUATION = "evaluation.json"  # in the folder of a run of train
SUFFIXES = (".csv", ".json")
PAIRS = 10  # of classes that are confused, in a table
LISTED = 40  # classes in a table
IN_FULL = 30  # classes up to which the whole matrix can be read
NAMED = 24  # letters of the name of a class beside a figure


def read_evaluation(run: Run) -> Scores | None:
    """How the network of a run classified a split, or None where that is not known; raises RunError."""

    def parse(text: str) -> Scores:
        return convert(json.loads(text), Scores)

    return read_file(run.path / EVALUATION, parse, None, "is not what a run writes")


def evaluation_json(scores: Scores) -> str:
    return json.dumps(scores.to_document(), indent=1) + "\n"


def confusion_csv(scores: Scores) -> str:
    """The whole matrix: a row a true class, a column a predicted one, numbers of images."""
    text, names = StringIO(), list(map(sanitize, scores.classes))
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(["true \\ predicted", *names])
    matrix = scores.matrix(range(len(names)))
    lines.writerows([name, *row] for name, row in zip(names, matrix, strict=True))
    return text.getvalue()


def check_evaluation_file(path: Path) -> None:
    """Raises ReportError for a file that `write_evaluation` does not write."""
    check_suffix(path, SUFFIXES)


def write_evaluation(scores: Scores, path: Path) -> None:
    """Writes the confusion matrix (.csv) or everything (.json); raises ReportError."""
    check_evaluation_file(path)
    write_report(path, confusion_csv(scores) if path.suffix == ".csv" else evaluation_json(scores))


def _percent(low: float, high: float) -> str:
    return f"{100 * low:.1f} to {100 * high:.1f}"


def scores_table(scores: Scores) -> TextTable:
    """Each measure with its value and its 95 % interval."""
    images, lines = scores.images, []
    for name, right in (("top-1 (%)", scores.right), ("top-5 (%)", scores.top5)):
        if right is not None:
            lines.append((name, f"{100 * right / images:.1f}", _percent(*wilson(right, images))))
    low, high = scores.loss - scores.loss_half, scores.loss + scores.loss_half
    lines.append(("negative log-likelihood (nats)", f"{scores.loss:.3f}", f"{max(0.0, low):.3f} to {high:.3f}"))
    lines.append(("expected calibration error (%)", f"{100 * scores.calibration_error:.1f}", ""))
    return TextTable(("measure", "value", "95 % interval"), "lrr", lines)


CLASSES: Columns[ClassScore] = (
    ("class", "l", lambda row: sanitize(row.name)),
    ("images", "r", lambda row: f"{row.images:,}"),
    ("acc %", "r", lambda row: f"{100 * row.right / row.images:.1f}"),
    ("95 % interval", "r", lambda row: _percent(*row.interval)),
    (
        "most often taken for",
        "l",
        lambda row: sanitize(f"{row.confused_with} ({row.confused:,})") if row.confused else "",
    ),
)


def classes_table(scores: Scores) -> tuple[str, TextTable]:
    """A title, and the classes with their accuracies; of more than LISTED those of the lowest accuracy."""
    rows = scores.by_class
    if len(rows) <= LISTED:
        return "classes", TextTable.of(CLASSES, rows)
    least = sorted(rows, key=lambda row: row.right / row.images)[:LISTED]
    return f"the {LISTED} classes of lowest accuracy, of {len(rows):,}", TextTable.of(CLASSES, least)


def pairs_table(scores: Scores) -> tuple[str, TextTable]:
    """A title, and the pairs of classes that are confused most often."""
    names = list(map(sanitize, scores.classes))
    columns: Columns[Confused] = (
        ("true", "l", lambda pair: names[pair.truth]),
        ("predicted", "l", lambda pair: names[pair.prediction]),
        ("images", "r", lambda pair: f"{pair.images:,}"),
        ("% of the true", "r", lambda pair: f"{100 * pair.images / scores.totals[pair.truth]:.1f}"),
    )
    return "most confused", TextTable.of(columns, scores.mistakes[:PAIRS])


def evaluation_tables(scores: Scores, title: str) -> list[tuple[str, TextTable]]:
    """All of them with their titles: the scores, the classes and, where something is confused, which pairs of them."""
    pairs = [pairs_table(scores)] if scores.mistakes else []
    return [(title, scores_table(scores)), classes_table(scores), *pairs]


def evaluation_line(scores: Scores) -> str:
    """On what images a network was evaluated."""
    return (
        f"{counted(scores.images, 'image')} of the {scores.split} split of {scores.data} at {scores.resolution} px, "
        f"{len(scores.classes)} classes"
    )


CAPTIONS = (
    "95 % intervals: Wilson's, of accuracies; by the standard error, of the mean log-likelihood",
    f"expected calibration error: the distance of confidence and accuracy, over {BINS} bins of equal width "
    "(1706.04599); few images make it larger",
    "most often taken for: the wrong class that was predicted most often, with the number of its images",
)


def evaluation_captions(scores: Scores) -> list[str]:
    """What the numbers are."""
    lines = [evaluation_line(scores), *CAPTIONS]
    if scores.split == VALIDATION:
        lines.append(
            "validation images are none of those trained on, if effsearch train made the network from this set"
        )
    return lines


def matrix_classes(scores: Scores) -> list[int]:
    """The numbers of all classes or, of more than IN_FULL, of those in the pairs that are confused most often."""
    if len(scores.classes) <= IN_FULL:
        return list(range(len(scores.classes)))
    chosen = dict.fromkeys(number for pair in scores.mistakes for number in (pair.truth, pair.prediction))
    return sorted([*chosen][:IN_FULL]) or list(range(IN_FULL))


def short_names(scores: Scores, numbers: Sequence[int]) -> list[str]:
    """The names of classes, cut where they are long."""
    names = [sanitize(scores.classes[number]) for number in numbers]
    return [name if len(name) <= NAMED else f"{name[: NAMED - 1]}…" for name in names]


def image_uri(worst: WorstImage) -> str:
    """The picture as a PNG in a data URI."""
    picture = BytesIO()
    worst.image().save(picture, "PNG")
    return f"data:image/png;base64,{base64.b64encode(picture.getvalue()).decode()}"


def image_lines(scores: Scores, worst: WorstImage) -> tuple[str, str]:
    """The true class and what was predicted, each with its probability."""
    truth, prediction = scores.classes[worst.truth], scores.classes[worst.prediction]
    return f"{truth} {_share(worst.of_truth)}", f"predicted {prediction} {_share(worst.probability)}"


def _share(value: float) -> str:
    return "under 0.1 %" if value < 0.001 else f"{100 * value:.1f} %"

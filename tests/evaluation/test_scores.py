"""Scores of a split by hand-made answers, and what they become in JSON and back."""

import json

import numpy as np
import pytest
from scipy import stats

from effsearch.data.imageset import Split
from effsearch.evaluation.scores import NORMAL, Answers, Confused, Scores, calibration_error, score, wilson
from effsearch.reports.evaluation import classes_table, confusion_csv, evaluation_json, pairs_table
from effsearch.runs.schema import convert

LABELS = [0, 0, 0, 1, 1, 2]
SAID = [0, 1, 1, 1, 0, 2]
OF_LABEL = [0.9, 0.2, 0.1, 0.8, 0.3, 0.6]


def split_of(labels, side=8):
    pixels = np.stack([np.full((side, side, 3), 10 * index % 250, np.uint8) for index in range(len(labels))])
    return Split(pixels, np.arange(len(labels)), np.array(labels))


def scored(classes=("cat", "dog", "eel"), side=8):
    classes_said = np.array([[first, *(n for n in range(3) if n != first)] for first in SAID])
    confidences = np.array([[0.9, 0.1, 0], [0.8, 0.2, 0], [0.9, 0.1, 0], [0.8, 0.1, 0.1], [0.7, 0.3, 0], [0.6, 0.4, 0]])
    answers = Answers(np.array(LABELS), classes_said, confidences, np.log(OF_LABEL))
    return score(answers, split_of(LABELS, side), classes, "pets", "test", 32)


@pytest.mark.parametrize(("right", "count"), [(8, 10), (0, 10), (10, 10), (1, 1), (7, 9), (999, 1000)])
def test_intervals_are_wilsons(right, count):
    expected = stats.binomtest(right, count).proportion_ci(0.95, "wilson")
    assert wilson(right, count) == pytest.approx((expected.low, expected.high), abs=1e-9)
    assert 0 <= wilson(right, count).low <= right / count <= wilson(right, count).high <= 1


def test_the_calibration_error_is_the_distance_of_confidence_and_accuracy_by_bins():
    # Two bins of 1/15: (0.6, 0.667] with one of two right at 0.65, and (0.933, 1] with both right at 0.95 and 1.
    confidences, right = np.array([0.65, 0.65, 0.95, 1.0]), np.array([True, False, True, True])
    assert calibration_error(confidences, right) == pytest.approx((abs(1 - 1.3) + abs(2 - 1.95)) / 4)
    assert calibration_error(np.array([1.0, 1.0]), np.array([True, True])) == 0
    assert calibration_error(np.array([1.0, 0.99]), np.array([False, False])) == pytest.approx(0.995)


def test_what_is_counted():
    found = scored()
    assert (found.images, found.right, found.top5) == (6, 3, None)
    assert found.loss == pytest.approx(-np.log(OF_LABEL).mean())
    assert found.loss_half == pytest.approx(NORMAL * np.log(OF_LABEL).std(ddof=1) / np.sqrt(6))
    assert found.mistakes == [Confused(0, 1, 2), Confused(1, 0, 1)]
    assert [(row.name, row.images, row.right, row.confused_with, row.confused) for row in found.by_class] == [
        ("cat", 3, 1, "dog", 2),
        ("dog", 2, 1, "cat", 1),
        ("eel", 1, 1, "", 0),
    ]
    assert found.matrix(range(3)) == [[1, 2, 0], [1, 1, 0], [0, 0, 1]]
    assert found.shares() == {"top1": 0.5, "images": 6}


def test_of_ten_classes_the_five_likeliest_count():
    rng = np.random.default_rng(0)
    said = np.array([rng.permutation(12)[:5] for _ in range(200)])
    labels, share = rng.integers(0, 12, 200), np.full((200, 5), 0.2)
    found = score(
        Answers(labels, said, share, np.full(200, -1.0)), split_of(labels), list("abcdefghijkl"), "set", "test", 32
    )
    assert found.top5 == sum(label in row for label, row in zip(labels, said.tolist(), strict=True))
    assert found.right < found.top5 < 200


def test_the_worst_images_are_those_whose_class_got_least():
    worst = scored().worst
    assert [each.of_truth for each in worst] == pytest.approx(sorted(OF_LABEL))
    assert [(each.truth, each.prediction, each.probability) for each in worst[:2]] == [(0, 1, 0.9), (0, 1, 0.8)]
    assert worst[0].image().getpixel((0, 0)) == (20, 20, 20)
    assert (scored(side=8).worst[0].side, scored(side=300).worst[0].side) == (8, 96)


def test_scores_are_read_as_they_were_written():
    found = scored()
    document = json.loads(evaluation_json(found))
    assert convert(document, Scores) == found
    assert document["accuracy"]["top1"]["share"] == 0.5
    assert document["by_class"][0]["low"] == wilson(1, 3).low


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("confusion", []),
        ("confusion", [[0, 3, 1]]),
        ("confusion", [[0, -1, 1]]),
        ("confusion", [[0, 0, 0]]),
        ("loss", float("nan")),
        ("loss", -1.0),
        ("calibration_error", 1.5),
        ("top5", 2),
        ("top5", 7),
    ],
)
def test_scores_that_cannot_be_are_refused(name, value):
    document = json.loads(evaluation_json(scored())) | {name: value}
    with pytest.raises(ValueError, match=r"confusion|classes|loss|error|top5"):
        convert(document, Scores)


def test_tables_and_the_matrix():
    found = scored()
    assert confusion_csv(found) == "true \\ predicted,cat,dog,eel\ncat,1,2,0\ndog,1,1,0\neel,0,0,1\n"
    _, classes = classes_table(found)
    assert classes.cells[0] == ("cat", "3", "33.3", "6.1 to 79.2", "dog (2)")
    assert pairs_table(found)[1].cells[0] == ("cat", "dog", "2", "66.7")

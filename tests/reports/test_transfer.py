"""The table of transfers: intervals, ratios of parameters, and their means over image sets."""

from dataclasses import replace

import pytest

from effsearch.families import EFFICIENTNET_B0, MOBILENET_V2
from effsearch.reports.transfer import TransferResult, summary_table, transfer_captions, transfer_table
from effsearch.runs.records import Candidate, Record
from effsearch.runs.transfer_settings import TransferNetwork, TransferSet, TransferSettings
from effsearch.training.recipe import FINETUNE

SETTINGS = TransferSettings(
    networks=(
        TransferNetwork("large", EFFICIENTNET_B0.notation, "imagenet", "b0"),
        TransferNetwork("small", MOBILENET_V2.notation, "scratch", "mobilenet_v2"),
    ),
    sets=(TransferSet("cars", "cars", "d1", 10, 800, 200, 400), TransferSet("birds", "birds", "d2", 20, 800, 200)),
    recipe=FINETUNE,
    epochs=10,
    reference="large",
)


def result(reached: dict[tuple[str, str], list[float]], settings: TransferSettings = SETTINGS) -> TransferResult:
    """Of trainings that reached these accuracies, by network and set, one for each seed."""
    records = []
    for network in settings.networks:
        for images in settings.sets:
            for seed, value in enumerate(reached.get((network.name, images.name), [])):
                key = settings.key(network, images)
                candidate = Candidate(key, network.notation, 1, 1, seed, network.weights)
                found = Record(len(records), "complete", candidate, value - 0.1, value, 10, 60.0)
                records.append(replace(found, test=value) if images.test else replace(found, accuracy=value))
    return TransferResult(settings, records)


def test_a_ratio_is_given_where_a_network_is_as_accurate_as_the_reference():
    of_cars = {("large", "cars"): [0.9], ("small", "cars"): [0.9]}
    shown = result({**of_cars, ("large", "birds"): [0.8], ("small", "birds"): [0.7]})
    ratios = {(row.network, row.set): row.ratio for row in shown.rows}
    params = {row.network: row.params for row in shown.rows if row.set == "cars"}
    assert ratios["small", "cars"] == pytest.approx(params["large"] / params["small"])
    assert ratios["small", "birds"] is None
    assert ratios["large", "cars"] == ratios["large", "birds"] == 1
    small = shown.summaries[1]
    assert (small.accuracy, small.ratio) == (pytest.approx(0.8), None)
    better = result({(name, images.name): [0.8] for name in ("large", "small") for images in SETTINGS.sets})
    each = [row.ratio for row in better.rows if row.network == "small"]
    assert better.summaries[1].ratio == pytest.approx((each[0] * each[1]) ** 0.5)


def test_an_interval_is_of_images_and_from_two_seeds_on_of_seeds_too():
    one = result({("large", "cars"): [0.9]}).rows[0]
    # Agresti and Coull's, of 400 images: 0.9 +- 0.03.
    assert one.accuracy_high - one.accuracy == pytest.approx(0.0299, abs=5e-4)
    assert one.images == 400
    two = result({("large", "cars"): [0.85, 0.95]}).rows[0]
    assert two.accuracy == pytest.approx(0.9)
    assert two.accuracy_high == 1.0
    assert two.accuracy_low < 0.4  # 12.7 standard errors of two seeds
    same = result({("large", "cars"): [0.9, 0.9]}).rows[0]
    assert same.accuracy_high == pytest.approx(one.accuracy_high)
    assert result({("large", "cars"): [1.0]}).rows[0].accuracy_low < 0.996


def test_a_set_without_images_to_test_on_says_so_and_what_is_missing_is_empty():
    shown = result({("large", "birds"): [0.8]})
    assert shown.rows[2].accuracy == 0.8
    assert shown.rows[2].images == 200
    assert any("birds: without images to test on" in line for line in transfer_captions(shown))
    assert shown.rows[0].accuracy is None
    assert shown.rows[0].ratio is None
    lines = transfer_table(shown).markdown().splitlines()
    assert len(lines) == 2 + 4
    assert summary_table(shown).markdown().count("\n") == 3

import csv
import os
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, strategies as st
from scipy import stats

from effsearch import prior
from effsearch.architecture import Architecture, Stage
from effsearch.families import EFFICIENTNET_B0, MNASNET_A1
from effsearch.prior import FILE, Prediction, accuracy, choices, features, lies_in_skeleton, predict
from effsearch.space import load

BENCH = os.environ.get("EFFSEARCH_TEST_BENCH")


def test_the_coefficients_are_few_numbers_with_their_source():
    assert FILE.stat().st_size < 100_000
    loaded = prior.load()
    assert loaded.trainings == 5138
    assert "Accel-NASBench" in loaded.source
    assert loaded.kendall_tau > 0.91
    assert loaded.rmse < 0.0046


def test_b0_is_predicted_and_what_is_not_in_its_skeleton_is_not():
    found = predict(EFFICIENTNET_B0)
    assert isinstance(found, Prediction)
    assert 0.6 < found.accuracy < 0.7
    assert predict(MNASNET_A1) is None
    assert predict(replace(EFFICIENTNET_B0, resolution=240)) is None
    assert predict(replace(EFFICIENTNET_B0, stages=EFFICIENTNET_B0.stages[:6])) is None


@given(st.randoms(use_true_random=False))
def test_the_space_b0_is_where_it_predicts(rng):
    space = load("b0")
    drawn = space.decode(space.sample(rng))
    found = predict(drawn)
    assert found is not None
    assert 0.3 < found.accuracy < 0.8


def test_more_layers_and_expansion_are_predicted_to_help():
    small = replace(
        EFFICIENTNET_B0, stages=tuple(replace(s, expansion=4 if s.expansion > 1 else 1) for s in EFFICIENTNET_B0.stages)
    )
    assert predict(small).accuracy < predict(EFFICIENTNET_B0).accuracy


@given(st.randoms(use_true_random=False))
def test_a_prediction_is_the_sum_of_the_coefficients_that_hold(rng):
    space = load("b0")
    network = space.decode(space.sample(rng))
    held = features([choices(s.expansion, s.kernel, s.layers, s.se_ratio) for s in network.stages])
    known = prior.load()
    expected = known.intercept + sum(known.coefficients.get(name, 0.0) for name in held)
    assert accuracy(network) == pytest.approx(expected, abs=1e-12)


def test_another_operator_is_not_in_the_skeleton():
    fused = (replace(EFFICIENTNET_B0.stages[0], op="conv"), *EFFICIENTNET_B0.stages[1:])
    assert not lies_in_skeleton(replace(EFFICIENTNET_B0, stages=fused))


@pytest.mark.skipif(not BENCH, reason="set EFFSEARCH_TEST_BENCH to the folder that has accel_nasbench/")
def test_the_trainings_that_it_was_fitted_to_are_ranked_as_it_says():
    text = (Path(BENCH or "") / "accel_nasbench" / "accel_nasbench.csv").read_text(encoding="utf-8")
    rows = list(csv.DictReader(text.splitlines()))[::10]
    predicted = [predict(network(row)).accuracy for row in rows]
    measured = [float(row["accuracy"]) for row in rows]
    assert stats.kendalltau(predicted, measured).statistic > 0.91


def network(row: dict[str, str]) -> Architecture:
    """The architecture of a row of the table."""
    stages = []
    for number, known in enumerate(EFFICIENTNET_B0.stages, 1):
        expansion, kernel, layers = (int(row[f"stage{number}_{name}"]) for name in ("expansion", "kernel", "layers"))
        se_ratio = float(row[f"stage{number}_se_ratio"])
        stages.append(Stage("mbconv", kernel, known.stride, expansion, known.channels, layers, se_ratio))
    return replace(EFFICIENTNET_B0, stages=tuple(stages))

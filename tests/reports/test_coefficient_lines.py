"""What the end of a grid says of alpha, beta and gamma."""

import random
from dataclasses import replace

import pytest
from folders import grid_run

from effsearch.reports.coefficients import Answer
from effsearch.runs.ranking import read_ranking
from effsearch.runs.settings import GridSettings


@pytest.fixture
def answer(tmp_path) -> Answer:
    run = grid_run(tmp_path)
    found = Answer.of(run.settings(GridSettings), read_ranking(run.ranking))
    assert found is not None
    return found


def remade(answer: Answer, accuracy) -> Answer:
    """With other accuracies of the same trainings, by the row."""
    rows = [replace(row, accuracy=accuracy(row), accuracy_sd=0.01 if row.seeds > 1 else None) for row in answer.rows]
    found = Answer.of(answer.settings, rows)
    assert found is not None
    return found


def peak(noise: float):
    """Accuracies that fall with the distance of alpha from 1.4, and a little by chance."""
    chance = random.Random(0)
    return lambda row: 0.7 - 0.2 * (row.alpha - 1.4) ** 2 + chance.gauss(0, noise)


def test_it_says_where_the_optimum_is_and_what_else_was_fitted(answer):
    answer = remade(answer, peak(0.003))
    lines = answer.lines()
    assert any("optimum at alpha " in line and "80 % intervals" in line for line in lines)
    assert any(line.startswith("fitted: a doubling of FLOPs brings ") for line in lines)
    assert not any("told" in line for line in lines)
    fit = answer.document()["fit"]
    assert {"alpha", "beta", "gamma", "alpha_80", "beta_80", "gamma_80", "networks"} <= fit.keys()
    assert fit["accuracy_per_doubling"] == answer.surface.slope
    assert 0 < fit["noise_sd"] < 0.02
    assert fit["trainings"] >= fit["networks"]


def test_where_nothing_is_told_it_says_how_many_more_trainings_it_would_take(answer):
    chance = random.Random(0)
    lines = remade(answer, lambda row: 0.7 + chance.gauss(0, 0.01)).lines()
    assert any("these trainings do not tell where the optimum is" in line and "more than" in line for line in lines)


def test_it_names_the_coefficient_that_is_not_told(answer):
    found = remade(answer, peak(0.01))
    lines = [line for line in found.lines() if "is not told by these trainings" in line]
    assert [line.partition(" ")[0] for line in lines] == ["alpha"]
    assert lines[0].endswith("more would be needed")
    assert any("optimum at alpha" in line for line in found.lines())


def test_what_was_judged_is_said_of_the_best(answer):
    first = replace(answer.best, expected=0.655, probability_best=0.34)
    rows = [first if row.key == first.key else row for row in answer.rows]
    line = Answer.of(answer.settings, rows).lines()[0]
    assert "65.5 % to be expected at equal FLOPs, the best of those trained with a probability of 34 %" in line


def test_without_a_second_seed_nothing_is_said_of_ties(answer):
    rows = [replace(row, seeds=1, accuracy_sd=None) for row in answer.rows]
    lines = Answer.of(answer.settings, rows).lines()
    assert "how close the others come is not known, since no network was trained under two seeds" in lines
    assert not any("within the noise" in line for line in lines)

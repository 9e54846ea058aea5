import json
from dataclasses import asdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from effsearch.data import Augmentation
from effsearch.training import Recipe

recipes = st.builds(Recipe, rate=st.floats(1e-4, 10), warmup=st.floats(0, 0.9))


@settings(deadline=None)
@given(recipes, st.integers(1, 400))
def test_the_rate_rises_to_its_peak_and_falls_to_almost_nothing(recipe, steps):
    rates = [recipe.rate_at(step, steps) for step in range(steps)]
    peak = rates.index(max(rates))
    assert max(rates) == pytest.approx(recipe.rate)
    assert all(0 < rate <= recipe.rate * (1 + 1e-12) for rate in rates)
    assert rates[: peak + 1] == sorted(rates[: peak + 1])
    assert rates[peak:] == sorted(rates[peak:], reverse=True)
    assert abs(peak - recipe.warmup * steps) <= 1.5


def test_end_points_by_hand():
    recipe = Recipe(rate=2.0, warmup=0.1)
    assert recipe.rate_at(0, 100) == pytest.approx(0.2)
    assert recipe.rate_at(9, 100) == 2.0
    assert recipe.rate_at(10, 100) == 2.0
    assert recipe.rate_at(55, 100) == pytest.approx(1.0)
    assert recipe.rate_at(99, 100) == pytest.approx(2 * 0.000305, rel=2e-3)
    assert recipe.rate_at(100, 100) == pytest.approx(0)
    assert recipe.rate_at(0, 1) == 2.0
    assert Recipe(rate=2.0, warmup=0).rate_at(0, 100) == 2.0


def test_every_field_survives_a_run_file():
    recipe = Recipe(batch=7, augmentation=Augmentation(crop="resized", colour=0.3))
    values = json.loads(json.dumps(asdict(recipe)))
    assert Recipe(**values | {"augmentation": Augmentation(**values["augmentation"])}) == recipe

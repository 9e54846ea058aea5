import json
from dataclasses import asdict, replace

import pytest
from hypothesis import given, settings, strategies as st

from effsearch.data import Augmentation
from effsearch.errors import RecipeError
from effsearch.families import EFFICIENTNET_B0
from effsearch.runs.settings import from_document
from effsearch.training import Recipe
from effsearch.training.recipe import EFFICIENTNET, SHORT, read_recipe

NOTATION = EFFICIENTNET_B0.notation

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


def test_a_stored_recipe_may_have_the_old_name_of_bn_momentum():
    values = {name.replace("bn_momentum", "norm_momentum"): value for name, value in asdict(EFFICIENTNET).items()}
    del values["dropout"]  # None, which TOML cannot hold
    document = {"notation": NOTATION, "name": "b0", "data": "scenes", "resolution": 224, "epochs": 3, "recipe": values}
    assert from_document("train", document).recipe == EFFICIENTNET


def test_the_papers_recipe_decays_in_steps_of_epochs():
    assert EFFICIENTNET.rate_at(100 * 24, 100 * 350, 100) == pytest.approx(0.016 * 0.97**10)
    assert EFFICIENTNET.rate_at(0, 100 * 350, 100) == pytest.approx(0.016 / 500)


def test_dropout_grows_with_the_network_as_from_b0_to_b7():
    assert EFFICIENTNET.dropout_for(5_288_548) == pytest.approx(0.2, abs=0.01)
    assert EFFICIENTNET.dropout_for(66_347_960) == pytest.approx(0.5, abs=0.01)
    assert EFFICIENTNET.dropout_for(100) == 0.2
    assert Recipe(dropout=0.3).dropout_for(66_347_960) == 0.3


def test_a_recipe_file_changes_the_short_recipe(tmp_path):
    file = tmp_path / "own.toml"
    file.write_text("epochs = 12\nrate = 1\n[augmentation]\nflip = false\n")
    recipe, epochs = read_recipe(file)
    assert epochs == 12
    assert recipe == replace(SHORT, rate=1.0, augmentation=replace(SHORT.augmentation, flip=False))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("rate = 'high'", "rate must be a float, got 'high'"),
        ("batch = 1.5", "batch must be a int, got 1.5"),
        ("rat = 1", "unknown key 'rat'"),
        ("norm_momentum = 0.01", "norm_momentum is now called bn_momentum"),
        ("rate = -1", "rate must be from 1e-08 to 100"),
        ("optimizer = 'adam'", "must be one of sgd, rmsprop, got 'adam'"),
        ("epochs = 0", "epochs must be a whole number from 1, got 0"),
        ("augmentation = 3", "augmentation must be a table"),
        ("[augmentation]\ncrop = 'most'", "crop is 'most'"),
        ("not toml", "cannot be read as a recipe"),
        ("warmup = " + "9" * 400, "a whole number past 64 bits"),
        ("batch = 0x" + "f" * 5000, "a whole number past 64 bits"),
        ("batch = " + "9" * 5000, "cannot be read as a recipe"),
    ],
)
def test_a_recipe_file_that_is_none_says_so(tmp_path, text, says):
    file = tmp_path / "own.toml"
    file.write_text(text)
    with pytest.raises(RecipeError, match=says) as caught:
        read_recipe(file)
    assert "own.toml" in str(caught.value)

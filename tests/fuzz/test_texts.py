"""What a user writes on one line or in a small file, nearly right or not at all."""

import tomllib

import pytest
import tomli_w
from fuzzing import changed, fuzz, garbled, harmless, texts
from hypothesis import given, strategies as st

from effsearch import space as spaces, text as quantities
from effsearch.architecture import parse
from effsearch.costs import cost
from effsearch.families import EFFICIENTNET_B0
from effsearch.training.recipe import read_recipe

SPACE = spaces.locate("tiny").read_text(encoding="utf-8")
RECIPE = """
epochs = 3
batch = 64
rate = 0.1
optimizer = "rmsprop"
schedule = "exponential"
warmup = 1
ema = 0.99
dropout = 0.2
[augmentation]
flip = true
"""
units = st.sampled_from(["", "k", "M", "g", "B", "T", "s", "m", "h", "d", "e9", "e-9", "E400", " ", ":", ",", "_", "."])
numbers = st.lists(st.one_of(st.integers().map(str), st.floats().map(str), units, texts), max_size=5).map("".join)


@given(st.one_of(garbled(EFFICIENTNET_B0.notation.encode()), st.text().map(str.encode)))
@fuzz
def test_notations(tmp_path_factory, text):
    with harmless(tmp_path_factory.getbasetemp()):
        found = parse(text.decode(errors="replace"))
        assert parse(found.notation).notation == found.notation
        assert cost(found).flops > 0


@given(numbers)
@fuzz
@pytest.mark.parametrize("read", ["parse_count", "parse_duration", "parse_window", "parse_whole_numbers"])
def test_numbers_with_units(tmp_path_factory, read, text):
    with harmless(tmp_path_factory.getbasetemp()):
        getattr(quantities, read)(text)


@given(st.one_of(garbled(SPACE.encode()), changed(tomllib.loads(SPACE)).map(tomli_w.dumps).map(str.encode)))
@fuzz
def test_spaces(tmp_path_factory, content):
    file = tmp_path_factory.getbasetemp() / "fuzzed.toml"
    file.write_bytes(content)
    with harmless(file.parent):
        found = spaces.load(str(file))
        found.contains(EFFICIENTNET_B0)
        assert found.size >= 1


@given(st.one_of(garbled(RECIPE.encode()), changed(tomllib.loads(RECIPE)).map(tomli_w.dumps).map(str.encode)))
@fuzz
def test_recipes(tmp_path_factory, content):
    file = tmp_path_factory.getbasetemp() / "recipe.toml"
    file.write_bytes(content)
    with harmless(file.parent):
        read_recipe(file)

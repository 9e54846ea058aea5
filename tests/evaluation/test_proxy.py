import pickle
import random
from dataclasses import replace
from pathlib import Path

import proxies as study
import pytest
from hypothesis import given, settings, strategies as st

from effsearch.architecture import Architecture
from effsearch.errors import QuantityError
from effsearch.evaluation import PROXIES, Proxy
from effsearch.evaluation.proxy import FIDELITY
from effsearch.families import EFFICIENTNET_B0
from effsearch.scaling import round_channels
from effsearch.space import Decision, Space, load, shipped
from effsearch.training import Recipe

PROXY = Proxy("mine", resolution=32, width=0.5, epochs=2, train_images=100, validation_images=50)
SPACES = [load(name) for name in shipped()]

proxies = st.builds(
    lambda resolution, width, divisor: replace(PROXY, resolution=resolution, width=width, divisor=divisor),
    st.integers(8, 2048),
    st.floats(0.05, 4),
    st.sampled_from([1, 2, 4, 8]),
)
architectures = st.builds(
    lambda space, seed: space.decode(space.sample(random.Random(seed))), st.sampled_from(SPACES), st.integers(0, 2**32)
)


def channels(architecture: Architecture) -> list[int]:
    return [architecture.stem.channels, *(stage.channels for stage in architecture.stages), architecture.head]


def without_channels(architecture: Architecture) -> Architecture:
    return replace(
        architecture,
        stem=replace(architecture.stem, channels=1),
        stages=tuple(replace(stage, channels=1) for stage in architecture.stages),
        head=1,
    )


@settings(deadline=None, max_examples=50)
@given(proxies, architectures)
def test_shrinking_changes_resolution_and_channels_alone(proxy, architecture):
    small = proxy.shrink(architecture)
    assert without_channels(small) == replace(without_channels(architecture), resolution=proxy.resolution)
    if proxy.width != 1:
        assert channels(small) == [round_channels(c * proxy.width, proxy.divisor) for c in channels(architecture)]


def test_full_width_keeps_every_channel():
    assert replace(PROXY, width=1, resolution=48).shrink(EFFICIENTNET_B0) == replace(EFFICIENTNET_B0, resolution=48)


@pytest.mark.parametrize(
    ("times", "images", "trained"),
    [
        (1, 400, (2, 100)),
        (3, 150, (4, 150)),
        (10, 60, (20, 64)),
        (10, 100, (20, 100)),
        (10, 400, (5, 400)),
        (10, 5000, (2, 1000)),
        (10, None, (20, 100)),
    ],
)
def test_a_longer_training_sees_more_images_before_it_sees_them_more_often(times, images, trained):
    proxy = PROXY.longer(times, None if images is None else (images, 50))
    assert (proxy.epochs, proxy.train_images) == trained
    assert replace(proxy, epochs=PROXY.epochs, train_images=PROXY.train_images) == PROXY


@pytest.mark.parametrize("proxy", PROXIES.values(), ids=PROXIES)
@pytest.mark.parametrize("space", SPACES, ids=shipped())
def test_networks_that_differ_stay_different_under_the_presets(proxy, space):
    values = space.sample(random.Random(0))
    near = [space.decode(values), *map(space.decode, space.neighbours(values))]
    keys = {architecture.key: proxy.shrink(architecture).key for architecture in near}
    assert len(set(keys.values())) == len(keys) > 10


def test_presets_go_by_their_names_from_the_cheapest():
    assert {name: proxy.name for name, proxy in PROXIES.items()} == {name: name for name in PROXIES}
    images = {name: proxy.epochs * proxy.train_images * proxy.resolution**2 for name, proxy in PROXIES.items()}
    assert list(PROXIES) == ["quick", "standard", "large", "full"]
    assert sorted(images, key=images.__getitem__) == list(PROXIES)


@pytest.mark.parametrize(("preset", "candidate"), [("quick", "48px 4x4000"), ("standard", "48px 4x10000")])
def test_what_plans_say_of_a_preset_is_what_the_rows_of_the_study_say(preset, candidate):
    trained = next(each for each in study.CANDIDATES if each.name == candidate)
    assert replace(trained, name=preset) == PROXIES[preset]
    for said, data in zip(FIDELITY[preset], ("cifar10", "scenes"), strict=True):
        rows = study.read(Path(__file__).parents[2] / study.ROWS / f"{data}.jsonl")
        found = next(study.ranked([row for row in rows if row["proxy"] in (study.REFERENCE, candidate)]))
        assert found.what == "accuracy"
        assert said.data.lower().replace("-", "") == data
        assert said.networks == found.networks
        assert (said.tau, said.low, said.high) == pytest.approx((found.tau, found.low, found.high), abs=0.005)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"resolution": 7}, "resolution must be from 8 to 2048 px, got 7"),
        ({"resolution": 2049}, "resolution must be from 8 to 2048 px, got 2049"),
        ({"resolution": -32}, "resolution must be from 8 to 2048 px, got -32"),
        ({"width": 0}, "width must be from 0.05 to 4, got 0"),
        ({"width": -0.5}, "width must be from 0.05 to 4, got -0.5"),
        ({"width": 4.5}, "width must be from 0.05 to 4, got 4.5"),
        ({"width": float("nan")}, "width must be from 0.05 to 4, got nan"),
        ({"epochs": 0}, "epochs must be from 1 to 10,000, got 0"),
        ({"epochs": -1}, "epochs must be from 1 to 10,000, got -1"),
        ({"epochs": 10_001}, "epochs must be from 1 to 10,000, got 10001"),
        ({"train_images": 0}, "images must be at least"),
        ({"train_images": 99, "recipe": Recipe(batch=100)}, "images must be at least 100, a batch, got 99"),
        ({"train_images": -5}, ", got -5"),
        ({"validation_images": 0}, "validation images must be at least 1, got 0"),
    ],
)
def test_a_value_out_of_range_is_refused_in_one_line(change, named):
    with pytest.raises(QuantityError) as error:
        replace(PROXY, **change)
    assert named in str(error.value)
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize(
    "change",
    [{"resolution": 8}, {"resolution": 2048}, {"width": 0.05}, {"width": 4}, {"epochs": 1}, {"epochs": 10_000}],
)
def test_the_ends_of_a_range_are_in_it(change):
    proxy = replace(PROXY, **change)
    assert pickle.loads(pickle.dumps(proxy)) == proxy
    assert proxy.shrink(EFFICIENTNET_B0).resolution == proxy.resolution


def with_head(space: Space, channels: int) -> Space:
    fields = (Decision("head_channels", (64, channels)) if f.name == "head_channels" else f for f in space.fields)
    return replace(space, fields=tuple(fields))


@pytest.mark.parametrize("space", SPACES, ids=shipped())
def test_any_width_may_be_built_in_the_shipped_spaces(space):
    replace(PROXY, width=4).check(space)


def test_a_width_beyond_what_may_be_built_is_refused_in_one_line():
    proxy = replace(PROXY, width=4)
    space = with_head(load("mbconv"), 4096)
    proxy.check(space)
    assert proxy.shrink(space.decode(space.sample(random.Random(0)) | {"head_channels": 4096})).head == 16384
    with pytest.raises(QuantityError) as error:
        proxy.check(with_head(space, 4097))
    assert str(error.value) == (
        "the proxy's width 4 makes 16,388 of the 4,097 channels in space mbconv; at most 16,384 may be built"
    )

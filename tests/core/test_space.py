import itertools
import random
import tomllib
from dataclasses import replace

import pytest
from hypothesis import given, strategies as st

from effsearch.architecture import OPS, Stage
from effsearch.errors import SpaceError, listed
from effsearch.families import EFFICIENTNET_B0, MNASNET_A1
from effsearch.scaling import widen
from effsearch.space import Space, load, locate, read, shipped

SMALL = """
resolution = [16, 24]
activation = "relu"
stem = { channels = 8, stride = [1, 2] }
head = { channels = [32, 40] }

[[stages]]
op = ["mbconv", "separable"]
kernel = 3
stride = 1
expansion = [1, 2]
channels = 8
layers = [1, 2]
se_ratio = [0, 0.25]

[[stages]]
op = ["fused", "conv"]
kernel = [3, 5]
stride = 2
expansion = [1, 3]
channels = 16
layers = 1
se_ratio = [0, 0.5]
"""


def small() -> Space:
    return read(tomllib.loads(SMALL), "small")


def every_value(space: Space) -> list[dict[str, object]]:
    names = [decision.name for decision in space.decisions]
    rows = itertools.product(*(decision.choices for decision in space.decisions))
    return [dict(zip(names, row, strict=True)) for row in rows]


SPACES = {name: load(name) for name in shipped()} | {"small": small()}
each_space = pytest.mark.parametrize("space", SPACES.values(), ids=SPACES.keys())


def samples(space: Space, count: int) -> list[dict[str, object]]:
    rng = random.Random(0)
    return [space.sample(rng) for _ in range(count)]


def test_spaces_that_ship():
    assert set(shipped()) >= {"mbconv", "mixed", "tiny"}
    for name in shipped():
        assert load(name).name == name
        assert load(name).description
        assert load(str(locate(name))) == load(name)


@pytest.mark.parametrize("known", [EFFICIENTNET_B0, MNASNET_A1], ids=["b0", "mnasnet_a1"])
@pytest.mark.parametrize("name", ["mbconv", "mixed"])
def test_known_baselines_lie_in_mbconv_and_what_lies_there_in_mixed(name, known):
    space = load(name)
    assert space.contains(known)
    assert space.decode(space.encode(known)) == known
    if name == "mixed":
        inner = load("mbconv")
        assert all(space.contains(inner.decode(values)) for values in samples(inner, 50))


@each_space
def test_samples_lie_in_their_space_and_are_encoded_and_decoded_to_the_same(space):
    for values in samples(space, 100):
        assert set(values) == {decision.name for decision in space.decisions}
        architecture = space.decode(values)
        assert space.contains(architecture)
        encoded = space.encode(architecture)
        assert space.decode(encoded) == architecture
        assert space.encode(space.decode(encoded)) == encoded


@each_space
def test_the_same_seed_gives_the_same_samples(space):
    assert samples(space, 5) == samples(space, 5)
    assert space.sample(random.Random(1)) != space.sample(random.Random(2))


def test_sampling_reaches_every_choice_about_equally_often():
    drawn = [values["stage2_kernel"] for values in samples(small(), 400)]
    assert 140 < drawn.count(3) < 260


@each_space
def test_neighbours_differ_in_one_decision_and_are_never_the_same_architecture(space):
    for values in samples(space, 5):
        here = space.decode(values)
        neighbours = list(space.neighbours(values))
        for there in neighbours:
            assert len([name for name in values if there[name] != values[name]]) == 1
            assert there.keys() == values.keys()
            assert space.contains(space.decode(there))
            assert space.decode(there).key != here.key
        assert len({tuple(there.items()) for there in neighbours}) == len(neighbours)


def test_neighbours_leave_no_change_out():
    space = small()
    for values in every_value(space)[::7]:
        here = space.decode(values)
        expected = {
            tuple({**values, decision.name: choice}.items())
            for decision in space.decisions
            for choice in decision.choices
            if space.decode({**values, decision.name: choice}) != here
        }
        assert {tuple(there.items()) for there in space.neighbours(values)} == expected


def test_size_is_the_number_of_distinct_keys():
    space = small()
    values = every_value(space)
    keys = {space.decode(row).key for row in values}
    assert space.size == len(keys)
    assert len(keys) < len(values)


@pytest.mark.parametrize("name", ["mbconv", "mixed", "tiny"])
def test_size_is_the_number_of_distinct_stages_multiplied(name):
    document = tomllib.loads(locate(name).read_text())
    size = len(document["activation"]) if isinstance(document["activation"], list) else 1
    for row in document["stages"]:
        keys = ("op", "kernel", "stride", "expansion", "channels", "layers", "se_ratio")
        choices = [row[key] if isinstance(row[key], list) else [row[key]] for key in keys]
        size *= len({Stage(*values).canonical() for values in itertools.product(*choices)})
    assert load(name).size == size


def test_every_architecture_of_a_space_is_reached_by_encoding():
    space = small()
    architectures = {space.decode(values).key: space.decode(values) for values in every_value(space)}
    encoded = {tuple(space.encode(architecture).items()) for architecture in architectures.values()}
    assert len(encoded) == len(architectures)


def test_an_architecture_outside_is_told_where_it_leaves_the_space():
    space = load("mbconv")
    stages = EFFICIENTNET_B0.stages
    seven = replace(stages[1], kernel=7)
    outside = {
        "resolution is 240": replace(EFFICIENTNET_B0, resolution=240),
        "activation is relu6": replace(EFFICIENTNET_B0, activation="relu6"),
        "head_channels is 1000": replace(EFFICIENTNET_B0, head=1000),
        "its stem has a max pool": replace(EFFICIENTNET_B0, stem=replace(EFFICIENTNET_B0.stem, pool=True)),
        "head_channels is 0": replace(EFFICIENTNET_B0, head=0),
        "stem_channels is 16": replace(EFFICIENTNET_B0, stem=replace(EFFICIENTNET_B0.stem, channels=16)),
        "has 7 stages, the architecture 6": replace(EFFICIENTNET_B0, stages=stages[:-1]),
        f"stage 2 is {seven}": replace(EFFICIENTNET_B0, stages=(stages[0], seven, *stages[2:])),
    }
    for reason, architecture in outside.items():
        assert not space.contains(architecture)
        with pytest.raises(SpaceError) as error:
            space.encode(architecture)
        assert reason in str(error.value)
    assert not space.contains(widen(EFFICIENTNET_B0, 0.5))


def test_a_space_may_hold_every_operator():
    ops = listed(f'"{op}"' for op in OPS)
    space = read(tomllib.loads(SMALL.replace('"fused", "conv"', ops)), "every")
    keys = [space.decode(values).key for values in every_value(space)]
    assert len(set(keys)) == space.size
    for values in every_value(space):
        architecture = space.decode(values)
        assert space.decode(space.encode(architecture)) == architecture


def test_a_resolution_of_ones_own():
    space = load("mbconv").at(96)
    assert space.choices["resolution"] == (96,)
    assert space.decode(samples(space, 1)[0]).resolution == 96
    assert space.contains(replace(EFFICIENTNET_B0, resolution=96))
    assert not space.contains(EFFICIENTNET_B0)
    assert small().at(24).size == small().size // 2
    assert "resolution" not in samples(small().at(24), 1)[0]


@pytest.mark.parametrize("resolution", [0, 7, 8193, True, 96.0])
def test_a_resolution_out_of_range(resolution):
    with pytest.raises(SpaceError, match=r"^space tiny: resolution must be a whole number from 8 to 8192, got "):
        load("tiny").at(resolution)


def test_decisions_that_are_missing_wrong_or_not_to_be_made():
    space = small()
    values = samples(space, 1)[0]
    missing = {name: value for name, value in values.items() if name != "stage2_kernel"}
    for wrong, named in [
        (missing, "stage2_kernel must be one of 3, 5, got 'nothing'"),
        ({**values, "stage2_kernel": 7}, "stage2_kernel must be one of 3, 5, got 7"),
        ({**values, "stage2_stride": 1}, "no decision stage2_stride"),
        ({**values, "stage3_kernel": 3}, "no decision stage3_kernel"),
    ]:
        with pytest.raises(SpaceError) as error:
            space.decode(wrong)
        assert named in str(error.value)


MALFORMED = [
    (
        'activation = "relu"',
        'activation = "gelu"',
        "activation must be one of silu, relu, relu6, hardswish, got 'gelu'",
    ),
    ('activation = "relu"', "activation = []", "activation needs at least one choice, got an empty list"),
    ('activation = "relu"', "activation = true", "activation must be one of "),
    ("resolution = [16, 24]", "resolution = 7", "resolution must be a whole number from 8 to 8192, got 7"),
    ("resolution = [16, 24]", 'resolution = "16px"', "resolution must be a whole number from 8 to 8192, got '16px'"),
    ("resolution = [16, 24]", "resolution = [16, 24, 16]", "resolution lists 16 twice"),
    ("resolution = [16, 24]", "resolution = [[16], 24]", "resolution must be a whole number from 8 to 8192, got [16]"),
    (
        "resolution = [16, 24]",
        "resolutions = [16, 24]",
        "unknown key 'resolutions'; known are description, resolution, ",
    ),
    ("resolution = [16, 24]", "description = 3", "description must be a string, got 3"),
    ("stem = {", "steem = {", "unknown key 'steem'"),
    ("stem = { channels = 8, stride = [1, 2] }", "", "stem: must be a table with kernel, stride, channels, got None"),
    ("stem = { channels = 8, ", "stem = { ", "stem: channels is missing"),
    ("stem = { ", "stem = { width = 2, ", "stem: unknown key 'width'; known are kernel, stride, channels"),
    ("stride = [1, 2]", "stride = [1, 3]", "stem: stride must be one of 1, 2, got 3"),
    ("stride = [1, 2]", "stride = [1, true]", "stem: stride must be one of 1, 2, got True"),
    ("head = { channels = [32, 40] }", "head = 32", "head: must be a table with channels, got 32"),
    ("channels = [32, 40]", "channels = [32, 0]", "head: channels must be a whole number from 1 to 16384, got 0"),
    ("channels = [32, 40]", "channels = 32.0", "head: channels must be a whole number from 1 to 16384, got 32.0"),
    ("kernel = [3, 5]", "kernel = [3, 4]", "stage 2: kernel must be one of 1, 3, 5, 7, 9, 11, got 4"),
    ("kernel = [3, 5]", "kernel = [3, 5.0]", "stage 2: kernel must be one of 1, 3, 5, 7, 9, 11, got 5.0"),
    ("kernel = [3, 5]", "", "stage 2: kernel is missing"),
    ("kernel = [3, 5]", "kernels = [3, 5]", "stage 2: unknown key 'kernels'; known are op, kernel, stride, "),
    ("kernel = [3, 5]", "kernel = []", "stage 2: kernel needs at least one choice, got an empty list"),
    ("kernel = [3, 5]", "kernel = [3, 3]", "stage 2: kernel lists 3 twice"),
    ('op = ["fused", "conv"]', 'op = "dwconv"', f"stage 2: op must be one of {listed(OPS)}, got 'dw"),
    ('op = ["fused", "conv"]', "op = 1", f"stage 2: op must be one of {listed(OPS)}, got 1"),
    ("expansion = [1, 2]", "expansion = [1, 33]", "stage 1: expansion must be a whole number from 1 to 32, got 33"),
    ("expansion = [1, 2]", "expansion = { low = 1 }", "stage 1: expansion must be a whole number from 1 to 32, got {"),
    ("layers = [1, 2]", "layers = [0, 1]", "stage 1: layers must be a whole number from 1 to 1000, got 0"),
    ("layers = [1, 2]", "layers = true", "stage 1: layers must be a whole number from 1 to 1000, got True"),
    ("se_ratio = [0, 0.25]", "se_ratio = [0, 1.5]", "stage 1: se_ratio must be 0, or from 0.001 to 1, got 1.5"),
    ("se_ratio = [0, 0.25]", "se_ratio = [0, false]", "stage 1: se_ratio must be 0, or from 0.001 to 1, got False"),
    ("se_ratio = [0, 0.25]", "se_ratio = [0, 0.0]", "stage 1: se_ratio lists 0.0 twice"),
    ("se_ratio = [0, 0.25]", "se_ratio = nan", "stage 1: se_ratio must be 0, or from 0.001 to 1, got nan"),
    (SMALL[SMALL.index("[[stages]]") :], "", "stages must be one or more [[stages]] tables"),
    (SMALL[SMALL.index("[[stages]]") :], "[stages]\nkernel = 3", "stages must be one or more [[stages]] tables"),
    (SMALL[SMALL.index("[[stages]]") :], "[[stage]]\nkernel = 3", "unknown key 'stage'; known are "),
    ("[[stages]]", "[[stages]", "not a TOML file: "),
    (SMALL, "<html>\n<body>not a space</body>\n</html>", "not a TOML file: "),
    (SMALL, "", "stages must be one or more [[stages]] tables"),
    (SMALL, "resolution = " + "9" * 5000, "not a TOML file: "),
    (SMALL, "a = " + "[" * 5000, "not a TOML file: "),
]


@pytest.mark.parametrize(("old", "new", "reason"), MALFORMED, ids=[reason[:60] for _, _, reason in MALFORMED])
def test_a_malformed_file_is_told_where_it_is_wrong(tmp_path, old, new, reason):
    path = tmp_path / "mine.toml"
    path.write_text(SMALL)
    assert load(str(path)).name == "mine"
    path.write_text(SMALL.replace(old, new))
    with pytest.raises(SpaceError) as error:
        load(str(path))
    message = str(error.value)
    assert message.startswith(f"{path}: {reason}")
    assert len(message.splitlines()) == 1
    assert len(message) < 400


@pytest.mark.parametrize("content", [b"\x89PNG\r\n\x1a\n\0\0\0", b"\xff\xfe\0\0", b"resolution = 16\0"])
def test_a_binary_file_is_no_space(tmp_path, content):
    path = tmp_path / "mine.toml"
    path.write_bytes(content)
    with pytest.raises(SpaceError, match=r"mine\.toml: not a TOML file: .+") as error:
        load(str(path))
    assert len(str(error.value).splitlines()) == 1


@given(st.binary(max_size=60))
def test_no_content_gives_anything_but_a_space_error(content):
    try:
        document = tomllib.loads(content.decode(errors="replace"))
    except tomllib.TOMLDecodeError:
        return
    with pytest.raises(SpaceError):
        read(document, "mine")


def test_a_missing_space_is_told_which_was_meant(tmp_path):
    with pytest.raises(
        SpaceError, match=r"^no space 'mbcon' \(did you mean mbconv\?\); there are .*mbconv.*, or give a"
    ):
        load("mbcon")
    for name in ("zzz", str(tmp_path), str(tmp_path / "none.toml"), "x" * 1000, "a\0b", "a\nb", ""):
        with pytest.raises(SpaceError, match=r"^no space ") as error:
            load(name)
        assert "did you mean" not in str(error.value)
        assert len(str(error.value).splitlines()) == 1

import json
from collections.abc import Callable
from dataclasses import asdict, fields, replace
from typing import Any

import pytest
from hypothesis import assume, given, strategies as st
from strategies import architectures, divided, stages

from effsearch.architecture import Architecture, Stage, Stem, parse, parse_stage
from effsearch.errors import NotationError, listed
from effsearch.families import EFFICIENTNET_B0, MOBILENET_V1, RESNET50
from effsearch.operators import OP_OF_CODE

B0 = (
    "224px-stem_k3_s2_c32-ds_r1_k3_s1_e1_c16_se0.25-ir_r2_k3_s2_e6_c24_se0.25-ir_r2_k5_s2_e6_c40_se0.25-"
    "ir_r3_k3_s2_e6_c80_se0.25-ir_r3_k5_s1_e6_c112_se0.25-ir_r4_k5_s2_e6_c192_se0.25-ir_r1_k3_s1_e6_c320_se0.25-"
    "head_c1280-silu"
)
ROW = Stage("mbconv", 5, 1, 6, 24, 2, 0.25)


def small(*rows: Stage, **changes: object) -> Architecture:
    return Architecture(**{"stem": Stem(16), "stages": rows, "head": 64, "resolution": 32, **changes})


def one_line(error: pytest.ExceptionInfo[NotationError]) -> str:
    message = str(error.value)
    assert len(message.splitlines()) == 1
    assert len(message) < 300
    return message


def test_b0_reads_as_timm_would_write_it():
    assert str(EFFICIENTNET_B0) == B0
    assert parse(f"  {B0}\n") == EFFICIENTNET_B0


def test_resnet50_has_a_pool_after_its_stem_and_no_head():
    assert str(RESNET50) == (
        "224px-stem_k7_s2_c64_pool-bn_r3_k3_s1_e4_c256-bn_r4_k3_s2_e4_c512-bn_r6_k3_s2_e4_c1024-bn_r3_k3_s2_e4_c2048-"
        "head_c0-relu"
    )
    assert parse(str(RESNET50)) == RESNET50
    assert (RESNET50.feature_channels, EFFICIENTNET_B0.feature_channels) == (2048, 1280)


def test_a_dict_of_a_stem_without_a_word_on_pooling_has_no_pool():
    values = EFFICIENTNET_B0.to_dict()
    del values["stem"]["pool"]
    assert Architecture.from_dict(values) == EFFICIENTNET_B0


def test_a_key_is_the_same_on_every_machine_and_in_every_version():
    assert EFFICIENTNET_B0.key == "8836f82671"
    assert (MOBILENET_V1.key, RESNET50.key) == ("f88b792971", "93fe1c36dd")
    assert small(ROW, Stage("conv", 3, 2, 1, 8, 1)).key == "2c5c4c1a9a"


@given(architectures)
def test_notation_round_trip(architecture):
    assert parse(str(architecture)) == architecture
    assert str(parse(str(architecture))) == str(architecture)


@given(architectures)
def test_dict_round_trip_by_way_of_json(architecture):
    assert Architecture.from_dict(architecture.to_dict()) == architecture
    again = Architecture.from_dict(json.loads(json.dumps(architecture.to_dict())))
    assert (again, again.key) == (architecture, architecture.key)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Stage("mbconv", 3, 1, 1, 24, 2, 0.25), Stage("separable", 3, 1, 1, 24, 2, 0.25)),
        (Stage("separable", 3, 1, 6, 24, 2, 0.25), Stage("separable", 3, 1, 1, 24, 2, 0.25)),
        (Stage("fused", 3, 2, 1, 24, 2), Stage("conv", 3, 2, 1, 24, 2)),
        (Stage("conv", 3, 2, 4, 24, 2, 0.25), Stage("conv", 3, 2, 1, 24, 2, 0)),
        (Stage("mbconv", 3, 2, 4, 24, 2, 1), Stage("mbconv", 3, 2, 4, 24, 2, 1.0)),
        (Stage("plain_separable", 3, 2, 4, 24, 2, 1), Stage("plain_separable", 3, 2, 1, 24, 2, 1)),
        (Stage("bottleneck", 3, 2, 4, 24, 2, 0.25), Stage("bottleneck", 3, 2, 4, 24, 2)),
        (Stage("bottleneck", 3, 2, 4, 10, 2), Stage("bottleneck", 3, 2, 5, 10, 2)),
        (Stage("bottleneck", 3, 2, 20, 12, 2), Stage("bottleneck", 3, 2, 12, 12, 2)),
    ],
)
def test_two_spellings_of_a_stage_are_one_architecture(one, other):
    assert small(one) == small(other)
    assert str(small(one)) == str(small(other))
    assert small(one).key == small(other).key


def test_a_bottleneck_whose_middle_divides_its_channels_keeps_its_expansion():
    for expansion in range(1, 33):
        stage = Stage("bottleneck", 3, 1, expansion, 3 * expansion, 1)
        assert stage.canonical() is stage
        assert stage.middle(7) == 3


def test_a_stage_divided_in_two_keeps_its_key():
    whole = Stage("mbconv", 3, 2, 6, 24, 2)
    apart = small(Stage("mbconv", 3, 2, 6, 24, 1), Stage("mbconv", 3, 1, 6, 24, 1))
    assert apart.key == small(whole).key
    assert apart.layers == small(whole).layers == 2


@given(architectures, st.data())
def test_however_its_stages_are_divided_an_architecture_has_one_key(architecture, data):
    index = data.draw(st.integers(0, len(architecture.stages) - 1))
    stage = architecture.stages[index]
    assume(stage.layers > 1)
    two = divided(stage, data.draw(st.integers(1, stage.layers - 1)))
    rows = (*architecture.stages[:index], *two, *architecture.stages[index + 1 :])
    assert replace(architecture, stages=rows).key == architecture.key


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (Stage("mbconv", 3, 2, 6, 24, 1), Stage("mbconv", 3, 2, 6, 24, 1)),
        (Stage("mbconv", 3, 2, 6, 24, 1), Stage("mbconv", 3, 1, 3, 24, 1)),
        (Stage("mbconv", 3, 2, 6, 24, 1), Stage("mbconv", 3, 1, 6, 24, 1, 0.25)),
        (Stage("mbconv", 3, 2, 6, 24, 1), Stage("fused", 3, 1, 6, 24, 1)),
    ],
)
def test_stages_that_do_not_continue_one_another_are_not_joined(first, second):
    assert small(first, second).key != small(replace(first, layers=2)).key


@pytest.mark.parametrize(
    "changed",
    [
        small(replace(ROW, op="fused")),
        small(replace(ROW, op="plain_separable")),
        small(replace(ROW, op="bottleneck")),
        small(replace(ROW, kernel=3)),
        small(replace(ROW, stride=2)),
        small(replace(ROW, expansion=4)),
        small(replace(ROW, channels=25)),
        small(replace(ROW, layers=3)),
        small(replace(ROW, se_ratio=0.5)),
        small(replace(ROW, se_ratio=0.25000000000000006)),
        small(ROW, ROW, stem=Stem(16)),
        small(ROW, stem=Stem(17)),
        small(ROW, stem=Stem(16, kernel=5)),
        small(ROW, stem=Stem(16, stride=1)),
        small(ROW, stem=Stem(16, pool=True)),
        small(ROW, head=0),
        small(ROW, head=65),
        small(ROW, resolution=33),
        small(ROW, activation="relu"),
    ],
)
def test_whatever_is_changed_changes_the_key(changed):
    assert changed.key != small(ROW).key


@given(stages)
def test_canonical_form_is_a_fixed_point(stage):
    assert stage.canonical().canonical() == stage.canonical()


WELL_FORMED = "32px-stem_k3_s2_c16-ir_r2_k5_s1_e6_c24_se0.25-head_c64-silu"


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("32px", "32", "'32'"),
        ("32px", "-32px", "''"),
        ("32px", "7px", "8 to 8192, got 7"),
        ("32px", "8193px", "8 to 8192, got 8193"),
        ("32px", "99999999px", "'99999999px'"),
        ("stem_k3_s2_c16-", "", "not a notation"),
        ("stem", "stm", "'stm_k3_s2_c16' is not a stem"),
        ("stem_k3", "stem_k4", "stem kernel must be one of 1, 3, 5, 7, 9, 11, got 4"),
        ("stem_k3_s2", "stem_k3_s3", "stem stride must be one of 1, 2, got 3"),
        ("_s2_c16", "_s2_c0", "stem channels must be a whole number from 1 to 16384, got 0"),
        ("_s2_c16", "_s2", "'stem_k3_s2' is not a stem of the form stem_kN_sN_cN"),
        ("_s2_c16", "_s2_c16_c16", "'c16' is not expected there"),
        ("_s2_c16", "_s2_c1.5", "'c1.5' is not expected there"),
        ("_s2_c16", "_s2_c16_se0.25", "'se0.25' is not expected there"),
        ("ir_r2_k5_s1_e6_c24_se0.25-", "", "not a notation"),
        ("ir_", "xx_", f"begins with {listed(OP_OF_CODE)} and reads"),
        ("ir_", "cn_", "ends with _skip"),
        ("se0.25", "se0.25_skip", "cannot read 'skip'"),
        ("_e6", "", "has no expansion"),
        ("_e6", "_e0", "expansion must be a whole number from 1 to 32, got 0"),
        ("_e6", "_e33", "expansion must be a whole number from 1 to 32, got 33"),
        ("_r2", "_r0", "layers must be a whole number from 1 to 1000, got 0"),
        ("_r2", "_r1001", "layers must be a whole number from 1 to 1000, got 1001"),
        ("_r2", "_r2_k5", "'k5' is not expected there"),
        ("_k5", "_k2", "kernel must be one of 1, 3, 5, 7, 9, 11, got 2"),
        ("_k5", "_kfive", "cannot read 'kfive'"),
        ("_k5", "_k-5", "cannot read 'k'"),
        ("_c24", "_c16385", "channels must be a whole number from 1 to 16384, got 16385"),
        ("se0.25", "se1.5", "se_ratio must be 0, or from 0.001 to 1, got 1.5"),
        ("se0.25", "se0.0001", "se_ratio must be 0, or from 0.001 to 1, got 0.0001"),
        ("se0.25", "senan", "cannot read 'senan'"),
        ("_s2_c16", "_s2_c16_pool_pool", "cannot read 'pool'"),
        ("_s2_c16", "_pool_s2_c16", "cannot read 'pool'"),
        ("head_c64", "head_c16385", "head channels must be a whole number from 0 to 16384, got 16385"),
        ("head_c64", "head", "is not a head of the form head_cN"),
        ("head_c64", "head_k3_c64", "'k3' is not expected there"),
        ("silu", "gelu", "ends with one of silu, relu, relu6, hardswish, got 'gelu'"),
        ("-silu", "", "not a notation"),
        ("24", "24\n", "cannot read 'c24\\n'"),
    ],
)
def test_a_malformed_notation_is_told_what_is_wrong_with_it(old, new, named):
    assert parse(WELL_FORMED)
    with pytest.raises(NotationError) as error:
        parse(WELL_FORMED.replace(old, new))
    assert named in one_line(error)


def check_refusal(written: object, reader: Callable[[Any], Architecture] = parse) -> None:
    """Either what is written can be read and printed again, or it is refused in one line."""
    try:
        architecture = reader(written)
    except NotationError as refusal:
        message = str(refusal)
    else:
        assert parse(str(architecture)) == architecture
        return
    assert len(message.splitlines()) == 1
    assert len(message) < 600


@given(st.one_of(st.text(), st.text("0123456789pxstemkcrnaidhlu_-.\n"), st.text("-_", min_size=100)))
def test_any_text_is_read_or_refused_in_one_line(text):
    check_refusal(text)
    check_refusal(f"32px-stem_k3_s2_c16-{text}-head_c64-silu")


SLIPS = ["9" * 9, "0.", "_", "-", "_se", "_skip", "²", "٣"]


@given(architectures.map(str), st.data())
def test_a_notation_with_a_slip_is_read_or_refused_in_one_line(notation, data):
    start = data.draw(st.integers(0, len(notation)))
    stop = start + data.draw(st.integers(0, 3))
    slip = data.draw(st.one_of(st.text(max_size=3), st.sampled_from(SLIPS)))
    check_refusal(notation[:start] + slip + notation[stop:])


@pytest.mark.parametrize(
    "notation", ["-" * 200_000, "_" * 200_000, f"{'9' * 200_000}px-a-b-c-d", f"a-b-{'_k' * 99_999}"]
)
def test_an_endless_text_is_refused_at_once(notation):
    with pytest.raises(NotationError) as error:
        parse(notation)
    one_line(error)


def test_a_block_string_alone():
    assert parse_stage("cn_r2_k3_s1_e1_c24_skip") == Stage("conv", 3, 1, 1, 24, 2)
    assert parse_stage("ds_r1_k3_s1_c16") == Stage("separable", 3, 1, 1, 16, 1)
    assert parse_stage("dsa_r1_k3_s1_c64") == Stage("plain_separable", 3, 1, 1, 64, 1)
    assert parse_stage("bn_r3_k3_s1_e4_c256") == Stage("bottleneck", 3, 1, 4, 256, 3)
    with pytest.raises(NotationError, match="has no expansion"):
        parse_stage("bn_r3_k3_s1_c256")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("op", "dwconv"),
        ("op", ["mbconv"]),
        ("kernel", 2),
        ("kernel", 13),
        ("kernel", True),
        ("kernel", 3.0),
        ("kernel", "3"),
        ("stride", 0),
        ("stride", 1.0),
        ("stride", True),
        ("expansion", 0),
        ("expansion", 6.0),
        ("expansion", 33),
        ("channels", -8),
        ("channels", 0.5),
        ("layers", 0),
        ("layers", True),
        ("layers", None),
        ("se_ratio", -0.25),
        ("se_ratio", 1.01),
        ("se_ratio", 0.0009),
        ("se_ratio", float("nan")),
        ("se_ratio", True),
        ("se_ratio", "0.25"),
    ],
)
def test_a_stage_out_of_range(field, value):
    with pytest.raises(NotationError, match=rf"^({field}|operator) must be .*, got ") as error:
        replace(ROW, **{field: value})
    one_line(error)


@pytest.mark.parametrize("pool", [1, None, "yes"])
def test_a_stem_has_a_pool_or_has_none(pool):
    with pytest.raises(NotationError, match="stem pool must be one of False, True, got") as error:
        Stem(16, pool=pool)
    one_line(error)


@pytest.mark.parametrize(
    "change",
    [
        {"stages": ()},
        {"head": -1},
        {"head": 64.0},
        {"head": False},
        {"resolution": 7},
        {"resolution": True},
        {"activation": "x"},
    ],
)
def test_an_architecture_out_of_range(change):
    with pytest.raises(NotationError) as error:
        replace(small(ROW), **change)
    one_line(error)


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
KEYS = [field.name for field in fields(Architecture)]


@given(JUNK, st.sampled_from(KEYS), st.sampled_from([*asdict(ROW), "stem"]))
def test_junk_in_dict_form_is_a_notation_error(junk, key, inner):
    good = small(ROW).to_dict()
    row = {**good["stages"][0], inner: junk}
    for values in (junk, {**good, key: junk}, {**good, "stages": [row]}, {**good, "stem": row}, {**good, "extra": 1}):
        check_refusal(values, Architecture.from_dict)


@pytest.mark.parametrize("key", KEYS)
def test_a_dict_that_lacks_a_part(key):
    values = small(ROW).to_dict()
    del values[key]
    defaults = {"resolution": 224, "activation": "silu", "lite": False}
    if key in defaults:
        assert getattr(Architecture.from_dict(values), key) == defaults[key]
    else:
        with pytest.raises(NotationError, match=f"dict form: .*{key}"):
            Architecture.from_dict(values)


def test_a_number_too_long_to_print_is_a_notation_error():
    with pytest.raises(NotationError):
        Architecture.from_dict({**small(ROW).to_dict(), "head": 10**5000})

import pytest

from effsearch.architecture import Stage
from effsearch.operators import IN, OP_OF_CODE, OPERATORS, OPS, OUT

each_operator = pytest.mark.parametrize("op", OPS)


def test_every_operator_has_one_entry_and_a_code_of_its_own():
    assert tuple(OPERATORS) == OPS
    assert set(OP_OF_CODE.values()) == set(OPS)


@each_operator
def test_the_parts_of_an_operator_lead_from_its_input_to_its_output(op):
    widths = Stage(op, 3, 1, 2, 12, 1).canonical().widths(7)
    given, gives = ([widths[part[field]] for part in OPERATORS[op].parts] for field in (1, 2))
    assert given == [widths[IN], *gives[:-1]]
    assert gives[-1] == widths[OUT]
    assert all(part.given == part.gives for part in OPERATORS[op].parts if part.kind in ("depthwise", "excitation"))


@each_operator
def test_one_part_of_an_operator_has_the_stride_and_squeezing_comes_after_it(op):
    kinds = [part.kind for part in OPERATORS[op].parts]
    (strided,) = (index for index, part in enumerate(OPERATORS[op].parts) if part.strided)
    assert kinds[strided] in ("depthwise", "dense")
    assert all(index > strided for index, kind in enumerate(kinds) if kind == "excitation")


@each_operator
def test_timm_has_a_name_for_every_convolution_or_lacks_the_block(op):
    assert len(OPERATORS[op].timm) in (0, len(OPERATORS[op].plain_parts))


@each_operator
def test_what_an_operator_is_without_expansion_has_none(op):
    if unexpanded := OPERATORS[op].unexpanded:
        assert OPERATORS[unexpanded].expansion == "none"
        assert OPERATORS[unexpanded].shortcut == OPERATORS[op].shortcut

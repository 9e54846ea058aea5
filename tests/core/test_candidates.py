import itertools
import math

import pytest
from hypothesis import assume, given, settings, strategies as st

from effsearch.coefficient_grid import FLOPS_TOLERANCE, CoefficientGrid, cells, solve_gamma
from effsearch.costs import cost
from effsearch.errors import QuantityError
from effsearch.families import EFFICIENTNET_B0, MNASNET_A1
from effsearch.scaling import PAPER, Coefficients, Rounding, grow

BASELINES = st.sampled_from([EFFICIENTNET_B0, MNASNET_A1])
GRIDS = st.builds(
    CoefficientGrid,
    step=st.sampled_from([0.05, 0.1, 0.15, 0.25]),
    tolerance=st.sampled_from([0.05, 0.1, 0.3]),
    target=st.sampled_from([1.5, 2.0, 3.0]),
    phi=st.sampled_from([0.5, 1.0, 2.0]),
    constraint=st.sampled_from(["formula", "flops"]),
    rounding=st.builds(Rounding, st.sampled_from(["ceil", "nearest"])),
)


def candidates(found):
    return [cell for cell in found if cell.role == "candidate"]


def test_the_published_grid_is_108_triples_but_65_networks():
    found = candidates(cells(EFFICIENTNET_B0, CoefficientGrid()))
    assert sum(len(cell.triples) for cell in found) == 108
    assert len(found) == 65
    assert min(cell.flops_ratio for cell in found) == pytest.approx(1.93, abs=0.005)
    assert max(cell.flops_ratio for cell in found) == pytest.approx(3.33, abs=0.005)


def test_the_published_grid_against_brute_force():
    axis = [1 + 0.05 * i for i in range(21)]
    by_hand = {
        tuple(round(value, 2) for value in triple)
        for triple in itertools.product(axis, axis, axis)
        if abs(round(triple[0], 2) * round(triple[1], 2) ** 2 * round(triple[2], 2) ** 2 - 2) <= 0.1
    }
    found = candidates(cells(EFFICIENTNET_B0, CoefficientGrid()))
    assert {(t.alpha, t.beta, t.gamma) for cell in found for t in cell.triples} == by_hand


def test_references_are_there_and_the_papers_triple_is_never_missing():
    for grid in (CoefficientGrid(), CoefficientGrid(step=0.1), CoefficientGrid(constraint="flops")):
        found = cells(EFFICIENTNET_B0, grid)
        assert {"baseline", "depth", "width", "resolution", "paper"} == {cell.name for cell in found} - {""}
        paper = next(cell for cell in found if cell.name == "paper")
        assert paper.architecture == grow(EFFICIENTNET_B0, PAPER.at(1))
        assert paper.flops_ratio == pytest.approx(2.57, abs=0.005)


@settings(max_examples=40)
@given(BASELINES, GRIDS)
def test_every_candidate_meets_its_constraint_and_no_network_comes_twice(baseline, grid):
    try:
        found = cells(baseline, grid)
    except QuantityError:
        assume(False)
    assert len({cell.architecture.key for cell in found}) == len(found)
    base = cost(baseline).flops
    for cell in candidates(found):
        ratio = cost(cell.architecture).flops / base
        assert cell.flops_ratio == ratio
        for triple in cell.triples:
            assert 1 <= triple.alpha <= grid.target
            assert min(triple.beta, triple.gamma) >= 1
            assert grow(baseline, triple.at(grid.phi), grid.rounding).key == cell.architecture.key
            if grid.constraint == "formula":
                assert abs(triple.product - grid.target) <= grid.tolerance
        if grid.constraint == "flops":
            assert abs(ratio / grid.target**grid.phi - 1) <= FLOPS_TOLERANCE


def test_gamma_is_solved_as_nearly_as_whole_pixels_allow():
    grid = CoefficientGrid(constraint="flops")
    base = cost(EFFICIENTNET_B0).flops
    for alpha, beta in [(1.0, 1.0), (1.05, 1.05), (1.2, 1.0), (1.0, 1.2)]:
        by_side = {
            side: abs(cost(grow(EFFICIENTNET_B0, Coefficients(alpha, beta, side / 224).at(1))).flops / base / 2 - 1)
            for side in range(224, 340)
        }
        solved = solve_gamma(EFFICIENTNET_B0, alpha, beta, grid)
        if min(by_side.values()) > FLOPS_TOLERANCE:
            assert solved is None
        else:
            assert solved is not None
            assert by_side[solved[1].resolution] == min(by_side.values())
            assert solved[0].gamma == pytest.approx(solved[1].resolution / 224)


def test_a_triple_stands_nearest_to_the_target():
    cell = max(cells(EFFICIENTNET_B0, CoefficientGrid()), key=lambda cell: len(cell.triples))
    assert len(cell.triples) > 1
    assert math.isclose(
        abs(cell.coefficients.product - 2), min(abs(triple.product - 2) for triple in cell.triples), abs_tol=1e-12
    )


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"step": 0}, "step must be from 0.001 to 10, got 0"),
        ({"step": float("nan")}, "step must be from 0.001 to 10, got nan"),
        ({"tolerance": -1}, "tolerance must be from 0 to 100"),
        ({"target": 1}, "target must be from 1.01 to 100"),
        ({"phi": 0}, "phi must be from 0.01 to 20"),
        ({"constraint": "time"}, "must be one of formula, flops, got 'time'"),
        ({"step": 0.01}, "more than 10,000 triples"),
        ({"step": 0.7, "tolerance": 0.0}, "widen the tolerance"),
    ],
)
def test_what_cannot_be_says_so_in_one_line(values, says):
    if values == {"step": 0.01}:
        values["tolerance"] = 1.0
    with pytest.raises(QuantityError, match=says):
        cells(EFFICIENTNET_B0, CoefficientGrid(**values))

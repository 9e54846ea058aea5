import pytest

from effsearch.costs import cost
from effsearch.errors import QuantityError
from effsearch.families import EFFICIENTNET_B0
from effsearch.scaling import PAPER, Coefficients, Multipliers, Rounding, axes, grow, phi_of, solve_phi


@pytest.mark.parametrize("target", [50e6, 200e6, 385_814_752, 2e9, 37e9])
@pytest.mark.parametrize("rounding", [Rounding(), Rounding("nearest", 4, 32)])
def test_the_solved_phi_is_the_last_that_fits(target, rounding):
    phi = solve_phi(EFFICIENTNET_B0, PAPER, target, rounding)
    assert cost(grow(EFFICIENTNET_B0, PAPER.at(phi), rounding)).flops <= target
    assert cost(grow(EFFICIENTNET_B0, PAPER.at(phi + 1e-5), rounding)).flops > target


@pytest.mark.parametrize(
    ("coefficients", "target", "says"),
    [
        (PAPER, 10, "no phi leads to 10 FLOPs .* the smallest network has"),
        (Coefficients(1, 1, 1), 1e9, "no phi up to 100 leads to 1B FLOPs"),
    ],
)
def test_a_target_out_of_reach_says_so(coefficients, target, says):
    with pytest.raises(QuantityError, match=says):
        solve_phi(EFFICIENTNET_B0, coefficients, target)


def test_axes_say_what_the_formula_asks_and_what_rounding_makes_of_it():
    depth, width, resolution = axes(EFFICIENTNET_B0, PAPER.at(1))
    assert (depth.asked, depth.before, depth.after, depth.unit) == (1.2, 16, 23, "layers")
    assert depth.reached == 23 / 16
    assert (depth.ideal, width.ideal, resolution.ideal) == pytest.approx((1.2, 1.21, 1.3225))
    assert (resolution.before, resolution.after, resolution.params) == (224, 258, 1)


def test_the_phi_that_each_axis_would_need():
    found = phi_of(Multipliers(1.8, 1.4, 380 / 224), PAPER)
    assert found["depth"] == pytest.approx(3.22, abs=0.01)
    assert found["width"] == pytest.approx(3.53, abs=0.01)
    assert found["resolution"] == pytest.approx(3.78, abs=0.01)
    assert phi_of(Multipliers(), Coefficients(1, 1.1, 1.2))["depth"] is None

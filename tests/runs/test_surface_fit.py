from collections.abc import Callable
from statistics import mean, stdev
from time import process_time

import numpy as np
import pytest

from effsearch.coefficient_grid import CoefficientGrid, cells
from effsearch.families import EFFICIENTNET_B0
from effsearch.runs.ranking import PRIOR_SD, Row
from effsearch.runs.surface import Surface, fit_surface, on_constraint

Shape = Callable[[np.ndarray], np.ndarray]  # accuracies (N,) at the shares (N, 3) of depth, width and resolution

CELLS = [cell for cell in cells(EFFICIENTNET_B0, CoefficientGrid()) if cell.name != "baseline"]
TRIPLES = np.array([[c.coefficients.alpha, c.coefficients.beta, c.coefficients.gamma] for c in CELLS])
DOUBLINGS = np.log2([cell.flops_ratio / 2 for cell in CELLS])
SLOPE = 0.03


def shares(triples: np.ndarray) -> np.ndarray:
    return np.log(triples) * [1, 2, 2] / np.log(2)


def row(number: int, accuracies: list[float], **more) -> Row:
    cell, count = CELLS[number], len(accuracies)
    about = {"flops": cell.cost.flops, "params": 1, "target_ratio": cell.flops_ratio / 2, "source": cell.source}
    grown = dict(zip(("alpha", "beta", "gamma"), TRIPLES[number].tolist(), strict=True))
    values = {
        "rank": 1,
        "key": cell.architecture.key,
        "notation": cell.architecture.notation,
        "state": "complete",
        "accuracy": mean(accuracies),
        "accuracy_sd": stdev(accuracies) if count > 1 else None,
        "seeds": count,
        "reward": mean(accuracies),
        "epochs": 4,
        "seconds": 1.0,
        "pareto": False,
        "tie": False,
        "reason": None,
    }
    return Row(**(values | about | grown | more))


def rows(shape: Shape, seeds: int = 1, count: int | None = None, noise: float = 0.01, misfit: float = 0.0, chance=0):
    """Networks of the default grid, `count` or all, with a slope of FLOPs, each trained under so many seeds."""
    rng = np.random.default_rng(chance)
    true = shape(shares(TRIPLES)) + SLOPE * DOUBLINGS + rng.normal(0, misfit, len(CELLS))
    chosen = rng.permutation(len(CELLS))[:count]
    return [row(number, (true[number] + rng.normal(0, noise, seeds)).tolist()) for number in sorted(chosen.tolist())]


def fitted(*args, **options) -> Surface:
    found = fit_surface(rows(*args, **options), 2.0)
    assert found is not None
    return found


def peak(x: np.ndarray) -> np.ndarray:
    return 0.7 - 0.2 * np.square(x - [0.3, 0.3, 0.4]).sum(1)


def flat(x: np.ndarray) -> np.ndarray:
    return np.full(len(x), 0.7)


def drawn(rng: np.random.Generator, spread: float) -> tuple[Shape, np.ndarray]:
    """A quadratic with a highest point, whose accuracies on the constraint have that standard deviation, and its top.

    Its curvature is as different along different directions as chance has it.
    """
    top, root = rng.dirichlet([2, 2, 2]), rng.normal(size=(3, 3))
    curved = root @ root.T + 0.5 * np.eye(3)

    def form(x: np.ndarray) -> np.ndarray:
        return -np.einsum("ni,ij,nj->n", x - top, curved, x - top)

    everywhere = on_constraint(2.0)
    heights = form(shares(everywhere))
    scale = spread / heights.std()
    return lambda x: 0.7 + scale * form(x), everywhere[heights.argmax()]


def test_the_constraint_is_met_all_over():
    triples = on_constraint(3.0, 10)
    assert len(triples) == 66
    assert triples.min() >= 1
    np.testing.assert_allclose(triples[:, 0] * triples[:, 1] ** 2 * triples[:, 2] ** 2, 3.0)


def test_a_clear_optimum_is_found_with_what_a_doubling_brings_and_the_noise():
    truth = [2**0.3, 2**0.15, 2**0.2]
    held = 0
    for chance in range(10):
        found = fitted(peak, seeds=3, noise=0.007, chance=chance)
        assert [found.best.alpha, found.best.beta, found.best.gamma] == pytest.approx(truth, abs=0.12)
        assert found.slope == pytest.approx(SLOPE, abs=0.012)
        assert found.noise == pytest.approx(0.007, rel=0.25)
        assert not found.is_flat
        low, high = found.interval(1)
        held += low <= truth[1] <= high
    assert held >= 6


@pytest.mark.parametrize(("spread", "noise"), [(0.02, 0.01), (0.006, 0.01), (0.02, 0.03)])
def test_intervals_hold_the_truth_as_often_as_they_say(spread, noise):
    held, count = 0, 60
    for chance in range(count):
        shape, top = drawn(np.random.default_rng(chance), spread)
        found = fitted(shape, noise=noise, misfit=0.002, chance=chance)
        ends = np.array([found.interval(axis) for axis in range(3)])
        held += int(((ends[:, 0] - 1e-9 <= top) & (top <= ends[:, 1] + 1e-9)).sum())
    assert 0.65 <= held / (3 * count) <= 0.95


def test_more_trainings_narrow_the_intervals():
    few, some, many = (
        np.mean([fitted(peak, chance=chance, **size).widths for chance in range(8)])
        for size in ({"count": 20}, {"seeds": 1}, {"seeds": 6})
    )
    assert many < 0.8 * some < 0.64 * few


def test_where_all_is_alike_the_optimum_may_be_anywhere():
    found = fitted(flat)
    low, high = found.interval(0)
    assert high - low > 0.5
    assert found.is_flat
    assert not found.is_told
    assert max(map(found.trainings_needed, range(3))) > found.trainings
    assert found.misfit < 0.01


def test_networks_off_every_surface_widen_the_intervals():
    rough, smooth = (fitted(peak, seeds=4, misfit=misfit) for misfit in (0.03, 0.0))
    assert rough.misfit > 0.015
    assert smooth.misfit < 0.006
    assert rough.widths.mean() > 1.5 * smooth.widths.mean()


def test_noise_comes_from_the_repeats_and_without_any_from_what_is_expected():
    assert fitted(peak, seeds=3, noise=0.03).noise == pytest.approx(0.03, rel=0.25)
    assert 0.4 * PRIOR_SD < fitted(peak, seeds=1, noise=PRIOR_SD).noise < 2.5 * PRIOR_SD


def test_the_baseline_and_what_was_stopped_earlier_are_left_out():
    made = rows(peak, seeds=2)
    plain = fit_surface(made, 2.0)
    ones = {"alpha": 1.0, "beta": 1.0, "gamma": 1.0}
    others = [row(0, [0.2], key="baseline", **ones), row(1, [0.1], key="stopped", epochs=2)]
    others += [row(2, [0.1], key="failed", accuracy=None, reward=None, rank=None)]
    found = fit_surface(made + others, 2.0)
    assert plain is not None
    assert found is not None
    assert found.networks.keys == plain.networks.keys
    np.testing.assert_array_equal(found.optima, plain.optima)


def test_a_network_is_expected_between_the_surface_and_what_it_reached():
    found = fitted(peak, seeds=2, misfit=0.01)
    networks = found.networks
    drawn_accuracies = found.accuracies(networks.keys, networks.triples, networks.doublings)
    smooth = found.mean(networks.triples) + found.slope * networks.doublings
    expected = drawn_accuracies.mean(1)
    between = (expected - smooth) * (networks.accuracies - expected)
    assert (between > -2e-6).mean() > 0.95
    unknown = found.accuracies(["new"], networks.triples[:1], networks.doublings[:1])
    assert unknown.std() > drawn_accuracies[0].std()


def test_measured_accuracies_are_compared_at_equal_flops():
    found, made = fitted(peak), rows(peak)
    assert found.at_equal_flops(made[5]) == pytest.approx(
        made[5].accuracy - found.slope * np.log2(made[5].target_ratio)
    )


def test_too_few_networks_give_no_fit():
    assert fit_surface(rows(flat, count=5), 2.0) is None
    assert fit_surface([], 2.0) is None


def test_a_fit_takes_no_longer_than_a_glance():
    made = rows(peak, seeds=2)
    fit_surface(made, 2.0)
    began = process_time()
    fit_surface(made, 2.0)
    assert process_time() - began < 0.3

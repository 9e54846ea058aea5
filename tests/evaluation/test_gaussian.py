"""The Gaussian process of accuracies."""

import numpy as np
import pytest
from scipy.optimize import approx_fprime

from effsearch.engine.gaussian_process import Encoding, NegativeLogPosterior, Points, Posterior, fit, hyperprior
from effsearch.space import Decision

DECISIONS = (Decision("kernel", (3, 5, 7)), Decision("op", ("conv", "sep")), Decision("layers", (1, 2, 3, 4)))


def some_points(count: int, seed: int = 0) -> tuple[Encoding, Points, np.ndarray]:
    rng = np.random.default_rng(seed)
    encoding = Encoding(DECISIONS)
    values = [{d.name: d.choices[rng.integers(len(d.choices))] for d in DECISIONS} for _ in range(count)]
    size = np.array([float(point["kernel"] * point["layers"]) for point in values])
    truth = np.array([0.3 * p["layers"] - 0.5 * (p["op"] == "sep") * (p["kernel"] == 7) for p in values])
    expected = truth + rng.normal(0, 0.2, count)
    return encoding, Points(encoding.encode(values), (size - size.mean()) / size.std(), expected), truth


def test_numbers_have_an_order_and_texts_do_not():
    far = Encoding((Decision("a", (1, 2, 4)), Decision("b", ("x", "y", "z")))).distances
    assert far[0, 0] == 0
    assert far[0, 1] < far[0, 2]
    assert far[3, 4] == far[3, 5] == 1
    assert not far[:3, 3:].any()


def test_the_gradient_is_that_of_the_posterior():
    encoding, points, truth = some_points(25)
    means, deviations = hyperprior(encoding)
    loss = NegativeLogPosterior(encoding, points, (truth - truth.mean()) / truth.std(), means, deviations)
    here = means + 0.3 * np.random.default_rng(1).normal(size=len(means))
    numeric = approx_fprime(here, lambda logs: loss(logs)[0], 1e-6)
    assert loss(here)[1] == pytest.approx(numeric, rel=1e-3, abs=1e-3)


def test_it_learns_an_interaction_and_knows_what_it_does_not_know():
    encoding, points, truth = some_points(60)
    centre, spread = truth.mean(), truth.std()
    kernel = fit(encoding, points, (truth - centre) / spread)
    posterior = Posterior(kernel, points, (truth - centre) / spread)
    _, others, expected = some_points(40, seed=1)
    assert posterior.mean(others) * spread + centre == pytest.approx(expected, abs=0.15)
    left_out = posterior.leave_one_out() * spread + centre
    assert np.corrcoef(left_out, truth)[0, 1] > 0.95


def test_a_prediction_that_is_right_is_trusted_and_one_that_is_wrong_is_not():
    encoding, points, truth = some_points(40)
    values = (truth - truth.mean()) / truth.std()
    wrong = np.random.default_rng(5).permutation(values)
    right, misled = (
        fit(encoding, Points(points.codes, points.size, told), values).parameters.slope for told in (values, wrong)
    )
    assert right > 0.5
    assert misled < 0.5 * right


def test_an_expected_value_moves_what_is_believed_before_anything_is_known():
    encoding, points, truth = some_points(12)
    kernel = fit(encoding, points, (truth - truth.mean()) / truth.std())
    told = Points(points.codes, points.size, points.prior + 1)
    assert kernel.mean(told) - kernel.mean(points) == pytest.approx(kernel.parameters.slope)
    assert kernel.mean(points).mean() == pytest.approx(0, abs=1e-9)
    assert np.diag(kernel.covariance(points, points)) == pytest.approx(kernel.variance(points))


def test_what_is_left_out_is_predicted_as_by_a_fit_without_it():
    encoding, points, truth = some_points(20)
    kernel = fit(encoding, points, truth)
    rest = np.arange(1, 20)
    alone = Posterior(kernel, points.at(rest), truth[1:]).mean(points.at([0]))
    assert Posterior(kernel, points, truth).leave_one_out()[0] == pytest.approx(alone[0], abs=1e-6)

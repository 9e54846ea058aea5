from dataclasses import replace

import numpy as np
import pytest
from test_ranked import FIRST

from effsearch.reports.surface import fit_surface, on_constraint
from effsearch.runs.ranking import Noise

NOISE = Noise(0.004, 10, 20)


def rows(accuracy, count=40, seeds=3, noise=0.004, chance=0):
    """Networks all over the constraint, with the accuracy of (depth, width, resolution) shares and some noise."""
    rng = np.random.default_rng(chance)
    everywhere = on_constraint(2.0, 12)
    made = []
    for triple in everywhere[rng.choice(len(everywhere), count, replace=False)]:
        shares = np.log(triple) * [1, 2, 2] / np.log(2)
        value = accuracy(*shares) + rng.normal(0, noise / seeds**0.5)
        alpha, beta, gamma = triple
        made.append(replace(FIRST, accuracy=value, reward=value, seeds=seeds, alpha=alpha, beta=beta, gamma=gamma))
    return made


def test_the_constraint_is_met_all_over():
    triples = on_constraint(3.0, 10)
    assert len(triples) == 66
    assert triples.min() >= 1
    np.testing.assert_allclose(triples[:, 0] * triples[:, 1] ** 2 * triples[:, 2] ** 2, 3.0)


def test_a_clear_optimum_is_found_and_its_interval_holds_it():
    held = 0
    for chance in range(10):
        found = fit_surface(
            rows(lambda d, w, r: 0.7 - 0.2 * ((d - 0.3) ** 2 + (w - 0.3) ** 2 + (r - 0.4) ** 2), chance=chance),
            NOISE,
            2.0,
        )
        assert found is not None
        truth = [2**0.3, 2**0.15, 2**0.2]
        assert [found.best.alpha, found.best.beta, found.best.gamma] == pytest.approx(truth, abs=0.12)
        low, high = found.interval(1)
        held += low <= truth[1] <= high
        assert not found.is_flat
    assert held >= 6


def test_where_all_is_alike_the_optimum_may_be_anywhere():
    found = fit_surface(rows(lambda d, w, r: 0.7), NOISE, 2.0)
    assert found is not None
    low, high = found.interval(0)
    assert high - low > 0.5
    assert found.is_flat
    assert found.misfit < 0.01


def test_networks_off_every_surface_widen_the_interval():
    rng = np.random.default_rng(1)
    rough = rows(lambda d, w, r: 0.7 - 0.2 * (d - 0.3) ** 2 + 0.03 * rng.normal())
    found = fit_surface(rough, NOISE, 2.0)
    assert found is not None
    assert found.misfit > 0.01


def test_too_few_networks_or_no_noise_give_no_fit():
    made = rows(lambda d, w, r: 0.7, count=5)
    assert fit_surface(made, NOISE, 2.0) is None
    assert fit_surface(rows(lambda d, w, r: 0.7), None, 2.0) is None

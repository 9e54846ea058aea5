import random

import numpy as np
import pytest

from effsearch import space
from effsearch.costs import cost
from effsearch.executors.latency_profiler import LEAST, fit_latency, work
from effsearch.families import FAMILIES

MIXED = space.load("mixed").at(224)
CLASSES = 1000


def drawn(count: int) -> list:
    rng = random.Random(0)
    return [MIXED.decode(MIXED.sample(rng)) for _ in range(count)]


@pytest.mark.parametrize("name", sorted(FAMILIES))
def test_the_kinds_of_multiply_adds_add_up(name):
    *_, depthwise, dense, pointwise, params = work(FAMILIES[name], CLASSES)
    total = cost(FAMILIES[name])
    assert depthwise + dense + pointwise == total.flops
    assert min(depthwise, dense, pointwise) >= 0
    assert params == total.params


def test_b0_by_hand():
    b0 = FAMILIES["b0"]
    constant, blocks, excited, activations, *_, dense, _, _ = work(b0, CLASSES)
    assert (constant, blocks, excited) == (1, 16, 16)
    assert activations == cost(b0).activations
    assert dense == 3 * 32 * 9 * 112 * 112


def test_latencies_that_are_sums_of_work_are_predicted_for_networks_not_seen():
    rates = np.array([1e-3, 2e-4, 1e-4, 2e-9, 3e-9, 1e-9, 4e-10, 1e-10, 5e-11, 1e-10])

    def seconds(network) -> float:
        return float(np.dot(work(network, CLASSES), rates))

    networks = drawn(44)
    model = fit_latency(networks[:24], [seconds(network) for network in networks[:24]], CLASSES)
    assert model.error < 0.02
    for network in networks[24:]:
        assert model.predict(network, CLASSES) == pytest.approx(seconds(network), rel=0.05)


def test_the_error_is_that_of_noise_where_latencies_are_noisy():
    rng, networks = np.random.default_rng(0), drawn(40)
    seconds = [1e-10 * cost(network).flops * float(np.exp(rng.normal(0, 0.1))) for network in networks]
    assert 0.06 < fit_latency(networks, seconds, CLASSES).error < 0.2


def test_too_few_networks_are_refused():
    with pytest.raises(ValueError, match=f"{LEAST} networks at least"):
        fit_latency(drawn(LEAST - 1), [1.0] * (LEAST - 1), CLASSES)

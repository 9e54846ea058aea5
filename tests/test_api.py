import math

import pytest
import torch

from effsearch import api
from effsearch.errors import QuantityError, SpaceError


def large_kernels(network: api.Architecture) -> float:
    """The more 5 x 5 kernels the better."""
    return 0.1 + 0.1 * sum(stage.kernel == 5 for stage in network.stages)


def test_a_search_finds_what_a_function_prefers():
    found = api.search("tiny", large_kernels, target_flops=8e6, trials=30)
    assert len({each.architecture.key for each in found}) == len(found) == 30
    assert [each.reward for each in found] == sorted((each.reward for each in found), reverse=True)
    assert found[0].accuracy == max(each.accuracy for each in found)
    assert all(0.5 <= each.cost.flops / 8e6 <= 1.25 for each in found)
    assert found[0].reward == pytest.approx(found[0].accuracy * (found[0].cost.flops / 8e6) ** -0.07)


@pytest.mark.parametrize("sampler", ["auto", "evolution", "tpe"])
def test_the_same_seed_gives_the_same_search(sampler):
    one, two = (
        api.search("tiny", large_kernels, target_flops=8e6, trials=12, sampler=sampler, seed=5) for _ in range(2)
    )
    assert [each.architecture.key for each in one] == [each.architecture.key for each in two]


def test_networks_to_start_with_are_evaluated_first():
    seen = []

    def note(network):
        seen.append(network)
        return 0.5

    api.search("mbconv", note, target_flops=400e6, trials=3, start=["b0"])
    assert seen[0].key == "8836f82671"


def test_what_was_found_grows_and_is_built():
    best = api.search("tiny", large_kernels, target_flops=8e6, trials=8)[0].architecture
    grown = api.scale(best, phi=1)
    assert api.cost(grown).flops > 1.5 * api.cost(best).flops
    network = api.build(grown, 10).eval()
    assert network(torch.zeros(2, 3, 64, 64)).shape == (2, 10)
    assert api.scale("b0", 0) == api.parse(api.scale("b0", 0).notation)


def test_an_exhausted_window_ends_the_search(monkeypatch):
    monkeypatch.setattr("effsearch.engine.space_sampler.TRIES", 1000)
    found = api.search(
        "tiny", large_kernels, target_flops=8e6, trials=10_000, sampler="random", flops_window=(0.5, 0.5005)
    )
    assert 0 < len(found) < 10_000


@pytest.mark.parametrize(
    ("changes", "error", "said"),
    [
        ({"trials": 0}, QuantityError, "at least 1, got 0"),
        ({"target_flops": -1.0}, QuantityError, "above 0"),
        ({"space": "nowhere"}, SpaceError, "nowhere"),
        ({"sampler": "magic"}, SpaceError, "got 'magic'"),
        ({"evaluate": lambda network: math.nan}, QuantityError, "got nan"),
    ],
)
def test_what_makes_no_sense_is_said(changes, error, said):
    asked = {"space": "tiny", "evaluate": large_kernels, "target_flops": 8e6, "trials": 3} | changes
    with pytest.raises(error, match=said):
        api.search(asked.pop("space"), asked.pop("evaluate"), **asked)

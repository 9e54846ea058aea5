import optuna
import pytest
import torch
from optuna.trial import TrialState
from toys import TINY, toy_accuracy

from effsearch import space as spaces
from effsearch.architecture import Architecture
from effsearch.cost import cost
from effsearch.errors import SpaceError
from effsearch.search.samplers import SAMPLERS, SpaceExhausted, distributions, make_sampler

SMALL = spaces.read(
    {
        "resolution": 32,
        "stem": {"channels": 8},
        "head": {"channels": 32},
        "stages": [
            {"op": "mbconv", "kernel": [3, 5], "stride": 1, "expansion": [1, 3], "channels": 8, "layers": [1, 2]},
        ],
    },
    "small",
)
torch.set_num_threads(1)


def within(architecture: Architecture) -> bool:
    return 4e6 <= cost(architecture).flops <= 10e6


def propose(name: str, count: int, seed: int = 0, space: spaces.Space = TINY, feasible=within, pending: int = 0):
    """Asks for `count` architectures, telling each but for the last `pending`, some of them as failed or pruned."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="maximize", sampler=make_sampler(name, space, feasible, seed))
    found, waiting = [], []
    for index in range(count):
        trial = study.ask(distributions(space))
        architecture = space.decode(trial.params)
        found.append(architecture)
        waiting.append((trial, architecture))
        if len(waiting) > pending:
            done, told = waiting.pop(0)
            if index % 7 == 3:
                study.tell(done, state=TrialState.FAIL)
            elif index % 7 == 5:
                study.tell(done, state=TrialState.PRUNED)
            else:
                study.tell(done, toy_accuracy(told, 0))
    return found


@pytest.mark.parametrize("name", SAMPLERS)
class TestContract:
    def count(self, name: str) -> int:
        return 14 if name == "gp" else 40

    def test_proposes_only_feasible_architectures_and_none_twice(self, name):
        found = propose(name, self.count(name))
        assert all(TINY.contains(architecture) and within(architecture) for architecture in found)
        assert len({architecture.key for architecture in found}) == len(found)

    def test_same_seed_same_proposals(self, name):
        count = self.count(name) // 2
        assert propose(name, count, seed=3) == propose(name, count, seed=3)
        assert propose(name, count, seed=3) != propose(name, count, seed=4)

    def test_does_not_propose_what_still_runs(self, name):
        found = propose(name, self.count(name), pending=4)
        assert len({architecture.key for architecture in found}) == len(found)

    def test_uses_up_a_space_smaller_than_the_budget_and_says_so(self, name):
        assert SMALL.size == 8
        found = []
        with pytest.raises(SpaceExhausted, match="already tried"):
            found = propose(name, SMALL.size + 1, space=SMALL, feasible=lambda architecture: True)
        found = propose(name, SMALL.size, space=SMALL, feasible=lambda architecture: True)
        assert len({architecture.key for architecture in found}) == SMALL.size


def test_evolution_climbs_where_random_does_not():
    def best(name: str, seed: int) -> float:
        return max(toy_accuracy(architecture, 0) for architecture in propose(name, 80, seed))

    gains = [best("evolution", seed) - best("random", seed) for seed in range(5)]
    assert sum(gain > 0 for gain in gains) >= 4


def test_evolution_can_minimise():
    study = optuna.create_study(direction="minimize", sampler=make_sampler("evolution", TINY, within, 0))
    values = []
    for _ in range(60):
        trial = study.ask(distributions(TINY))
        values.append(toy_accuracy(TINY.decode(trial.params), 0))
        study.tell(trial, values[-1])
    assert sum(values[40:]) / 20 < sum(values[:20]) / 20


def test_an_enqueued_trial_is_taken_as_it_is_and_not_proposed_again():
    study = optuna.create_study(direction="maximize", sampler=make_sampler("random", SMALL, lambda a: True, 0))
    first = next(iter(SMALL.neighbours(SMALL.encode(SMALL.decode({d.name: d.choices[0] for d in SMALL.decisions})))))
    study.enqueue_trial(first)
    proposed = [study.ask(distributions(SMALL)) for _ in range(SMALL.size)]
    assert proposed[0].params == first
    assert len({SMALL.decode(trial.params).key for trial in proposed}) == SMALL.size


def test_unknown_sampler_is_named_with_those_there_are():
    with pytest.raises(SpaceError, match=r"evolution.*got 'foo'"):
        make_sampler("foo", TINY, within, 0)

import random

import numpy as np
import optuna
import pytest
import torch
from optuna.trial import TrialState
from tables import part_of, toy_table
from toys import TINY, toy_accuracy

from effsearch import space as spaces
from effsearch.architecture import Architecture
from effsearch.benchmark_table import Entry, Table
from effsearch.costs import cost
from effsearch.engine.samplers import OWN, SAMPLERS, make_sampler
from effsearch.engine.space_sampler import (
    ACCURACY_ALONE,
    Memory,
    Objective,
    SamplerContext,
    SpaceExhausted,
    always,
    distributions,
)
from effsearch.errors import SpaceError
from effsearch.reward import Reward

SMALL = spaces.read(
    {
        "resolution": 32,
        "stem": {"channels": 8},
        "head": {"channels": 32},
        "stages": [
            {"op": "mbconv", "kernel": [3, 5], "stride": 1, "expansion": [1, 3], "channels": 8, "layers": [1, 2]}
        ],
    },
    "small",
)
MIXED = spaces.load("mixed").at(224)
TABLE = toy_table()
LARGE = toy_table(choices=4, decisions=6)
POOL = part_of(TABLE, 0.4)
torch.set_num_threads(1)


def within(network: Architecture | Entry) -> bool:
    if isinstance(network, Entry):
        return 2e7 <= network.flops <= 9e7
    return 4e6 <= cost(network).flops <= 10e6


def accuracy(network: Architecture | Entry) -> float:
    return network.accuracy if isinstance(network, Entry) else toy_accuracy(network, 0)


def flops(network: Architecture | Entry) -> float:
    return network.flops if isinstance(network, Entry) else cost(network).flops


def propose(
    name: str,
    count: int,
    seed: int = 0,
    space: spaces.Space | Table = TINY,
    feasible=within,
    pending: int = 0,
    direction: str = "maximize",
    objective: Objective = ACCURACY_ALONE,
):
    """Asks for `count` networks, telling each but for the last `pending`, some of them as failed or pruned."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sampler = make_sampler(name, SamplerContext(space, feasible, objective=objective), seed)
    study = optuna.create_study(direction=direction, sampler=sampler)
    found, waiting = [], []
    for index in range(count):
        trial = study.ask(distributions(space))
        network = space.decode(trial.params)
        found.append(network)
        waiting.append((trial, network))
        if len(waiting) > pending:
            done, told = waiting.pop(0)
            if index % 7 == 3:
                study.tell(done, state=TrialState.FAIL)
            elif index % 7 == 5:
                study.tell(done, state=TrialState.PRUNED)
            else:
                study.tell(done, objective.reward(accuracy(told), objective.cost(told)))
    return found


SPACES = {"space": TINY, "table": TABLE, "pool": POOL}


@pytest.mark.parametrize("name", SAMPLERS)
class TestContract:
    def count(self, name: str) -> int:
        return 14 if name == "gp" else 40

    @pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
    def test_proposes_only_feasible_networks_and_none_twice(self, name, space):
        found = propose(name, self.count(name), space=space)
        assert all(map(within, found))
        assert len({network.key for network in found}) == len(found)

    def test_same_seed_same_proposals(self, name):
        count = self.count(name) // 2
        assert propose(name, count, seed=3) == propose(name, count, seed=3)
        assert propose(name, count, seed=3) != propose(name, count, seed=4)

    @pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
    def test_does_not_propose_what_still_runs(self, name, space):
        found = propose(name, self.count(name), space=space, pending=4)
        assert len({network.key for network in found}) == len(found)

    def test_uses_up_a_space_smaller_than_the_budget_and_says_so(self, name):
        assert SMALL.size == 8
        with pytest.raises(SpaceExhausted, match="already tried"):
            propose(name, SMALL.size + 1, space=SMALL, feasible=always)
        found = propose(name, SMALL.size, space=SMALL, feasible=always)
        assert len({network.key for network in found}) == SMALL.size

    def test_uses_up_a_pool_and_says_so(self, name):
        few = part_of(TABLE, 0.05)
        found = propose(name, few.size, space=few, feasible=always)
        assert len({network.key for network in found}) == few.size
        with pytest.raises(SpaceExhausted, match="already tried"):
            propose(name, few.size + 1, space=few, feasible=always)

    @pytest.mark.parametrize("prior", [None, flops], ids=["cold", "prior"])
    def test_goes_on_alike_when_it_is_made_anew_for_each_proposal(self, name, prior):
        if name not in OWN:
            pytest.skip("their state is not in the study")

        def run(share_memory: bool) -> list[dict]:
            memory = Memory()
            study = optuna.create_study(direction="maximize")
            for number in range(30):
                memory = memory if share_memory else Memory()
                objective = Objective(Reward(5e7), flops, prior=prior)
                study.sampler = make_sampler(name, SamplerContext(TABLE, within, memory, objective), number)
                trial = study.ask(distributions(TABLE))
                study.tell(trial, objective.reward(TABLE.decode(trial.params).accuracy, 5e7))
            return [trial.params for trial in study.trials]

        assert run(share_memory=True) == run(share_memory=False)


@pytest.mark.parametrize("name", ["auto", "evolution", "local-search", "reinforce"])
def test_what_learns_beats_random(name):
    def mean(name: str, seed: int) -> float:
        return float(np.mean([accuracy(found) for found in propose(name, 90, seed, LARGE, always)[60:]]))

    gains = [mean(name, seed) - mean("random", seed) for seed in range(4)]
    assert sum(gain > 0 for gain in gains) >= 3


@pytest.mark.parametrize("name", ["auto", "evolution", "local-search", "reinforce"])
def test_minimises_where_the_study_does(name):
    values = [accuracy(found) for found in propose(name, 90, 0, LARGE, always, direction="minimize")]
    assert np.mean(values[30:]) < np.mean([entry.accuracy for entry in LARGE.entries.values()]) - 0.005


@pytest.mark.parametrize("kind", ["soft", "hard", "absolute"])
def test_auto_finds_the_best_of_a_table_without_noise(kind):
    table = toy_table(noise=0.0)
    objective = Objective(Reward(5e7, kind), flops)
    rewards = sorted((objective.reward(entry.accuracy, entry.flops) for entry in table.entries.values()), reverse=True)
    for seed in range(3):
        found = propose("auto", 40, seed, table, always, objective=objective)
        best = max(objective.reward(entry.accuracy, entry.flops) for entry in found)
        assert best >= rewards[2]


def test_auto_does_not_crowd_what_runs():
    """Eight at a time are about as good as one after another."""
    objective = Objective(Reward(5e7), flops)

    def best(pending: int, seed: int) -> float:
        found = propose("auto", 40, seed, TABLE, always, pending=pending, objective=objective)
        return max(objective.reward(entry.accuracy, entry.flops) for entry in found)

    lost = [best(0, seed) - best(7, seed) for seed in range(3)]
    assert max(lost) < 0.005


def test_auto_proposes_in_a_space_too_large_to_be_looked_at():
    def feasible(architecture: Architecture) -> bool:
        return 2e8 <= cost(architecture).flops <= 5e8

    objective = Objective(Reward(4e8), flops)
    found = propose("auto", 20, space=MIXED, feasible=feasible, objective=objective)
    assert all(map(feasible, found))
    assert len({network.key for network in found}) == 20


def test_auto_begins_where_the_prior_says_and_still_finds_the_best_if_that_is_wrong():
    table = toy_table(noise=0.0)
    rewards = {entry.key: Reward(5e7)(entry.accuracy, entry.flops) for entry in table.entries.values()}
    best = max(rewards.values())

    def needed(prior, seed: int) -> int:
        found = propose("auto", 60, seed, table, always, objective=Objective(Reward(5e7), flops, prior=prior))
        return next(index for index, entry in enumerate(found, 1) if rewards[entry.key] >= 0.999 * best)

    def right(entry: Entry) -> float:
        return entry.accuracy

    def wrong(entry: Entry) -> float:
        return 1 - entry.accuracy

    assert all(needed(right, seed) <= 10 for seed in range(3))
    assert all(needed(wrong, seed) <= 60 for seed in range(3))


def test_auto_survives_values_that_are_all_the_same():
    study = optuna.create_study(direction="maximize", sampler=make_sampler("auto", SamplerContext(TABLE, always), 0))
    for _ in range(15):
        study.tell(study.ask(distributions(TABLE)), 0.5)
    assert len({tuple(trial.params.values()) for trial in study.trials}) == 15


def test_auto_survives_an_infinite_value():
    study = optuna.create_study(direction="maximize", sampler=make_sampler("auto", SamplerContext(TABLE, always), 0))
    for index in range(15):
        study.tell(study.ask(distributions(TABLE)), float("-inf") if index == 3 else index / 10)
    assert len({tuple(trial.params.values()) for trial in study.trials}) == 15


def test_an_enqueued_trial_is_taken_as_it_is_and_not_proposed_again():
    study = optuna.create_study(direction="maximize", sampler=make_sampler("random", SamplerContext(SMALL, always), 0))
    first = SMALL.mutate(SMALL.sample(random.Random(0)), 1, random.Random(0))
    study.enqueue_trial(first)
    proposed = [study.ask(distributions(SMALL)) for _ in range(SMALL.size)]
    assert proposed[0].params == first
    assert len({SMALL.decode(trial.params).key for trial in proposed}) == SMALL.size


@pytest.mark.parametrize("name", OWN)
def test_what_one_study_saw_is_nothing_to_another(name):
    sampler = make_sampler(name, SamplerContext(SMALL, always), 0)
    for _ in range(2):
        study = optuna.create_study(direction="maximize", sampler=sampler)
        for _ in range(SMALL.size):
            trial = study.ask(distributions(SMALL))
            study.tell(trial, accuracy(SMALL.decode(trial.params)))
        assert len({SMALL.decode(trial.params).key for trial in study.trials}) == SMALL.size


def test_unknown_sampler_is_named_with_those_there_are():
    with pytest.raises(SpaceError, match=r"auto, evolution.*got 'foo'"):
        make_sampler("foo", SamplerContext(TINY, within), 0)

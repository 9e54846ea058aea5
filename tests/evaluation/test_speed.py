"""What a forecast rests on: a few steps by the loop that will train."""

from dataclasses import replace

import pytest

from effsearch.architecture import Architecture, Stage, Stem
from effsearch.evaluation import QUICK, timing as speed
from effsearch.evaluation.timing import EPOCHS, STEPS, measure
from effsearch.training import Recipe
from effsearch.training.loop import CHECK_EVERY, train

SMALL = Architecture(Stem(8), (Stage("mbconv", 3, 2, 2, 8, 2, 0.25),), head=16)
LARGE = replace(SMALL, stages=(Stage("mbconv", 5, 1, 6, 64, 4, 0.25),))
PROXY = replace(QUICK, resolution=32, width=1.0)


def test_a_larger_network_takes_longer():
    small, large = measure([(SMALL, PROXY), (LARGE, PROXY)], 4, cuda=False)
    assert 0 < small.validate < small.train < large.train
    assert small.validate < large.validate < large.train


def test_only_steps_after_the_first_epoch_are_timed_and_few_if_they_are_slow(monkeypatch):
    seen = []

    def counted(*arguments, on_step, **options):
        def noted(step, steps):
            seen.append((step, steps))
            on_step(step, steps)

        return train(*arguments, on_step=noted, **options)

    monkeypatch.setattr(speed, "train", counted)
    monkeypatch.setattr(speed, "SECONDS", 0.0)
    measure([(SMALL, PROXY)], 4, cuda=False)
    assert CHECK_EVERY > STEPS
    assert seen == [(step, EPOCHS * STEPS) for step in (1, STEPS, STEPS + 1, 2 * STEPS)]


@pytest.mark.parametrize("rate", [100.0, 1e-8])
def test_a_rate_that_diverges_ends_no_measurement(rate):
    wild = replace(PROXY, recipe=Recipe(batch=8, rate=rate, weight_decay=1, momentum=0.99))
    assert measure([(SMALL, wild)], 4, cuda=False)[0].train > 0

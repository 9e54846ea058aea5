"""Searches that aim at parameters or at latency, and what no network may exceed."""

import random
from pathlib import Path

import pytest
from toys import TINY, InProcess, new_run, search, settings, toy

from effsearch.costs import cost
from effsearch.engine.samplers import SAMPLERS
from effsearch.engine.search_problems import Budget
from effsearch.errors import EffsearchError, QuantityError, RunError
from effsearch.executors.latency_profiler import LEAST, LatencyProfiler, fit_latency
from effsearch.runs.manifest import Limits
from effsearch.runs.ranking import from_csv
from effsearch.runs.schema import differences
from effsearch.runs.settings import LatencyConditions, NasSettings, from_document, to_document

LATENCY = LatencyConditions(name="a processor")


class Formula(LatencyProfiler):
    """Latencies of 1 ms for 8 MFLOPs, which a model of the sample is 20 % off, this or that way by the key."""

    def _measure(self, architecture) -> float:
        return cost(architecture, classes=self._classes).flops / 8e9

    def expect(self, architecture) -> float:
        return self.measure(architecture) * (0.8 if int(architecture.key, 16) % 2 else 1.2)


def drive(folder: Path, chosen: NasSettings, trials: int, name: str = "toy", profiler: LatencyProfiler | None = None):
    run = new_run(folder, name)
    for status in search(run, TINY, chosen, Limits(trials), toy, InProcess(), profiler=profiler):
        last = status
    return from_csv(run.ranking.read_text()), last


def test_a_search_for_parameters_weighs_parameters(tmp_path):
    chosen = settings(target=160e3, measure="params")
    rows, _ = drive(tmp_path, chosen, 12)
    assert len(rows) == 12
    for row in rows:
        assert row.target_ratio == pytest.approx(row.params / 160e3)
        assert 0.9 <= row.target_ratio <= 1.1
        assert row.reward == pytest.approx(row.accuracy * (row.params / 160e3) ** -0.07)
    front = [row for row in rows if row.pareto]
    assert all(not (other.params <= row.params and other.accuracy > row.accuracy) for row in front for other in rows)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_what_is_trained_is_within_the_window_by_its_measured_latency(tmp_path, sampler):
    chosen = settings(target=1e-3, measure="latency", latency=LATENCY, sampler=sampler, window=(0.8, 1.1))
    rows, status = drive(tmp_path, chosen, 8, profiler=Formula(LATENCY, 1000))
    assert len(rows) == 8
    for row in rows:
        assert row.latency == pytest.approx(row.flops / 8e9)
        assert row.target_ratio == pytest.approx(row.latency / 1e-3)
        assert 0.8 <= row.target_ratio <= 1.1
        assert row.reward == pytest.approx(row.accuracy * (row.latency / 1e-3) ** -0.07)
    assert {record.candidate.latency for record in status.records} == {row.latency for row in rows}


def test_limits_hold_besides_the_target(tmp_path):
    limits = {"max_params": 170e3, "max_latency": 0.9e-3}
    chosen = settings(**limits, latency=LATENCY)
    rows, _ = drive(tmp_path, chosen, 10, profiler=Formula(LATENCY, 1000))
    free, _ = drive(tmp_path, settings(), 10, "free")
    assert all(row.params <= 170e3 and row.latency <= 0.9e-3 and 0.9 <= row.flops / 8e6 <= 1.1 for row in rows)
    assert any(row.params > 170e3 for row in free)
    assert any(row.flops > 7.2e6 for row in free)


def test_a_stopped_search_for_latency_goes_on_with_what_it_had_measured(tmp_path):
    chosen = settings(target=1e-3, measure="latency", latency=LATENCY)
    whole, _ = drive(tmp_path, chosen, 10, "whole", Formula(LATENCY, 1000))
    run = new_run(tmp_path, "stopped")
    for trials in (4, 10):
        profiler = Formula(LATENCY, 1000)
        for _ in search(run, TINY, chosen, Limits(trials), toy, InProcess(), profiler=profiler):
            pass
    stopped = from_csv(run.ranking.read_text())
    assert {row.key for row in stopped} == {row.key for row in whole}


class Fickle(Formula):
    """A machine that was quick while the sample was measured, and is slow since."""

    def _measure(self, architecture) -> float:
        return 4 * super()._measure(architecture)

    def expect(self, architecture) -> float:
        return super()._measure(architecture)


@pytest.mark.parametrize("sampler", ["auto", "random", "tpe"])
def test_measurements_that_refuse_everything_end_a_search_soon(tmp_path, sampler):
    chosen = settings(target=1e-3, measure="latency", latency=LATENCY, sampler=sampler, window=(0.9, 1.1))
    profiler = Fickle(LATENCY, 1000)
    rows, status = drive(tmp_path, chosen, 8, profiler=profiler)
    assert not rows
    assert "outside the limits when they were measured; widen the window or the limits" in status.problem
    assert len(profiler._known) <= 25


class Failing(Formula):
    """Cannot measure every third network, and says so once for each."""

    tries = 0

    def __init__(self, share: int) -> None:
        super().__init__(LATENCY, 1000)
        self.share, self._model = share, fit_latency(SAMPLE, [1.0] * len(SAMPLE), 1000)

    def _measure(self, architecture) -> float:
        self.tries += 1
        if int(architecture.key, 16) % self.share == 0:
            raise RunError("out of memory")
        return super()._measure(architecture)

    def expect(self, architecture) -> float:
        return cost(architecture, classes=self._classes).flops / 8e9


RNG = random.Random(0)
SAMPLE = [TINY.decode(TINY.sample(RNG)) for _ in range(LEAST)]


def test_a_network_that_cannot_be_measured_is_not_trained_and_ends_nothing(tmp_path):
    chosen = settings(target=1e-3, measure="latency", latency=LATENCY, window=(0.5, 1.25))
    profiler = Failing(3)
    rows, status = drive(tmp_path, chosen, 12, profiler=profiler)
    assert status.problem is None
    assert len(rows) == 12
    assert all(int(row.key, 16) % 3 for row in rows)
    assert "null" in profiler.document()


def test_a_machine_on_which_nothing_can_be_measured_ends_the_search_in_one_line(tmp_path):
    chosen = settings(target=1e-3, measure="latency", latency=LATENCY)
    with pytest.raises(RunError, match="out of memory"):
        drive(tmp_path, chosen, 12, profiler=Failing(1))


@pytest.mark.parametrize(
    ("name", "value"),
    [("finalists", "x"), ("repeats", "x"), ("warm_start", 3), ("window", "ab"), ("window", [1.0]), ("rungs", ["x"])],
)
def test_settings_of_a_stranger_are_refused_in_one_line(name, value):
    with pytest.raises(EffsearchError) as error:
        from_document("nas", {**to_document(settings()), name: value})
    assert "\n" not in str(error.value)


def test_settings_with_limits_are_read_back_and_told_apart():
    chosen = settings(max_params=5e6, max_latency=0.02, latency=LATENCY, measure="params", target=4e6)
    assert from_document("nas", to_document(chosen)) == chosen
    partly = to_document(chosen)
    del partly["seed"], partly["proxy"]["recipe"]["momentum"]
    assert differences(from_document("nas", partly), chosen) == []
    said = differences(settings(), settings(max_params=5e6))
    assert said == ["max_params is not set, not 5000000.0"]
    assert "limits" not in to_document(chosen)


def test_the_allowance_is_said_with_units():
    chosen = settings(target=0.02, measure="latency", latency=LATENCY, max_params=5e6)
    assert chosen.constraints == "18 to 22 ms, at most 5M parameters"
    assert chosen.score.formula == "ACC x (LAT/T)^-0.07"
    assert chosen.score.aim == "20 ms"
    assert settings(window=None).constraints == "any FLOPs"


def test_a_target_of_another_measure_is_refused():
    with pytest.raises(
        QuantityError, match="the measure of a target must be one of flops, params, latency, got 'watts'"
    ):
        settings(measure="watts")


def test_an_unmeasured_latency_has_no_reward():
    chosen = settings(target=1e-3, measure="latency", latency=LATENCY)
    network = TINY.decode(next(iter(TINY.walk())))
    with pytest.raises(QuantityError, match="latency of a network is not known"):
        Budget(chosen).measured_cost(network)

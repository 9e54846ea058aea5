"""Searches that aim at parameters or at latency, and what no network may exceed."""

from pathlib import Path

import pytest
from toys import TINY, InProcess, new_run, settings, toy

from effsearch.cost import cost
from effsearch.errors import QuantityError
from effsearch.evaluation.conditions import LatencyConditions
from effsearch.runs.meter import Meter
from effsearch.runs.ranking import from_csv
from effsearch.search.budget import Budget
from effsearch.search.nas import search
from effsearch.search.samplers import SAMPLERS
from effsearch.search.settings import Limits, NasSettings

LATENCY = LatencyConditions(name="a processor")


class Formula(Meter):
    """Latencies of 1 ms for 8 MFLOPs, which a model of the sample is 20 % off, this or that way by the key."""

    def _measure(self, architecture) -> float:
        return cost(architecture, classes=self._classes).flops / 8e9

    def expect(self, architecture) -> float:
        return self.measure(architecture) * (0.8 if int(architecture.key, 16) % 2 else 1.2)


def drive(folder: Path, chosen: NasSettings, trials: int, name: str = "toy", meter: Meter | None = None):
    run = new_run(folder, name)
    for status in search(run, TINY, chosen, Limits(trials), toy, InProcess(), meter=meter):
        last = status
    return from_csv(run.ranking.read_text()), last


def test_a_search_for_parameters_weighs_parameters(tmp_path):
    chosen = settings(target=160e3, measure="params")
    rows, _ = drive(tmp_path, chosen, 12)
    assert len(rows) == 12
    for row in rows:
        assert row.target_ratio == pytest.approx(row.params / 160e3)
        assert 0.5 <= row.target_ratio <= 1.25
        assert row.reward == pytest.approx(row.accuracy * (row.params / 160e3) ** -0.07)
    front = [row for row in rows if row.pareto]
    assert all(not (other.params <= row.params and other.accuracy > row.accuracy) for row in front for other in rows)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_what_is_trained_is_within_the_window_by_its_measured_latency(tmp_path, sampler):
    chosen = settings(target=1e-3, measure="latency", latency=LATENCY, sampler=sampler, window=(0.8, 1.1))
    rows, status = drive(tmp_path, chosen, 8, meter=Formula(LATENCY, 1000))
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
    rows, _ = drive(tmp_path, chosen, 10, meter=Formula(LATENCY, 1000))
    free, _ = drive(tmp_path, settings(), 10, "free")
    assert all(row.params <= 170e3 and row.latency <= 0.9e-3 and 0.5 <= row.flops / 8e6 <= 1.25 for row in rows)
    assert any(row.params > 170e3 for row in free)
    assert any(row.flops > 7.2e6 for row in free)


def test_a_stopped_search_for_latency_goes_on_with_what_it_had_measured(tmp_path):
    chosen = settings(target=1e-3, measure="latency", latency=LATENCY)
    whole, _ = drive(tmp_path, chosen, 10, "whole", Formula(LATENCY, 1000))
    run, meter = new_run(tmp_path, "stopped"), Formula(LATENCY, 1000)
    for trials in (4, 10):
        for _ in search(run, TINY, chosen, Limits(trials), toy, InProcess(), meter=meter):
            pass
    stopped = from_csv(run.ranking.read_text())
    assert {row.key for row in stopped} == {row.key for row in whole}


def test_settings_with_limits_are_read_back_and_told_apart():
    chosen = settings(max_params=5e6, max_latency=0.02, latency=LATENCY, measure="params", target=4e6)
    assert NasSettings.from_dict(chosen.to_dict()) == chosen
    said = settings().differences(settings(max_params=5e6))
    assert said == ["max_params is not set, not 5000000.0"]
    assert "limits" not in chosen.to_dict()


def test_the_allowance_is_said_with_units():
    chosen = settings(target=0.02, measure="latency", latency=LATENCY, max_params=5e6)
    assert chosen.allowance == "10 to 25 ms, at most 5M parameters"
    assert chosen.score.formula == "ACC x (LAT/T)^-0.07"
    assert chosen.score.aim == "20 ms"
    assert settings(window=None).allowance == "any FLOPs"


def test_a_target_of_another_measure_is_refused():
    with pytest.raises(
        QuantityError, match="the measure of a target must be one of flops, params, latency, got 'watts'"
    ):
        settings(measure="watts")


def test_an_unmeasured_latency_has_no_reward():
    chosen = settings(target=1e-3, measure="latency", latency=LATENCY)
    network = TINY.decode(next(iter(TINY.walk())))
    with pytest.raises(QuantityError, match="latency of a network is not known"):
        Budget(chosen).cost(network)

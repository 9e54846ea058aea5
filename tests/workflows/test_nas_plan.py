"""Which proxy a search is given by the time that it has."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from effsearch import space
from effsearch.data import count_images
from effsearch.engine.search_problems import NasProblem
from effsearch.errors import DataError
from effsearch.evaluation import PROXIES, QUICK, STANDARD, Proxy
from effsearch.evaluation.proxy import FIDELITY, Speed
from effsearch.runs.settings import NasSettings
from effsearch.workflows import nas_plan, proxy_choice
from effsearch.workflows.common import Listener
from effsearch.workflows.nas_plan import LEAST, MOST, Plan, Planner, announce
from effsearch.workflows.proxy_choice import MARGIN
from effsearch.workflows.request import SearchRequest

MBCONV = space.load("mbconv").at(224)
FAST = 700.0  # images a second of a training by `quick`


def settings_by(proxy: Proxy) -> NasSettings:
    return NasSettings(space="mbconv", target=4e8, resolution=224, data="scenes", proxy=proxy)


@pytest.fixture
def measured(monkeypatch) -> list[Proxy]:
    """The proxies whose speed was measured, on a machine whose speed goes with pixels and channels."""
    asked: list[Proxy] = []

    def speeds_of(networks: Sequence[Any], listener: Listener) -> list[Speed]:
        proxy = networks[0][1]
        asked.append(proxy)
        seconds = (proxy.resolution / QUICK.resolution) ** 2 * proxy.width / QUICK.width / FAST
        return [Speed(seconds, seconds / 3)] * len(networks)

    monkeypatch.setattr(nas_plan, "speeds_of", speeds_of)
    monkeypatch.setattr(nas_plan, "workers_here", lambda workers: (2, "2 workers"))
    monkeypatch.setattr(nas_plan, "gpus", lambda: False)
    monkeypatch.setattr(proxy_choice, "gpus", lambda: False)
    monkeypatch.setattr(nas_plan, "count_images", lambda data: (10**6, 10**6))
    return asked


def planned(measure: bool = False, **asked: Any) -> Plan:
    return Planner(SearchRequest(**asked), MBCONV, settings_by, Listener()).plan(measure)


def seconds(proxy: Proxy, trials: int) -> float:
    """What a search takes on two workers of that machine."""
    factor = (proxy.resolution / QUICK.resolution) ** 2 * proxy.width / QUICK.width / FAST
    return NasProblem(MBCONV, settings_by(proxy), trials).planned_seconds(factor, factor / 3, 2)


def test_without_a_time_limit_a_search_on_a_cpu_gets_ten_minutes(measured):
    plan = planned()
    assert (plan.settings.proxy, plan.trials, plan.budget) == (QUICK, LEAST, 600)
    assert plan.seconds == pytest.approx(seconds(QUICK, LEAST))
    assert plan.beyond is not None
    assert plan.beyond[0] == STANDARD


def test_on_a_gpu_it_gets_an_hour(measured, monkeypatch):
    monkeypatch.setattr(nas_plan, "gpus", lambda: True)
    assert planned().budget == 3600


@pytest.mark.parametrize("hours", [0.3, 0.6, 1, 3, 10, 40, 200, 3000])
def test_the_largest_preset_that_fits_is_taken_with_as_many_networks_as_fit(measured, hours):
    plan = planned(seconds=3600 * hours)
    fitting = [proxy for proxy in PROXIES.values() if seconds(proxy, LEAST) <= MARGIN * 3600 * hours]
    assert plan.settings.proxy == fitting[-1]
    assert LEAST <= plan.trials <= MOST
    assert plan.seconds == pytest.approx(seconds(fitting[-1], plan.trials))
    assert plan.trials == MOST or seconds(fitting[-1], plan.trials + 1) > MARGIN * 3600 * hours
    assert (plan.beyond is None) == (fitting[-1] is list(PROXIES.values())[-1])


def test_what_cannot_fit_at_the_least_time_is_not_measured(measured):
    planned(seconds=60)
    assert measured == [QUICK]


def test_a_limit_that_is_too_short_takes_the_smallest_and_says_so(measured):
    plan = planned(seconds=60)
    assert (plan.settings.proxy, plan.trials) == (QUICK, LEAST)
    assert "quick is the smallest proxy, and takes longer than 1 min" in said(plan)


def test_the_number_of_networks_that_is_asked_for_is_kept(measured):
    plan = planned(trials=7, seconds=3600.0)
    assert plan.trials == 7
    assert seconds(plan.settings.proxy, 7) <= MARGIN * 3600


def test_a_set_with_few_images_affords_a_larger_preset(measured, monkeypatch):
    before = planned(seconds=7200.0).settings.proxy
    monkeypatch.setattr(nas_plan, "count_images", lambda data: (800, 200))
    names = list(PROXIES)
    assert names.index(planned(seconds=7200.0).settings.proxy.name) > names.index(before.name)


@pytest.mark.parametrize("asked", [{"proxy": "standard"}, {"changes": {"epochs": 3}}])
def test_what_is_asked_for_is_not_chosen_and_measured_for_a_plan_alone(measured, asked):
    assert planned(**asked).seconds is None
    assert measured == []
    assert planned(measure=True, **asked).seconds is not None


def test_auto_takes_changes_of_every_preset(measured):
    changed = Planner(
        SearchRequest(proxy="auto", changes={"epochs": 1}, seconds=1200.0),
        MBCONV,
        lambda preset: settings_by(replace(preset, epochs=1)),
        Listener(),
    ).plan(measure=False)
    assert changed.settings.proxy.epochs == 1
    assert changed.settings.proxy.name != "quick"


def test_a_wrong_set_is_found_before_anything_is_measured(measured, monkeypatch):
    monkeypatch.setattr(nas_plan, "count_images", count_images)
    with pytest.raises(DataError, match="did you mean scenes"):
        Planner(SearchRequest(), MBCONV, lambda preset: replace(settings_by(preset), data="sceens"), Listener()).plan(
            measure=True
        )
    assert measured == []


def test_the_plan_says_what_was_chosen_and_what_does_not_fit(measured):
    text = said(planned())
    assert "20 architectures on 2 workers, then B0 under 3 seeds, and up to 6 more trainings" in text
    assert "quick is the largest proxy with which it fits into 10 min" in text
    assert "(standard takes" in text
    taus = " and ".join(map(str, FIDELITY["quick"]))
    assert f"one training by quick ranks networks of equal FLOPs as a long one does with Kendall tau {taus}" in text
    other = replace(planned(), settings=settings_by(replace(QUICK, epochs=2)))
    assert "ranks networks as a long training does was not measured" in said(other)


def said(plan: Plan) -> str:
    lines: list[str] = []

    class Keeping(Listener):
        def note(self, line: str, style: str = "") -> None:
            lines.append(line)

    announce(plan, NasProblem(MBCONV, plan.settings, plan.trials), "2 workers", Keeping())
    return "\n".join(lines)

"""What a grid plans for the time that it has, on a machine whose trainings take a known time."""

import pytest

from effsearch.engine.surface_problem import LEAST_TRAININGS, SurfaceProblem
from effsearch.evaluation import QUICK
from effsearch.evaluation.proxy import OVERHEAD, Forecast
from effsearch.families import EFFICIENTNET_B0
from effsearch.scaling import AXES
from effsearch.workflows import grid, proxy_choice
from effsearch.workflows.common import Listener
from effsearch.workflows.request import GridRequest

IMAGES = QUICK.epochs * QUICK.train_images + QUICK.validation_images


class Lines(Listener):
    """Keeps what is said."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def note(self, line: str, style: str = "") -> None:
        self.lines.append(line)


@pytest.fixture
def machine(monkeypatch) -> None:
    """Each training by `quick` takes 75 seconds, on two workers."""
    image = (75 - OVERHEAD) / IMAGES
    forecast = Forecast(EFFICIENTNET_B0, image, image, dict.fromkeys(AXES, 0.0))
    monkeypatch.setattr(proxy_choice, "gpus", lambda: ())
    monkeypatch.setattr(grid, "gpus", lambda: ())
    monkeypatch.setattr(grid, "count_images", lambda data: (10**6, 10**6))
    monkeypatch.setattr(grid, "measure_speed", lambda *about: forecast)
    monkeypatch.setattr(grid, "workers_here", lambda workers: (2, "2 workers"))


def planned(**asked) -> tuple[int, str, str]:
    """The most trainings, and the lines on the time and on what can be told."""
    told = Lines()
    plan = grid.make_plan(GridRequest(**asked), told)
    grid.summarise(plan, told)
    assert isinstance(plan.problem, SurfaceProblem)
    return plan.problem.trials, told.lines[2], told.lines[3]


def test_an_hour_is_filled_by_default(machine):
    trials, time, told = planned()
    assert trials == 96
    assert time == (
        "at most 96 trainings of about 1 min 15 s, 1 h 00 min on 2 workers; "
        "ends earlier once alpha, beta and gamma are each known to a third of their range"
    )
    assert told.startswith("can tell directions of growth apart that differ by about 1.")
    assert told.endswith(" points of accuracy, if the sd between seeds is 1 point")


def test_a_time_limit_is_a_budget(machine):
    trials, time, _ = planned(seconds=7200.0, proxy="quick")
    assert trials == 192
    assert "192 trainings of about 1 min 15 s, 2 h 00 min on" in time
    trials, time, _ = planned(seconds=300.0)
    assert trials == LEAST_TRAININGS
    assert "at most 18 trainings of about 1 min 15 s, of which about 8 fit into 5 min 00 s on 2 workers" in time


def test_trials_set_the_number_and_a_time_limit_how_many_of_them_fit(machine):
    assert planned(trials=40)[0] == 40
    assert "at most 40 trainings of about 1 min 15 s, 25 min 00 s on" in planned(trials=40)[1]
    assert "of which about 16 fit into 10 min 00 s" in planned(trials=40, seconds=600.0)[1]


def test_with_more_time_a_larger_preset_trains_enough_networks(machine):
    def proxy_in(hours: float, **asked) -> str:
        return grid.make_plan(GridRequest(seconds=3600 * hours, **asked), Lines()).problem.settings.proxy.name

    assert proxy_in(0.1) == proxy_in(1.0) == "quick"
    assert proxy_in(4.0) == "standard"
    assert proxy_in(4.0, proxy="quick") == "quick"
    assert proxy_in(4.0, changes={"epochs": 4}) == "quick"
    assert proxy_in(1.0, trials=15) == "standard"


def test_more_trainings_tell_smaller_differences(machine):
    def points(seconds: float) -> float:
        return float(planned(seconds=seconds)[2].partition("about ")[2].partition(" ")[0])

    assert points(40_000.0) < points(7200.0) < points(1800.0) < points(300.0)


def test_halving_is_planned_in_epochs(machine):
    told = Lines()
    plan = grid.make_plan(GridRequest(settings={"method": "halving"}), told)
    grid.summarise(plan, told)
    assert "epochs in all, about" in told.lines[2]
    assert not any("can tell" in line for line in told.lines)

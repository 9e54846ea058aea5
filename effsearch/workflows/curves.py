"""The curves of growth: every network that a baseline grows into along each axis is trained, and drawn."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from effsearch.data import count_images
from effsearch.engine.growth_problems import CurvesProblem
from effsearch.errors import RunError
from effsearch.evaluation import Proxy
from effsearch.evaluation.proxy import Forecast
from effsearch.reports.growth_curves import CURVES_CAPTION, curve_points, curves_table
from effsearch.reports.pictures import write_curves
from effsearch.runs.folder import Run
from effsearch.runs.manifest import Limits
from effsearch.runs.settings import CurvesSettings
from effsearch.scaling import Multipliers, grow
from effsearch.text import counted, format_duration
from effsearch.workflows import common
from effsearch.workflows.common import Listener, Outcome, Session, never
from effsearch.workflows.machine import begin, continue_on, measure_speed, packed_side, training_session, workers_here
from effsearch.workflows.proxy_choice import HOUR, choose, default_proxy
from effsearch.workflows.request import GrowthRequest


def train_curves(request: GrowthRequest, listener: Listener, stopping: Callable[[], bool] = never) -> Outcome:
    """Makes or continues a run, drives it, and draws it; raises EffsearchError before anything is written."""
    request.check_limits()
    existing = request.existing()
    session = _begin(request, listener) if existing is None else _continue(request, existing, listener)
    return common.run_session(session, listener, stopping, write_curves)


def plan_curves(request: GrowthRequest, listener: Listener) -> None:
    """Shows the networks of all curves, and says how long their training may take."""
    request.check_limits()
    problem, forecast = make_plan(request, listener)
    settings = problem.settings
    listener.table(curves_table(curve_points(settings, ()), None), f"what {settings.name} grows into")
    listener.note(CURVES_CAPTION, "dim")
    summarise(problem, forecast, *workers_here(request.workers), listener)


def make_plan(request: GrowthRequest, listener: Listener) -> tuple[CurvesProblem, Forecast]:
    """What is to be trained, and how fast this machine is; raises EffsearchError."""
    defaults: dict[str, Any] = {"data": "scenes", "proxy": request.proxy_from(default_proxy())}
    settings = CurvesSettings(**request.named_baseline() | defaults | dict(request.settings))
    baseline, images = settings.architecture, count_images(settings.data)
    for network, _ in settings.networks().values():  # Complains of what cannot be built before anything is measured.
        settings.proxy.shrink(network)
    alone = {"depth": 2.0, "width": 2**0.5, "resolution": 2**0.5}
    timed = {"baseline": baseline} | {axis: grow(baseline, Multipliers(**{axis: by})) for axis, by in alone.items()}

    def measure(proxy: Proxy) -> Forecast:
        return measure_speed(baseline, timed, proxy, listener)

    def seconds(proxy: Proxy, forecast: Forecast) -> float:
        problem = CurvesProblem(replace(settings, proxy=proxy.limited(images)))
        return problem.planned_seconds(forecast, workers_here(request.workers)[0])

    choice = choose(request, request.seconds or HOUR, measure, seconds)
    return CurvesProblem(replace(settings, proxy=choice.proxy)), choice.speed


def summarise(problem: CurvesProblem, forecast: Forecast, at_once: int, where: str, listener: Listener) -> None:
    """Says what is trained, and how long it may take."""
    settings = problem.settings
    took = format_duration(problem.planned_seconds(forecast, at_once))
    listener.note(
        f"{counted(len(settings.curves), 'curve')} through {counted(len(problem.candidates), 'distinct network')} "
        f"grown from {settings.name}, each under {counted(settings.repeats, 'seed')}: about {took} on {where}, "
        "from a short measurement"
    )


def _begin(request: GrowthRequest, listener: Listener) -> Session:
    problem, forecast = make_plan(request, listener)
    run, started = begin(request, "curves", "curves", problem, Limits(), listener)
    listener.note(common.describe_data(started.images, problem.settings.proxy))
    summarise(problem, forecast, started.at_once, started.words, listener)
    return training_session(request, run, problem, started)


def _continue(request: GrowthRequest, run: Run, listener: Listener) -> Session:
    run, manifest, stored = common.reopen(request, run, "curves", CurvesSettings)
    if (wrote := manifest.run.versions.get("effsearch", "")).startswith("0.1."):
        raise RunError(
            f"run {run.name} is of effsearch {wrote}, which kept multipliers as coefficients: show, plot and report "
            "read it, but it cannot be continued; begin another by --run NAME"
        )
    baseline = {} if request.baseline is None else {"baseline": request.named_baseline()["baseline"]}
    wanted = replace(stored, **baseline | {"proxy": request.proxy_from(stored.proxy)} | dict(request.settings))
    common.refuse_changes(run, stored, replace(wanted, data=stored.data))
    problem = CurvesProblem(stored)
    started = continue_on(request, run, manifest, wanted.data, packed_side(problem), listener)
    common.announce(run, listener)
    return training_session(request, run, problem, started)

"""`effsearch curves`: makes or continues a run, drives it, and draws what it found."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import typer
from rich.console import Console

from effsearch.cli.arguments import check_limits, resolve
from effsearch.cli.cluster import Cluster
from effsearch.cli.progress import Progress
from effsearch.cli.session import (
    about_images,
    check_images,
    check_kind,
    create_stored,
    describe_proxy,
    existing_run,
    free_name,
    is_finished,
    pack,
    proxy_named,
    refuse_changes,
    watch,
)
from effsearch.cli.speed import measure
from effsearch.cli.stop import StopRequest
from effsearch.cli.workers import Started, go_on, start
from effsearch.evaluation import Proxy
from effsearch.evaluation.devices import gpus
from effsearch.evaluation.proxy_training import ProxyTraining
from effsearch.executors.local import child
from effsearch.report import ranking_table as ranked
from effsearch.report.growth_curves import print_curves
from effsearch.report.pictures import write_files
from effsearch.report.text_table import console
from effsearch.runs.folder import Run, environment
from effsearch.runs.storage import stored as stored_run
from effsearch.scaling import Multipliers, grow
from effsearch.search.curves_problem import CurvesProblem, CurvesSettings
from effsearch.search.driver import drive
from effsearch.text import counted, format_duration


@dataclass(frozen=True)
class CurvesRequest:
    """What was asked for on the command line, and only that: the rest is the run's own, or a default."""

    baseline: str | None
    asked: Mapping[str, Any]
    proxy: str | None
    proxy_changes: Mapping[str, Any]
    seconds: float | None
    workers: int | None
    cluster: Cluster | None
    storage: str | None
    run: str | None
    resume: str | None
    device_change: bool
    results: Path


def execute(request: CurvesRequest) -> None:
    """Drives a run to its end, and prints and draws it; exits with 1 if no training succeeded."""
    out = console()
    check_limits(None, request.workers)
    existing = existing_run(request.run, request.resume, request.results)
    run, problem, images, started = _begin(request, out) if existing is None else _continue(request, existing, out)
    settings = problem.settings
    with run.held():
        evaluator = ProxyTraining(
            settings.proxy,
            images,
            device=started.where.device,
            baseline_resolution=settings.architecture.resolution,
        )
        stop, progress = StopRequest(), Progress(out, problem.score, request.seconds)
        steps = drive(run, problem, evaluator, started.executor, request.seconds, stop)
        status = watch(steps, stop, progress)
        rows = ranked.read(run)
        done = any(row.rank is not None for row in rows)
        files = write_files(run, rows) if done else []
    where = "" if request.results == Path("results") else f" --results {request.results}"
    if done:
        out.print()
        print_curves(run, rows)
    if status.problem is not None:
        out.print(f"the search ended early: {status.problem}", style="red")
    for path in files:
        out.print(f"wrote {path}")
    took = format_duration(status.seconds)
    if stop.asked:
        out.print(f"stopped after {took}; go on with: effsearch curves --resume {run.name}{where}")
        raise typer.Exit(130)
    if done and not is_finished(problem, status):
        out.print(f"the time was up; go on with: effsearch curves --resume {run.name}{where}", style="yellow")
    out.print(f"took {took}" if done else f"no training has finished in {took}")
    if not done:
        raise typer.Exit(1)


def _begin(request: CurvesRequest, out: Console) -> tuple[Run, CurvesProblem, Path, Started]:
    architecture, name = resolve(request.baseline or "b0", request.results)
    proxy = replace(proxy_named(request.proxy), **request.proxy_changes)
    values: dict[str, Any] = {"data": "scenes", **request.asked}
    settings = CurvesSettings(architecture.notation, name, proxy=proxy, **values)
    problem = CurvesProblem(settings)
    for network, _ in settings.networks().values():  # Complains of what cannot be built before anything is measured.
        proxy.shrink(network)
    with out.status("measuring the speed of a few networks"), child() as ask:
        forecast = measure(ask, architecture, _timed(settings), proxy, bool(gpus()))
    images = pack(settings.data, _largest(settings), out)
    started = start(request.workers, request.cluster, images)
    manifest = {
        "run": {"kind": "curves", **environment(), **started.where.manifest()},
        "settings": settings.to_dict(),
        "data": about_images(images, proxy),
    }
    name_of_run = request.run or free_name(request.results, "curves")
    run = create_stored(request.results, name_of_run, manifest, request.storage)
    out.print(f"run {run.name} in {run.path.parent}/", style="bold")
    out.print(describe_proxy(images, proxy))
    took = format_duration(problem.planned_seconds(forecast, started.at_once))
    out.print(
        f"{counted(len(settings.curves), 'curve')} through {counted(len(problem.candidates), 'distinct network')} "
        f"grown from {name}, each under {counted(settings.repeats, 'seed')}: about {took} on {started.words}, "
        "from a short measurement"
    )
    return run, problem, images, started


def _continue(request: CurvesRequest, run: Run, out: Console) -> tuple[Run, CurvesProblem, Path, Started]:
    """Takes a run's own settings, and refuses what would give its trials another meaning."""
    manifest = run.manifest()
    check_kind(run, "curves")
    run = stored_run(run, manifest, request.storage)
    stored = CurvesSettings.from_dict(manifest.get("settings", {}))
    proxy: Proxy = stored.proxy if request.proxy is None else proxy_named(request.proxy)
    wanted = replace(stored, **{**request.asked, "proxy": replace(proxy, **request.proxy_changes)})
    if request.baseline is not None:
        wanted = replace(wanted, baseline=resolve(request.baseline, request.results)[0].notation)
    refuse_changes(run, stored.differences(replace(wanted, data=stored.data)))
    images = pack(wanted.data, _largest(stored), out)
    check_images(run, manifest, images, wanted.data)
    started = go_on(run, request.workers, request.cluster, images, request.device_change)
    return run, CurvesProblem(stored), images, started


def _timed(settings: CurvesSettings) -> dict[str, Any]:
    baseline = settings.architecture
    alone = {
        axis: Multipliers(**{axis: 2.0 if axis == "depth" else 2**0.5}) for axis in ("depth", "width", "resolution")
    }
    return {"baseline": baseline} | {axis: grow(baseline, by) for axis, by in alone.items()}


def _largest(settings: CurvesSettings) -> int:
    """The px at which images are packed: those of the network with the most."""
    most = max(network.resolution for network, _ in settings.networks().values())
    return settings.proxy.scaled(most / settings.architecture.resolution).resolution

"""`effsearch nas`: drives a run, shows how it goes, and says what it found."""

from dataclasses import replace
from pathlib import Path

import typer
from rich.console import Console

from effsearch.cli.nas_session import TIMED, Request, Session, open_session
from effsearch.cli.progress import Progress
from effsearch.cli.session import describe_proxy, watch
from effsearch.cli.stop import StopRequest
from effsearch.cost import cost
from effsearch.evaluation.evaluation import predicted
from effsearch.evaluation.proxy_training import ProxyTraining
from effsearch.executors.local import Executor, InlineExecutor
from effsearch.families import EFFICIENTNET_B0
from effsearch.report import ranking_table as ranked
from effsearch.report.summary import print_ranking
from effsearch.report.text_table import console
from effsearch.runs.ranking import Row
from effsearch.search.driver import Evaluator, Status
from effsearch.search.nas_problem import Budget, known_architectures, search
from effsearch.search.rungs import ETA
from effsearch.text import counted, format_count, format_duration

SHOWN = 20
"""Rows of the table at the end."""


def execute(request: Request) -> None:
    """Makes or continues a run, drives it, and prints what it found; exits with 1 if no training succeeded."""
    out = console()
    with open_session(request, out) as session, session.run.held():
        _announce(session, out)
        status, stopped = _drive(session, out)
    _conclude(session, status, stopped, request.results, out)


def _announce(session: Session, out: Console) -> None:
    settings, space, proxy = session.settings, session.space, session.settings.proxy
    known = known_architectures(space, Budget(settings, session.meter))
    repeated = f"the best {settings.finalists}" + (" and B0" if "b0" in known else "")
    begins = " that begins from predicted ImageNet accuracies" if settings.prior else ""
    out.print(f"run {session.run.name} in {session.run.path.parent}/", style="bold")
    out.print(
        f"space {space.name}: {space.size:.3g} architectures; target {settings.score.aim}, {settings.allowance} are "
        f"trained; {settings.sampler} sampler{begins}, seed {settings.seed}"
    )
    if session.meter is not None and settings.latency is not None:
        out.print(
            f"latency on {settings.latency.name}: measured of each network before it is trained, while trainings rest; "
            f"for the search predicted to {100 * session.meter.error:.0f} % (of {counted(TIMED, 'network')}, each left "
            "out in turn)"
        )
    if session.images is None or session.started is None:
        out.print(f"{counted(session.limits.trials, 'architecture')}, each predicted by the prior: nothing is trained")
        return
    out.print(describe_proxy(session.images, proxy))
    if settings.rungs:
        steps = ", ".join(map(str, settings.rungs[:-1]))
        out.print(f"rungs: after {steps} of {proxy.epochs} epochs the best 1 in {ETA} go on")
    out.print(
        f"{counted(session.limits.trials, 'architecture')} on {session.started.words}, then "
        f"{repeated} under {counted(settings.repeats, 'seed')} each"
    )


def _drive(session: Session, out: Console) -> tuple[Status, bool]:
    evaluator: Evaluator = predicted
    executor: Executor = InlineExecutor()
    if session.images is not None and session.started is not None:
        evaluator = ProxyTraining(session.settings.proxy, session.images, device=session.started.where.device)
        executor = session.started.executor
    stop, progress = StopRequest(), Progress(out, session.settings.score, session.limits.seconds)
    steps = search(
        session.run, session.space, session.settings, session.limits, evaluator, executor, stop, session.meter
    )
    return watch(steps, stop, progress), stop.asked


def _conclude(session: Session, status: Status, stopped: bool, results: Path, out: Console) -> None:
    rows = ranked.read(session.run)
    name = session.run.name
    where = "" if results == Path("results") else f" --results {results}"
    if any(row.rank is not None for row in rows):
        chosen = [row for row in rows if (row.rank or 0) <= SHOWN or row.source == "b0"]
        out.print()
        print_ranking(session.run, rows, chosen)
        out.print(_baseline_line(session, rows))
    if status.problem is not None:
        out.print(f"the search ended early: {status.problem}", style="red")
    if stopped:
        out.print(f"stopped after {format_duration(status.seconds)}; go on with: effsearch nas --resume {name}{where}")
        raise typer.Exit(130)
    if not any(row.rank is not None for row in rows):
        out.print(f"no training has finished in {format_duration(status.seconds)}", style="red")
        raise typer.Exit(1)
    out.print(f"took {format_duration(status.seconds)}; next:")
    out.print(f"  effsearch describe {name}:1{where}")
    out.print(f"  effsearch show {name}{where}")
    out.print(f"  effsearch nas --resume {name} --trials {2 * session.limits.trials}{where}")


def _baseline_line(session: Session, rows: list[Row]) -> str:
    """How B0 did, or why it has no row."""
    settings = session.settings
    b0 = replace(EFFICIENTNET_B0, resolution=settings.resolution)
    flops = format_count(cost(b0, classes=settings.classes).flops)
    row = next((row for row in rows if row.key == b0.key), None)
    if row is not None and row.rank is not None and row.accuracy is not None:
        return f"EfficientNet-B0 for comparison: rank {row.rank}, {100 * row.accuracy:.1f} %, {flops} FLOPs"
    if row is not None:
        return f"EfficientNet-B0 ({flops} FLOPs): {row.state}{f', {row.reason}' if row.reason else ''}"
    why = "outside the window or the limits" if session.space.contains(b0) else f"not in space {session.space.name}"
    return f"EfficientNet-B0 ({flops} FLOPs) is {why}: not trained"

"""`effsearch nas`: from what was asked for to a run that is driven to its end."""

import random
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import torch
import typer
from rich.console import Console

from effsearch.cli.progress import Progress
from effsearch.cli.stop import StopRequest
from effsearch.cost import cost, flops_range
from effsearch.data import PackedInfo, info, load, prepare, subset
from effsearch.errors import QuantityError, RunError, SpaceError, listed
from effsearch.evaluation import PROXIES, QUICK, STANDARD, Proxy, ProxyTraining
from effsearch.families import EFFICIENTNET_B0
from effsearch.quantities import counted, format_count, format_duration
from effsearch.report import ranked
from effsearch.report.summary import print_ranking
from effsearch.report.tables import console
from effsearch.runs.executor import MOST_WORKERS, LocalExecutor, cores
from effsearch.runs.folder import Run, check_name, create, environment, find
from effsearch.runs.ranking import Row
from effsearch.search.nas import Status, known_architectures, search
from effsearch.search.samplers import SAMPLERS
from effsearch.search.settings import Limits, NasSettings
from effsearch.space import Space
from effsearch.space import load as load_space
from effsearch.space import locate as locate_space

TRIALS = {"quick": 24, "standard": 60}
SHOWN = 20
DRAWS = 20_000
"""Random architectures that may miss the window before it is taken to be empty."""


@dataclass(frozen=True)
class Request:
    """What was asked for on the command line, and only that: the rest is the run's own, or a default."""

    asked: Mapping[str, Any]
    proxy: str | None
    proxy_changes: Mapping[str, Any]
    trials: int | None
    seconds: float | None
    workers: int | None
    run: str | None
    resume: str | None
    results: Path


@dataclass(frozen=True)
class Session:
    """A run that is ready to be driven."""

    run: Run
    space: Space
    settings: NasSettings
    limits: Limits
    images: Path


def execute(request: Request) -> None:
    """Makes or continues a run, drives it, and prints what it found; exits with 1 if no training succeeded."""
    torch.set_num_threads(1)
    out = console()
    _check(request)
    slots = _slots(request.workers)
    existing = _existing(request)
    session = _begin(request, out) if existing is None else _continue(request, existing, out)
    with session.run.held():
        _announce(session, slots, out)
        status, stopped = _drive(session, slots, out)
    _conclude(session, status, stopped, request.results, out)


def _check(request: Request) -> None:
    if request.trials is not None and not 1 <= request.trials <= 1_000_000:
        raise QuantityError(f"--trials must be from 1 to 1,000,000, got {request.trials}")
    if request.workers is not None and not 1 <= request.workers <= 256:
        raise QuantityError(f"--workers must be from 1 to 256, got {request.workers}")
    if request.run is not None and request.resume is not None:
        raise RunError("give --run or --resume, not both")
    if request.run is not None:
        check_name(request.run)
    if "sampler" in request.asked and request.asked["sampler"] not in SAMPLERS:
        raise QuantityError(f"--sampler must be one of {listed(SAMPLERS)}, got {request.asked['sampler']!r}")
    if request.proxy is not None and request.proxy not in PROXIES:
        raise QuantityError(f"--proxy must be one of {listed(PROXIES)}, got {request.proxy!r}")


def _existing(request: Request) -> Run | None:
    if request.resume is not None:
        return find(request.results, request.resume)
    if request.run is not None and (request.results / request.run / "run.toml").is_file():
        return Run(request.results / request.run)
    return None


def _apply(request: Request, base: NasSettings) -> NasSettings:
    """The settings `base` with what was asked for in place of its own."""
    proxy: Proxy = base.proxy if request.proxy is None else PROXIES[request.proxy]
    return replace(base, **{**request.asked, "proxy": replace(proxy, **request.proxy_changes)})


def _begin(request: Request, out: Console) -> Session:
    """Checks everything that was asked for, and only then makes the run's folder."""
    if "target_flops" not in request.asked:
        raise QuantityError("nas needs --target-flops, such as --target-flops 400M, or --resume RUN")
    file = locate_space(request.asked.get("space", "mbconv"))
    space = load_space(str(file))
    settings = _apply(
        request,
        NasSettings(
            space=space.name,
            target_flops=request.asked["target_flops"],
            resolution=_resolution(space, request.asked.get("resolution")),
            data="scenes",
            proxy=STANDARD if torch.cuda.is_available() else QUICK,
        ),
    )
    settings = replace(settings, space=space.name)
    space = space.at(settings.resolution)
    _check_window(space, settings)
    images = _pack(settings, out)
    limits = Limits(request.trials or TRIALS[settings.proxy.name], request.seconds)
    manifest = {
        "run": {"kind": "nas", **environment(), "device": _device()},
        "settings": settings.to_dict(),
        "limits": {name: value for name, value in asdict(limits).items() if value is not None},
        "data": _about(images, settings.proxy),
    }
    run = create(request.results, _name(request, settings), manifest, file.read_text(encoding="utf-8"))
    return Session(run, space, settings, limits, images)


def _continue(request: Request, run: Run, out: Console) -> Session:
    """Takes a run's own settings, and refuses what would give its trials another meaning."""
    manifest = run.manifest()
    stored = NasSettings.from_dict(manifest.get("settings", {}))
    wanted = _apply(request, stored)
    space = load_space(str(run.space))
    if "space" in request.asked:
        file = locate_space(request.asked["space"])
        same = file.read_text(encoding="utf-8") == run.space.read_text(encoding="utf-8")
        wanted = replace(wanted, space=file.stem if file.stem != stored.space or same else f"another {file.stem}")
    conflicts = stored.differences(replace(wanted, data=stored.data))
    if conflicts:
        raise RunError(
            f"run {run.name} was made with other settings: {'; '.join(conflicts)}; choose another --run name"
        )
    images = _pack(wanted, out)
    made_with, here = manifest.get("data", {}).get("digest"), info(images).digest
    if made_with != here:
        raise RunError(
            f"run {run.name} was made with other images: {stored.data} was {made_with}, {wanted.data} is {here}"
        )
    trials = request.trials or manifest.get("limits", {}).get("trials", TRIALS[stored.proxy.name])
    space = replace(space, name=stored.space).at(stored.resolution)
    return Session(run, space, stored, Limits(trials, request.seconds), images)


def _resolution(space: Space, asked: int | None) -> int:
    choices = space.choices("resolution")
    if asked is None and len(choices) > 1:
        raise SpaceError(f"space {space.name} leaves the resolution open; choose by --resolution: {listed(choices)}")
    return asked if asked is not None else int(choices[0])


def _check_window(space: Space, settings: NasSettings) -> None:
    """Raises SpaceError unless an architecture within the FLOPs window is found."""
    if settings.flops_window is None:
        return
    least, most = flops_range(space, settings.classes)
    low, high = (factor * settings.target_flops for factor in settings.flops_window)
    window = f"{format_count(low)} to {format_count(high)} FLOPs"
    if high < least or low > most:
        raise SpaceError(
            f"no architecture of space {space.name} has {window}: it spans {format_count(least)} to "
            f"{format_count(most)} at {settings.resolution} px"
        )
    rng = random.Random(settings.seed)
    if not known_architectures(space, settings) and not any(
        settings.feasible(space.decode(space.sample(rng))) for _ in range(DRAWS)
    ):
        raise SpaceError(
            f"none of {DRAWS:,} random architectures of space {space.name} has {window}; widen --flops-window"
        )


def _pack(settings: NasSettings, out: Console) -> Path:
    with out.status(f"packing {settings.data} at {settings.proxy.resolution} px"):
        images = prepare(settings.data, settings.proxy.resolution)
    about = info(images)
    if about.skipped:
        out.print(about.skipped_message(), style="yellow")
    return images


def _about(images: Path, proxy: Proxy) -> dict[str, Any]:
    about: PackedInfo = info(images)
    loaded = load(images)
    return {
        "name": about.name,
        "source": about.source,
        "digest": about.digest,
        "synthetic": about.synthetic,
        "classes": list(about.classes),
        "counts": dict(about.counts),
        "train": len(subset(loaded.train, proxy.train_images, 0)),
        "validation": len(subset(loaded.validation, proxy.validation_images, 0)),
    }


def _slots(workers: int | None) -> list[int | None]:
    """What each worker is pinned to: GPUs in turn, or a CPU thread."""
    gpus = torch.cuda.device_count()
    if gpus:
        return [worker % gpus for worker in range(workers or gpus)]
    return [None] * (workers or min(cores(), MOST_WORKERS))


def _device() -> str:
    if torch.cuda.is_available():
        return f"{torch.cuda.device_count()} x {torch.cuda.get_device_name(0)}"
    return f"CPU, {cores()} cores"


def _name(request: Request, settings: NasSettings) -> str:
    if request.run is not None:
        return request.run
    stem = f"nas-{format_count(settings.target_flops)}-{datetime.now():%Y%m%d-%H%M%S}"
    taken = {path.name for path in request.results.glob(f"{stem}*")}
    return next(name for name in (stem, *(f"{stem}-{n}" for n in range(2, 1000))) if name not in taken)


def _announce(session: Session, slots: list[int | None], out: Console) -> None:
    settings, space, proxy = session.settings, session.space, session.settings.proxy
    about = info(session.images)
    window = settings.flops_window
    limits = "any FLOPs" if window is None else " to ".join(format_count(f * settings.target_flops) for f in window)
    repeated = f"the best {settings.finalists}" + (" and B0" if "b0" in known_architectures(space, settings) else "")
    kind = "GPU" if slots[0] is not None else "CPU thread"
    out.print(f"run {session.run.name} in {session.run.path.parent}/", style="bold")
    out.print(
        f"space {space.name}: {space.size:.3g} architectures; target {format_count(settings.target_flops)} FLOPs, "
        f"{limits} are trained; {settings.sampler} sampler, seed {settings.seed}"
    )
    out.print(
        f"data {about.name}{' (synthetic images)' if about.synthetic else ''}, {len(about.classes)} classes; "
        f"{proxy.name} proxy: {proxy.resolution} px, channels x {proxy.width:g}, {counted(proxy.epochs, 'epoch')} of "
        f"at most {counted(proxy.train_images, 'image')}"
    )
    out.print(
        f"{counted(session.limits.trials, 'architecture')} on {counted(len(slots), 'worker')} (one {kind} each), then "
        f"{repeated} under {counted(settings.repeats, 'seed')} each"
    )


def _drive(session: Session, slots: list[int | None], out: Console) -> tuple[Status, bool]:
    evaluator = ProxyTraining(session.settings.proxy, session.images, device="cpu" if slots[0] is None else "cuda")
    executor = LocalExecutor(slots)
    status = None
    with StopRequest() as stop, Progress(out, session.settings, session.limits, len(slots)) as progress:
        steps = search(session.run, session.space, session.settings, session.limits, evaluator, executor, stop)
        for status in steps:
            progress.update(status)
    assert status is not None
    return status, stop.asked


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
    why = "outside the FLOPs window" if session.space.contains(b0) else f"not in space {session.space.name}"
    return f"EfficientNet-B0 ({flops} FLOPs) is {why}: not trained"

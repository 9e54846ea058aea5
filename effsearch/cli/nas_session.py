"""`effsearch nas`: from what was asked for to a run that is ready to be driven."""

import random
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from effsearch.cost import flops_range
from effsearch.data import PackedInfo, info, load, prepare, subset
from effsearch.errors import QuantityError, RunError, SpaceError, listed
from effsearch.evaluation import PROXIES, QUICK, STANDARD, Proxy
from effsearch.quantities import format_count
from effsearch.runs.executor import cores
from effsearch.runs.folder import Run, check_name, create, environment, find
from effsearch.search.nas import known_architectures
from effsearch.search.samplers import SAMPLERS
from effsearch.search.settings import Limits, NasSettings
from effsearch.space import Space
from effsearch.space import load as load_space
from effsearch.space import locate as locate_space

TRIALS = {"quick": 24, "standard": 60}
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


def open_session(request: Request, out: Console) -> Session:
    """Makes a new run or takes up an existing one; raises EffsearchError before anything is written."""
    _check(request)
    existing = _existing(request)
    return _begin(request, out) if existing is None else _continue(request, existing, out)


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

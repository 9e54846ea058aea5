"""`effsearch nas`: from what was asked for to a run that is ready to be driven."""

import random
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console

from effsearch.cli.arguments import check_limits
from effsearch.cli.cluster import Cluster
from effsearch.cli.nas_start import starts
from effsearch.cli.session import (
    about_images,
    check_images,
    create_stored,
    device,
    existing_run,
    free_name,
    pack,
    proxy_named,
    refuse_changes,
)
from effsearch.cli.workers import Started, start
from effsearch.cost import flops_range
from effsearch.errors import QuantityError, SpaceError, listed
from effsearch.evaluation import QUICK
from effsearch.prior import lies_in_skeleton
from effsearch.quantities import format_count
from effsearch.runs.folder import Run, environment
from effsearch.runs.storage import stored as stored_run
from effsearch.search.nas import known_architectures
from effsearch.search.samplers import SAMPLERS
from effsearch.search.settings import Limits, NasSettings
from effsearch.space import Space
from effsearch.space import load as load_space
from effsearch.space import locate as locate_space

RUNGS = {"standard": (1, 2, 8)}
"""Of the presets whose first epochs tell which networks deserve the others (docs/search.md)."""

TRIALS = {"quick": 24, "standard": 60, "prior": 200}
PREDICTED = "ImageNet (predicted)"
"""What stands in place of an image set where accuracies are predicted."""

FINALISTS = 5
"""With rungs, which leave time to train more networks again."""

DRAWS = 20_000
"""Random architectures that may miss the window before it is taken to be empty."""


@dataclass(frozen=True)
class Request:
    """What was asked for on the command line, and only that: the rest is the run's own, or a default."""

    asked: Mapping[str, Any]
    proxy: str | None
    proxy_changes: Mapping[str, Any]
    start: tuple[str, ...]
    trials: int | None
    seconds: float | None
    workers: int | None
    cluster: Cluster | None
    storage: str | None
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
    images: Path | None
    started: Started | None


def open_session(request: Request, out: Console) -> Session:
    """Makes a new run or takes up an existing one; raises EffsearchError before anything is written."""
    _check(request)
    existing = existing_run(request.run, request.resume, request.results)
    return _begin(request, out) if existing is None else _continue(request, existing, out)


def _check(request: Request) -> None:
    check_limits(request.trials, request.workers)
    if "sampler" in request.asked and request.asked["sampler"] not in SAMPLERS:
        raise QuantityError(f"--sampler must be one of {listed(SAMPLERS)}, got {request.asked['sampler']!r}")
    if request.proxy is not None:
        proxy_named(request.proxy)


def _apply(request: Request, base: NasSettings) -> NasSettings:
    """The settings `base` with what was asked for in place of its own."""
    proxy = base.proxy if request.proxy is None else proxy_named(request.proxy)
    return replace(base, **{**request.asked, "proxy": replace(proxy, **request.proxy_changes)})


def _begin(request: Request, out: Console) -> Session:
    """Checks everything that was asked for, and only then makes the run's folder."""
    if "target_flops" not in request.asked:
        raise QuantityError("nas needs --target-flops, such as --target-flops 400M, or --resume RUN")
    prior = request.asked.get("evaluator") == "prior"
    file = locate_space(request.asked.get("space", "b0" if prior else "mbconv"))
    space = load_space(str(file))
    settings = _apply(
        request,
        NasSettings(
            space=space.name,
            target_flops=request.asked["target_flops"],
            resolution=_resolution(space, request.asked.get("resolution")),
            data=PREDICTED if prior else "scenes",
            # A prediction has no noise, so nothing is repeated, and no proxy is used.
            proxy=QUICK if prior else proxy_named(None),
            repeats=1 if prior else 3,
        ),
    )
    settings = replace(settings, space=space.name)
    if "rungs" not in request.asked and "epochs" not in request.proxy_changes and not prior:
        settings = replace(settings, rungs=RUNGS.get(settings.proxy.name, ()))
    if settings.rungs:
        settings = replace(settings, finalists=FINALISTS)
    if prior:
        _check_predicted(request)
    space = space.at(settings.resolution)
    if prior or settings.prior:
        _check_skeleton(space)
    _check_window(space, settings)
    settings.proxy.check(space)
    settings = replace(settings, start=starts(request.start, space, settings, request.results))
    images = None if prior else pack(settings.data, settings.proxy.resolution, out)
    limits = Limits(request.trials or TRIALS["prior" if prior else settings.proxy.name], request.seconds)
    started = None if images is None else start(request.workers, request.cluster, images)
    manifest = {
        "run": {"kind": "nas", **environment(), "device": device()},
        "settings": settings.to_dict(),
        "limits": {name: value for name, value in asdict(limits).items() if value is not None},
        "data": {"name": PREDICTED} if images is None else about_images(images, settings.proxy),
    }
    name = request.run or free_name(request.results, f"nas-{format_count(settings.target_flops)}")
    files = {"space.toml": file.read_text(encoding="utf-8")}
    run = create_stored(request.results, name, manifest, request.storage, files)
    return Session(run, space, settings, limits, images, started)


def _continue(request: Request, run: Run, out: Console) -> Session:
    """Takes a run's own settings, and refuses what would give its trials another meaning."""
    manifest = run.manifest()
    run = stored_run(run, manifest, request.storage)
    stored = NasSettings.from_dict(manifest.get("settings", {}))
    wanted = _apply(request, stored)
    space = load_space(str(run.space))
    if "space" in request.asked:
        file = locate_space(request.asked["space"])
        same = file.read_text(encoding="utf-8") == run.space.read_text(encoding="utf-8")
        wanted = replace(wanted, space=file.stem if file.stem != stored.space or same else f"another {file.stem}")
    if request.start:
        wanted = replace(wanted, start=starts(request.start, space.at(stored.resolution), stored, request.results))
    refuse_changes(run, stored.differences(replace(wanted, data=stored.data)))
    images = None
    if stored.evaluator == "training":
        images = pack(wanted.data, wanted.proxy.resolution, out)
        check_images(run, manifest, images, wanted.data)
    trials = request.trials or manifest.get("limits", {}).get("trials", TRIALS[stored.proxy.name])
    space = replace(space, name=stored.space).at(stored.resolution)
    started = None if images is None else start(request.workers, request.cluster, images)
    return Session(run, space, stored, Limits(trials, request.seconds), images, started)


def _check_predicted(request: Request) -> None:
    """Raises a QuantityError for options that only a training has."""
    trained = [name for name in ("data", "rungs") if name in request.asked] + ["proxy"] * (request.proxy is not None)
    if trained or request.proxy_changes:
        given = listed([*trained, *request.proxy_changes])
        raise QuantityError(f"--evaluator prior trains nothing: leave out what a training has, got {given}")


def _check_skeleton(space: Space) -> None:
    """Raises a SpaceError unless the prior knows the space."""
    rng = random.Random(0)
    if not all(lies_in_skeleton(space.decode(space.sample(rng))) for _ in range(DRAWS // 100)):
        raise SpaceError(
            f"the prior knows only networks of EfficientNet-B0's skeleton at 224 px: use --space b0, got {space.name} "
            f"at {space.choices('resolution')[0]} px"
        )


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

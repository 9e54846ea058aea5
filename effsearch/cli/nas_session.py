"""`effsearch nas`: from what was asked for to a run that is ready to be driven."""

import math
import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from rich.console import Console

from effsearch.cli.arguments import check_limits
from effsearch.cli.budget import NO_TARGET, short
from effsearch.cli.cluster import Cluster
from effsearch.cli.machine import Where, gpus
from effsearch.cli.nas_start import starts
from effsearch.cli.session import (
    about_images,
    check_images,
    create_stored,
    existing_run,
    free_name,
    pack,
    processor,
    proxy_named,
    refuse_changes,
)
from effsearch.cli.workers import Started, go_on, start
from effsearch.cost import cost_range
from effsearch.errors import QuantityError, SpaceError, listed
from effsearch.evaluation import QUICK
from effsearch.executors.latency_profiler import Meter
from effsearch.prior import lies_in_skeleton
from effsearch.reward import format_cost
from effsearch.runs.folder import LATENCIES, Run, environment
from effsearch.runs.settings import LatencyConditions, Limits, NasSettings
from effsearch.runs.storage import stored as stored_run
from effsearch.search.nas_problem import Budget, known_architectures
from effsearch.search.samplers import SAMPLERS
from effsearch.space import Space
from effsearch.space import load as load_space
from effsearch.space import locate as locate_space
from effsearch.text import format_count

RUNGS = {"standard": (1, 2, 8)}
"""Of the presets whose first epochs tell which networks deserve the others (docs/search.md)."""

TRIALS = {"quick": 24, "standard": 60, "prior": 200}
PREDICTED = "ImageNet (predicted)"
"""What stands in place of an image set where accuracies are predicted."""

FINALISTS = 5
"""With rungs, which leave time to train more networks again."""

TIMED = 24
"""Networks whose latency is measured before a search, to predict that of the others."""

DRAWS = 20_000
"""Random architectures that may miss the window before it is taken to be empty."""


@dataclass(frozen=True)
class Request:
    """What was asked for on the command line, and only that: the rest is the run's own, or a default."""

    asked: Mapping[str, Any]
    proxy: str | None
    proxy_changes: Mapping[str, Any]
    latency: Mapping[str, Any]
    start: tuple[str, ...]
    trials: int | None
    seconds: float | None
    workers: int | None
    cluster: Cluster | None
    storage: str | None
    run: str | None
    resume: str | None
    device_change: bool
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
    meter: Meter | None


@contextmanager
def open_session(request: Request, out: Console) -> Iterator[Session]:
    """Makes a new run or takes up an existing one; raises EffsearchError before anything is written."""
    _check(request)
    existing = existing_run(request.run, request.resume, request.results)
    session = _begin(request, out) if existing is None else _continue(request, existing, out)
    try:
        yield session
    finally:
        if session.meter is not None:
            session.meter.close()


def _check(request: Request) -> None:
    check_limits(request.trials, request.workers)
    if "sampler" in request.asked and request.asked["sampler"] not in SAMPLERS:
        raise QuantityError(f"--sampler must be one of {listed(SAMPLERS)}, got {request.asked['sampler']!r}")
    if request.proxy is not None:
        proxy_named(request.proxy)


def _apply(request: Request, base: NasSettings) -> NasSettings:
    """The settings `base` with what was asked for in place of its own; raises QuantityError."""
    proxy = base.proxy if request.proxy is None else proxy_named(request.proxy)
    settings = replace(base, **{**request.asked, "proxy": replace(proxy, **request.proxy_changes)})
    if not settings.timed:
        if request.latency:
            options = listed(f"--latency-{name}" for name in request.latency)
            raise QuantityError(f"only a --target-latency or --max-latency takes {options}")
        return settings
    if request.cluster is not None:
        raise QuantityError("latency is measured on this machine with no training beside it: leave out --ray")
    stored = {} if base.latency is None else asdict(base.latency)
    conditions = LatencyConditions(**{"device": "cuda" if gpus() else "cpu", **stored, **request.latency})
    return replace(settings, latency=replace(conditions, name=processor(conditions.device)))


def _begin(request: Request, out: Console) -> Session:
    """Checks everything that was asked for, and only then makes the run's folder."""
    if "target" not in request.asked:
        raise QuantityError(NO_TARGET)
    prior = request.asked.get("evaluator") == "prior"
    file = locate_space(request.asked.get("space", "b0" if prior else "mbconv"))
    space = load_space(str(file))
    settings = _apply(
        request,
        NasSettings(
            space=space.name,
            target=request.asked["target"],
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
    if not settings.timed:
        _check_known(space, Budget(settings))
    images = None if prior else pack(settings.data, settings.proxy.resolution, out)
    meter = _measured(space, settings, out) if settings.timed else None
    try:
        return _make(request, space, settings, images, meter, file)
    except BaseException:
        if meter is not None:
            meter.close()
        raise


def _make(
    request: Request, space: Space, settings: NasSettings, images: Path | None, meter: Meter | None, file: Path
) -> Session:
    """The run's folder, once nothing is wrong with what was asked for."""
    prior = settings.evaluator == "prior"
    budget = Budget(settings, meter)
    if meter is not None:
        _check_known(space, budget)
    settings = replace(settings, start=starts(request.start, space, budget, request.results))
    limits = Limits(request.trials or TRIALS["prior" if prior else settings.proxy.name], request.seconds)
    started = None if images is None else start(request.workers, request.cluster, images)
    manifest = {
        "run": {"kind": "nas", **environment(), **(Where() if started is None else started.where).manifest()},
        "settings": settings.to_dict(),
        "limits": {name: value for name, value in asdict(limits).items() if value is not None},
        "data": {"name": PREDICTED} if images is None else about_images(images, settings.proxy),
    }
    name = request.run or free_name(request.results, f"nas-{short(settings.score)}")
    files = {"space.toml": file.read_text(encoding="utf-8")}
    if meter is not None:
        files[LATENCIES] = meter.document()
    run = create_stored(request.results, name, manifest, request.storage, files)
    if meter is not None:
        meter.file = run.path / LATENCIES
    return Session(run, space, settings, limits, images, started, meter)


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
    meter = None
    if stored.latency is not None:
        meter = Meter.read(stored.latency, stored.classes, run.path / LATENCIES)
    if request.start:
        budget = Budget(stored, meter)
        wanted = replace(wanted, start=starts(request.start, space.at(stored.resolution), budget, request.results))
    refuse_changes(run, stored.differences(replace(wanted, data=stored.data)))
    images = None
    if stored.evaluator == "training":
        images = pack(wanted.data, wanted.proxy.resolution, out)
        check_images(run, manifest, images, wanted.data)
    trials = request.trials or manifest.get("limits", {}).get("trials", TRIALS[stored.proxy.name])
    space = replace(space, name=stored.space).at(stored.resolution)
    started = None
    if images is not None:
        started = go_on(run, request.workers, request.cluster, images, request.device_change)
    return Session(run, space, stored, Limits(trials, request.seconds), images, started, meter)


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
    """Raises SpaceError where no architecture can be within the window and the limits, by what is known exactly."""
    exact: tuple[Literal["flops", "params"], ...] = ("flops", "params")
    for measure in exact:
        low, high = 0.0, settings.limits.get(measure, math.inf)
        if measure == settings.measure and settings.window is not None:
            low, high = settings.window[0] * settings.target, min(high, settings.window[1] * settings.target)
        if low == 0.0 and high == math.inf:
            continue
        least, most = cost_range(space, settings.classes, measure)
        if high < max(low, least) or low > most:
            raise SpaceError(
                f"no architecture of space {space.name} has {settings.allowance}: it spans "
                f"{format_count(least)} to {format_cost(most, measure)} at {settings.resolution} px"
            )


def _check_known(space: Space, budget: Budget) -> None:
    """Raises SpaceError unless an architecture within the window and the limits is found."""
    rng = random.Random(budget.settings.seed)
    if not known_architectures(space, budget) and not any(
        budget.feasible(space.decode(space.sample(rng))) for _ in range(DRAWS)
    ):
        raise SpaceError(
            f"none of {DRAWS:,} random architectures of space {space.name} has {budget.settings.allowance}; "
            "widen --flops-window or the limits"
        )


def _measured(space: Space, settings: NasSettings, out: Console) -> Meter:
    """A meter that has measured a sample of the space, by which it predicts the others."""
    assert settings.latency is not None
    rng = random.Random(settings.seed)
    drawn = {network.key: network for network in (space.decode(space.sample(rng)) for _ in range(10 * TIMED))}
    sample = list(drawn.values())[:TIMED]
    if len(sample) < TIMED:
        raise SpaceError(f"space {space.name} is too small to learn its latency: {len(sample)} of {TIMED} networks")
    meter = Meter(settings.latency, settings.classes)
    try:
        with out.status(f"measuring the latency of {TIMED} networks") as status:
            for count, network in enumerate(sample, 1):
                meter.measure(network)
                status.update(f"measuring the latency of {TIMED} networks: {count} done")
        meter.learn(sample)
    except BaseException:
        meter.close()
        raise
    return meter

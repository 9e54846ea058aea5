"""What the commands that train have in common: workers, images, a name, and the drive itself."""

import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

from rich.console import Console

from effsearch.cli.machine import gpus, survey
from effsearch.cli.progress import Progress
from effsearch.cli.stop import StopRequest
from effsearch.data import PackedInfo, info, load, prepare, subset
from effsearch.errors import QuantityError, RunError
from effsearch.evaluation import QUICK, STANDARD, Proxy, find_proxy
from effsearch.runs.folder import Run, check_names, create, find
from effsearch.runs.storage import about, check_free, choose, stored
from effsearch.search.driver import Problem, Status
from effsearch.search.steps import Clock, Done
from effsearch.text import counted


def proxy_named(name: str | None) -> Proxy:
    """The proxy of that name, or the default of this machine; raises QuantityError."""
    if name is None:
        return STANDARD if gpus() else QUICK
    return find_proxy(name)


def existing_run(run: str | None, resume: str | None, results: Path) -> Run | None:
    """The run to continue, if one is named; raises RunError."""
    check_names(run, resume)
    if resume is not None:
        return find(results, resume)
    if run is not None and (results / run / "run.toml").is_file():
        return Run(results / run)
    return None


def create_stored(
    results: Path,
    name: str,
    manifest: Mapping[str, Any],
    url: str | None,
    files: Mapping[str, str] = MappingProxyType({}),
) -> Run:
    """Makes the folder of a new run, whose trials are in a database if one is named; raises RunError."""
    chosen = choose(url)
    if chosen is not None:
        check_free(chosen, name)
    whole = {**manifest, **about(chosen, name)}
    return stored(create(results, name, whole, files), whole, url)


def free_name(results: Path, stem: str) -> str:
    """`stem` with the time, and with a number where that is taken."""
    stem = f"{stem}-{datetime.now():%Y%m%d-%H%M%S}"
    taken = {path.name for path in results.glob(f"{stem}*")}
    return next(name for name in (stem, *(f"{stem}-{n}" for n in range(2, 1000))) if name not in taken)


def processor(device: str) -> str:
    """The name of the GPU or the CPU of this machine; raises QuantityError where there is no such GPU."""
    from effsearch.evaluation.devices import cpu_name

    if device == "cpu":
        return cpu_name()
    if not gpus():
        raise QuantityError("--latency-device cuda needs an NVIDIA GPU that torch can use, got none; use cpu")
    return survey()[0].name


def pack(data: str, resolution: int, out: Console) -> Path:
    """The folder of the packed images; says which were skipped."""
    with out.status(f"packing {data} at {resolution} px"):
        images = prepare(data, resolution)
    about = info(images)
    if about.skipped:
        out.print(about.skipped_message(), style="yellow")
    return images


def check_kind(run: Run, kind: str) -> None:
    """Raises RunError unless a run is of that command."""
    if run.kind != kind:
        raise RunError(f"run {run.name} is of effsearch {run.kind or '?'}, not of {kind}")


def refuse_changes(run: Run, conflicts: Sequence[str]) -> None:
    """Raises RunError where what was asked for would give the trials of a run another meaning."""
    if conflicts:
        raise RunError(
            f"run {run.name} was made with other settings: {'; '.join(conflicts)}; choose another --run name"
        )


def check_images(run: Run, manifest: Mapping[str, Any], images: Path, data: str) -> None:
    """Raises RunError unless the images are those that a run was made with."""
    about = manifest.get("data", {})
    if about.get("digest") != info(images).digest:
        raise RunError(
            f"run {run.name} was made with other images: {about.get('name')} was {about.get('digest')}, "
            f"{data} is {info(images).digest}"
        )


def about_set(images: Path) -> dict[str, Any]:
    """What run.toml says of an image set."""
    about: PackedInfo = info(images)
    return {
        "name": about.name,
        "source": about.source,
        "digest": about.digest,
        "synthetic": about.synthetic,
        "classes": list(about.classes),
        "counts": dict(about.counts),
    }


def about_images(images: Path, proxy: Proxy) -> dict[str, Any]:
    """The same, with how many of them a proxy uses."""
    loaded = load(images)
    return about_set(images) | {
        "train": len(subset(loaded.train, proxy.train_images, 0)),
        "validation": len(subset(loaded.validation, proxy.validation_images, 0)),
    }


def describe_proxy(images: Path, proxy: Proxy) -> str:
    """One line on the images and how they are used."""
    about = info(images)
    return (
        f"data {about.name}{' (synthetic images)' if about.synthetic else ''}, {len(about.classes)} classes; "
        f"{proxy.name} proxy: {proxy.resolution} px, channels x {proxy.width:g}, {counted(proxy.epochs, 'epoch')} of "
        f"at most {counted(proxy.train_images, 'image')}"
    )


def watch(steps: Iterator[Status], stop: StopRequest, progress: Progress) -> Status:
    """Shows a search as it runs, and returns how it ended."""
    status = None
    with stop, progress:
        for status in steps:
            progress.update(status)
    assert status is not None
    return status


def is_finished(problem: Problem, status: Status) -> bool:
    """Whether nothing is left to do but for the time limit."""
    return isinstance(problem.next_step(status.records, Clock(math.inf, 0.0, 1)), Done)

"""What this machine or a Ray cluster has to train on: workers, their speed, and whether a run may go on there."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from effsearch.architecture import Architecture, parse
from effsearch.data.sources import VALIDATION
from effsearch.engine.growth_problems import CurvesProblem, GridProblem
from effsearch.engine.verify_problem import VerifyProblem
from effsearch.errors import ExecutorError, QuantityError, RunError, needed
from effsearch.evaluation.devices import cpu_name, gpus
from effsearch.evaluation.hardware import Gpu, first_line, loses_context, out_of_memory
from effsearch.evaluation.proxy import Forecast, Proxy, Speed
from effsearch.evaluation.proxy_training import ProxyTraining
from effsearch.executors.local import MOST_WORKERS, Executor, LocalExecutor, child, cores
from effsearch.runs.folder import Run, environment
from effsearch.runs.manifest import About, Device, Limits, Manifest
from effsearch.text import counted
from effsearch.workflows.common import Listener, Session, about_images, announce, check_images, create_stored, pack
from effsearch.workflows.request import Cluster, Request

_log = logging.getLogger(__name__)

TIMED_CLASSES = 16  # of the networks that are timed for a forecast: the classifier hardly counts
MOST_ON_A_GPU = 4  # workers that share a GPU, since launching the kernels of a proxy training leaves it mostly idle
BYTES_ON_A_GPU = 3 << 30  # of its memory for each of them: a context of CUDA, and a proxy training with its images


@dataclass(frozen=True)
class Where:
    """What networks are trained on (cpu or cuda) and compute in (float32 or bf16); empty for what is not known."""

    device: Device = ""
    precision: str = ""

    @classmethod
    def of(cls, run: Run) -> "Where":
        """Where the trainings of a run were begun, as far as its run.toml says."""
        about = run.about()
        return cls(about.trained_on, about.precision)

    def differs(self, other: "Where") -> bool:
        """Whether two are known to be different."""
        pairs = ((self.device, other.device), (self.precision, other.precision))
        return any(one and another and one != another for one, another in pairs)

    def __str__(self) -> str:
        device = "the CPU" if self.device == "cpu" else "a GPU"
        return f"{device} in {self.precision}" if self.precision else device

    def noted(self, about: About) -> About:
        """What run.toml says of a run, with where it is trained and this machine's processors."""
        found = survey()
        processors = f"{len(found)} x {found[0].name}" if found else f"CPU, {cores()} cores"
        return replace(about, device=processors, trained_on=self.device, precision=self.precision)


def check_where(run: Run, now: Where, allowed: bool) -> None:
    """Raises RunError where a run would go on with another device or precision, unless that is allowed."""
    if not (before := Where.of(run)).differs(now):
        return
    if not allowed:
        raise RunError(
            f"run {run.name} was trained by {before}, and would go on by {now}: their accuracies are not one "
            "measurement; go on where it began, or mix them by --allow-device-change"
        )
    _log.warning("run %s was trained by %s so far, and goes on by %s: its ranking mixes the two", run.name, before, now)


@lru_cache(maxsize=1)
def survey() -> tuple[Gpu, ...]:
    """What the GPUs are and have, asked of another process so that this one takes none of their memory."""
    if not gpus():
        return ()
    with child() as ask:
        return tuple(ask("effsearch.evaluation.devices", "survey"))


def here(kind: str) -> Where:
    """The device of that kind here; GPUs that differ in what they compute in have no one precision."""
    if kind == "cpu":
        return Where("cpu", "float32")
    precisions = {gpu.precision for gpu in survey()}
    return Where("cuda", precisions.pop() if len(precisions) == 1 else "")


def slots_on(found: Sequence[Gpu], workers: int | None) -> list[int | None]:
    """What each worker is pinned to: GPUs in turn, or a CPU thread; by default one worker a core, as memory allows."""
    if not found:
        return [None] * (workers or min(cores(), MOST_WORKERS))
    room = min(gpu.free for gpu in found) // BYTES_ON_A_GPU
    on_each = max(1, min(cores() // len(found), MOST_ON_A_GPU, room))
    return [worker % len(found) for worker in range(workers or len(found) * on_each)]


def at_once(slots: Sequence[int | None]) -> int:
    """Trainings at full speed at a time, for forecasts: workers that share a GPU gain less than their number."""
    return len(slots) if slots[0] is None else len(set(slots))


def describe_slots(slots: Sequence[int | None]) -> str:
    where = "(one CPU thread each)" if slots[0] is None else f"on {counted(len(set(slots)), 'GPU')}"
    return f"{counted(len(slots), 'worker')} {where}"


class Started(NamedTuple):
    """Workers that wait for work: what they train on, described in `words`; `at_once` of them train at full speed."""

    executor: Executor
    where: Where
    words: str
    at_once: int
    images: Path


def start(workers: int | None, asked: Cluster | None, images: Path, *others: Path) -> Started:
    """Starts workers, or joins the cluster, for one or more image sets.

    Raises ExecutorError, and ReportError where Ray is not installed.
    """
    if asked is None:
        slots = slots_on(survey(), workers)
        where = here("cuda" if survey() else "cpu")
        return Started(LocalExecutor(slots), where, describe_slots(slots), at_once(slots), images)
    with needed("ray"):
        from effsearch.executors.ray_cluster import RayExecutor
    executor = RayExecutor(asked.address, workers=workers, gpus=asked.gpus, images=[images, *others])
    each = f"{executor.gpus:g} of a GPU" if executor.gpus else "one CPU"
    words = f"{counted(executor.workers, 'worker')} of the Ray cluster at {asked.address} ({each} each)"
    where = Where("cuda") if executor.gpus else Where("cpu", "float32")
    return Started(executor, where, words, max(1, int(executor.workers * min(1.0, executor.gpus or 1.0))), images)


TrainingProblem = GridProblem | CurvesProblem | VerifyProblem


def packed_side(problem: TrainingProblem) -> int:
    """The px at which images are packed: those of the network with the most, or of what a sampler may propose."""
    most = max(parse(candidate.notation).resolution for candidate in problem.candidates)
    return problem.settings.proxy.scaled(most / problem.settings.resolution).resolution


def begin(
    request: Request,
    kind: str,
    stem: str,
    problem: TrainingProblem,
    limits: Limits,
    listener: Listener,
    images: Path | None = None,
) -> tuple[Run, Started]:
    """Packs the images unless they are given, starts workers, and then makes the folder of a new run.

    Raises EffsearchError.
    """
    settings = problem.settings
    images = images or pack(settings.data, packed_side(problem), listener)
    started = start(request.workers, request.cluster, images)
    about = started.where.noted(environment(kind))
    run = create_stored(request, stem, Manifest(about, settings, about_images(images, settings.proxy), limits))
    announce(run, listener)
    return run, started


def continue_on(
    request: Request, run: Run, manifest: Manifest, data: str, resolution: int, listener: Listener
) -> Started:
    """Starts workers for a run that was begun; raises RunError for other images, or another device unasked."""
    images = pack(data, resolution, listener)
    check_images(run, manifest.data, images, data)
    return start_again(request, run, images)


def start_again(request: Request, run: Run, images: Path, *others: Path) -> Started:
    """Starts workers for a run that was begun; raises RunError for another device unasked."""
    started = start(request.workers, request.cluster, images, *others)
    try:
        check_where(run, started.where, request.device_change)
    except RunError:
        started.executor.stop()
        raise
    return started


def training_session(
    request: Request,
    run: Run,
    problem: TrainingProblem,
    started: Started,
    trials: int = 0,
    split: str = VALIDATION,
    kept_seed: int | None = None,
) -> Session:
    """A session whose networks are trained, each at the proxy's px times its resolution over the baseline's.

    Accuracies are on the images of `split`; the weights of trainings under `kept_seed` are kept.
    """
    settings, device = problem.settings, started.where.device
    side = settings.resolution
    evaluator = ProxyTraining(
        settings.proxy, started.images, device=device, baseline_resolution=side, split=split, kept_seed=kept_seed
    )
    return Session(run, problem, evaluator, started.executor, request.seconds, trials)


def processor(device: str) -> str:
    """The name of the GPU or the CPU of this machine; raises QuantityError where there is no such GPU."""
    if device == "cpu":
        return cpu_name()
    if not gpus():
        raise QuantityError("--latency-device cuda needs an NVIDIA GPU that torch can use, got none; use cpu")
    return survey()[0].name


def workers_here(workers: int | None) -> tuple[int, str]:
    """Trainings at full speed at a time on this machine, for forecasts, and the workers in words."""
    slots = slots_on(survey(), workers)
    return at_once(slots), describe_slots(slots)


def speeds_of(networks: Sequence[tuple[Architecture, Proxy]], listener: Listener) -> list[Speed]:
    """Seconds an image of each network on this machine; raises ExecutorError where that cannot be measured."""
    try:
        with listener.busy("measuring the speed of a few networks"), child() as ask:
            return list(ask("effsearch.evaluation.timing", "measure", networks, TIMED_CLASSES, bool(gpus())))
    except (RuntimeError, MemoryError) as error:
        if not (out_of_memory(error) or loses_context(error)):
            raise
        raise ExecutorError(
            f"the speed of a few networks cannot be measured: {first_line(error)}; if memory is too small, give a "
            "smaller --proxy-width or --proxy-resolution"
        ) from None


def measure_speed(
    baseline: Architecture, timed: Mapping[str, Architecture], proxy: Proxy, listener: Listener
) -> Forecast:
    """The speed of the baseline and of a network grown along each axis, by the names in `proxy.TIMED`."""
    networks = [(network, proxy.scaled(network.resolution / baseline.resolution)) for network in timed.values()]
    speeds = speeds_of(networks, listener)
    return Forecast.of(
        {name: (timed[name], speed.train, speed.validate) for name, speed in zip(timed, speeds, strict=True)}
    )

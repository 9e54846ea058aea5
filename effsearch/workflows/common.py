"""What all runs have in common: what is asked for, the run's folder, its images, and the drive itself."""

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar

from effsearch.data import info, load, prepare, subset
from effsearch.engine.driver import Evaluator, Status, drive
from effsearch.engine.problem import Clock, Done, Problem
from effsearch.engine.samplers import DEFAULT, SAMPLERS
from effsearch.errors import RunError, SpaceError, listed
from effsearch.evaluation import Proxy
from effsearch.executors.local import Executor
from effsearch.reports.text_table import TextTable
from effsearch.reward import Reward
from effsearch.runs.folder import Run, create
from effsearch.runs.manifest import Data, Manifest
from effsearch.runs.ranking import Row, read_ranking
from effsearch.runs.schema import differences
from effsearch.runs.settings import Settings
from effsearch.runs.storage import check_free, choose, describe, stored
from effsearch.text import counted
from effsearch.training import Epoch
from effsearch.workflows.request import Request

S = TypeVar("S")


def never() -> bool:
    """Never stops a run: the default where `stopping` is asked for."""
    return False


class EpochListener:
    """Receives the progress of a training and ignores it; displays override its methods."""

    def begin(self, history: Sequence[Epoch]) -> None:
        """Called when the training begins, or begins again, after the epochs of `history`."""

    def step(self, step: int, steps: int) -> None:
        """Called after step number `step` of all `steps` of the training."""

    def epoch(self, epoch: Epoch) -> None:
        """Called after each epoch."""


class Listener:
    """Receives the messages and the progress of a run and ignores them; displays override its methods."""

    def note(self, line: str, style: str = "") -> None:
        """Shows a line about the run, in a style of rich's such as bold."""

    def table(self, table: TextTable, title: str) -> None: ...

    def busy(self, what: str) -> AbstractContextManager[Callable[[str], None]]:
        """A context around what takes seconds, whose function shows how far that has come."""
        return nullcontext(lambda text: None)

    def search(self, problem: Problem, seconds: float | None) -> AbstractContextManager[Callable[[Status], None]]:
        """A context around a search, whose function is given each status."""
        return nullcontext(lambda status: None)

    def training(self, epochs: int, images: int) -> AbstractContextManager[EpochListener]:
        """A context around a training, whose listener is told each step and epoch."""
        return nullcontext(EpochListener())


@dataclass(frozen=True)
class Session:
    """A run that is ready to be driven; `close` ends what measures latency."""

    run: Run
    problem: Problem
    evaluator: Evaluator
    executor: Executor
    seconds: float | None
    trials: int = 0
    close: Callable[[], object] = never


@dataclass(frozen=True)
class Outcome:
    """How a search ended: its run with the ranking, the last status, and the files that were written besides.

    It was `stopped` on request, or is `finished` if nothing was left to do; `notes` are lines to print at its end.
    """

    run: Run
    rows: list[Row]
    status: Status
    stopped: bool
    finished: bool
    trials: int
    files: Sequence[Path] = ()
    notes: Sequence[str] = ()

    @property
    def ranked(self) -> bool:
        """Whether any network has an accuracy."""
        return any(row.rank is not None for row in self.rows)


def run_session(
    session: Session,
    listener: Listener,
    stopping: Callable[[], bool] = never,
    conclude: Callable[[Run, list[Row]], Sequence[Path]] = lambda run, rows: (),
) -> Outcome:
    """Drives a run until it is done, out of time or `stopping`, then writes what `conclude` makes of its ranking.

    Raises RunError where another process drives the run, or it cannot be read or written.
    """
    run, problem, executor, status = session.run, session.problem, session.executor, None
    try:
        with run.locked(), listener.search(problem, session.seconds) as told:
            for status in drive(run, problem, session.evaluator, executor, session.seconds, stopping):
                told(status)
            assert status is not None
            rows = read_ranking(run.ranking)
            files = conclude(run, rows) if any(row.rank is not None for row in rows) else ()
    finally:
        executor.stop()
        session.close()
    finished = isinstance(problem.next_step(status.records, Clock(math.inf, 0.0, 1)), Done)
    return Outcome(run, rows, status, stopping(), finished, session.trials, files)


def check_search(request: Request) -> None:
    """Raises QuantityError for numbers out of range, and SpaceError for an unknown sampler."""
    request.check_limits()
    if (name := request.settings.get("sampler", DEFAULT)) not in SAMPLERS:
        raise SpaceError(f"--sampler must be one of {listed(SAMPLERS)}, got {name!r}")


def short(score: Reward) -> str:
    """The target for the name of a run: 400M, 5M-params, 20ms."""
    return score.aim.replace(" FLOPs", "").replace(" parameters", "-params").replace(" ", "").replace(",", "")


def create_stored(
    request: Request, stem: str, manifest: Manifest, files: Mapping[str, str] = MappingProxyType({})
) -> Run:
    """Makes the folder of a new run, whose trials are in a database if one is named; raises RunError."""
    name = request.run or free_name(request.results, stem)
    if (url := choose(request.storage)) is not None:
        check_free(url, name)
    database = describe(url, name)
    document = replace(manifest, storage=database).to_document()
    return stored(create(request.results, name, document, files), database, request.storage)


def free_name(results: Path, stem: str) -> str:
    """`stem` with the time, and with a number where that is taken."""
    stem = f"{stem}-{datetime.now():%Y%m%d-%H%M%S}"
    taken = {path.name for path in results.glob(f"{stem}*")}
    return next(name for name in (stem, *(f"{stem}-{n}" for n in range(2, 1000))) if name not in taken)


def reopen(request: Request, run: Run, kind: str, settings: type[S]) -> tuple[Run, Manifest, S]:
    """A run with its storage, its manifest and its settings; raises RunError unless it is of the command `kind`."""
    if run.kind != kind:
        raise RunError(f"run {run.name} is of effsearch {run.kind or '?'}, not of {kind}")
    manifest = run.manifest()
    return stored(run, manifest.storage, request.storage), manifest, run.settings(settings)


def refuse_changes(run: Run, stored: Settings, wanted: Settings) -> None:
    """Raises RunError where what is asked for would give the trials of a run another meaning."""
    if conflicts := differences(stored, wanted):
        raise RunError(
            f"run {run.name} was made with other settings: {'; '.join(conflicts)}; choose another --run name"
        )


def pack(data: str, resolution: int, listener: Listener) -> Path:
    """The folder of the packed images; says which were skipped."""
    with listener.busy(f"packing {data} at {resolution} px"):
        images = prepare(data, resolution)
    if message := info(images).skipped_message():
        listener.note(message, "yellow")
    return images


def check_images(run: Run, before: Data, images: Path, data: str) -> None:
    """Raises RunError unless the images are those that a run was made with."""
    digest = info(images).digest
    if before.digest != digest:
        raise RunError(
            f"run {run.name} was made with other images: {before.name} was {before.digest}, {data} is {digest}"
        )


def about_images(images: Path, proxy: Proxy | None = None) -> Data:
    """What run.toml says of an image set, and how many of its images a proxy uses."""
    about = info(images)
    data = Data(about.name, about.source, about.digest, about.synthetic, about.classes, dict(about.counts))
    if proxy is None:
        return data
    loaded = load(images)
    train = len(subset(loaded.train, proxy.train_images, 0))
    return replace(data, train=train, validation=len(subset(loaded.validation, proxy.validation_images, 0)))


def describe_proxy(proxy: Proxy) -> str:
    """The training of each network, in words."""
    return (
        f"{proxy.name} proxy: {proxy.resolution} px, channels x {proxy.width:g}, {counted(proxy.epochs, 'epoch')} of "
        f"at most {counted(proxy.train_images, 'image')}"
    )


def describe_data(images: Path, proxy: Proxy) -> str:
    """One line on the images and how they are used."""
    about = info(images)
    synthetic = " (synthetic images)" if about.synthetic else ""
    return f"data {about.name}{synthetic}, {len(about.classes)} classes; {describe_proxy(proxy)}"


def announce(run: Run, listener: Listener) -> None:
    listener.note(f"run {run.name} in {run.path.parent}/", "bold")

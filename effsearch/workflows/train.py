"""The full training of one network, which ends with its weights and how good it is, and their export."""

import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from effsearch.costs import cost
from effsearch.data import held_out, info, load
from effsearch.errors import QuantityError, RunError
from effsearch.evaluation.devices import choose_device
from effsearch.evaluation.hardware import ContextLost, first_line, keep_freed_memory, out_of_memory
from effsearch.evaluation.predictions import answer
from effsearch.evaluation.scores import score
from effsearch.evaluation.trainings import TrainedNetwork, Whole, train_whole
from effsearch.exports import Exported, export
from effsearch.files import quarantine, write_atomically
from effsearch.network.weights import Start, Weights, pack_weights, untrained
from effsearch.reports.evaluation import EVALUATION, evaluation_json
from effsearch.runs.folder import Run, create, environment
from effsearch.runs.manifest import Manifest
from effsearch.runs.settings import TrainSettings
from effsearch.runs.transfer_settings import IMAGENET
from effsearch.text import counted, format_count
from effsearch.training import CorruptCheckpoint, Epoch, Recipe
from effsearch.training.checkpoint import history_of
from effsearch.training.recipe import CUTMIX, MIXUP, recipe_of
from effsearch.workflows import common
from effsearch.workflows.common import Listener, never
from effsearch.workflows.machine import Where, check_where, here
from effsearch.workflows.request import TrainRequest, plain_name, resolve
from effsearch.workflows.weights import WEIGHTS, at_resolution, start_of, trained, weights_file

ACCUMULATION = (1, 2, 4, 8)  # in how many parts a batch may be trained
CHECKPOINT, METRICS = "checkpoint.safetensors", "metrics.jsonl"


class _StoppedError(Exception):
    """The training is to stop here; what the last epoch left is kept."""


@dataclass(frozen=True)
class _Session:
    """A run that is ready to be trained."""

    request: TrainRequest
    run: Run
    settings: TrainSettings
    images: Path
    where: Where
    start: Start | None = None


def train_network(request: TrainRequest, listener: Listener, stopping: Callable[[], bool] = never) -> tuple[Run, bool]:
    """Trains until the end, the time limit or `stopping`: the run, and whether the end was reached.

    Raises EffsearchError, before anything is written where what is asked for makes no sense.
    """
    existing = request.existing()
    where = here(_device(request.device, existing))
    if where.device == "cpu":
        keep_freed_memory()
    session = _begin(request, where, listener) if existing is None else _continue(request, existing, where, listener)
    with session.run.locked():
        return session.run, _drive(session, listener, stopping)


def _device(asked: str | None, existing: Run | None) -> str:
    """What was asked for; else what the run was begun on, if that is here, or a GPU where there is one."""
    before = None if existing is None else Where.of(existing).device
    return choose_device(asked or ("cpu" if before == "cpu" else None))


def _recipe(request: TrainRequest) -> tuple[Recipe, int]:
    """The recipe asked for and the epochs it is made for; the rate follows the batch."""
    recipe, epochs = recipe_of(request.recipe or "short")
    if request.batch is not None:
        if not 1 <= request.batch <= 65536:
            raise QuantityError(f"--batch must be from 1 to 65536, got {request.batch}")
        recipe = replace(recipe, batch=request.batch, rate=recipe.rate * request.batch / recipe.batch)
    if request.mix and not (recipe.mixup or recipe.cutmix):
        recipe = replace(recipe, mixup=MIXUP, cutmix=CUTMIX)
    return recipe, epochs


def _begin(request: TrainRequest, where: Where, listener: Listener) -> _Session:
    if request.arch is None:
        raise QuantityError("train needs an ARCH such as b0, a notation or RUN:RANK, or --resume RUN")
    architecture, name = resolve(request.arch, request.results)
    recipe, epochs = _recipe(request)
    values: dict[str, Any] = {"data": "scenes", "resolution": architecture.resolution, "epochs": epochs}
    start, digest = start_of(request.weights, request.partial, architecture, request.results)
    values |= {"recipe": recipe, "weights": digest, "partial": request.partial, **request.settings}
    settings = TrainSettings(architecture.notation, name, **values)
    images = common.pack(settings.data, settings.resolution, listener)
    if start is not None:
        start.check(architecture, len(info(images).classes))
    if (count := len(load(images).train)) < recipe.batch:
        raise QuantityError(f"a batch has {recipe.batch} images, but {settings.data} trains on {count}; use --batch")
    manifest = Manifest(where.noted(environment("train")), settings, common.about_images(images))
    run_name = request.run or common.free_name(request.results, f"train-{plain_name(name, 'network')}")
    run = create(request.results, run_name, manifest.to_document())
    return _Session(request, run, settings, images, where, start)


def _continue(request: TrainRequest, run: Run, where: Where, listener: Listener) -> _Session:
    run, manifest, stored = common.reopen(request, run, "train", TrainSettings)
    if not (run.path / WEIGHTS).is_file():
        check_where(run, where, request.device_change)
    changed = dict(request.settings)
    if request.recipe is not None or request.batch is not None or request.mix:
        changed["recipe"] = _recipe(request)[0]
    if request.arch is not None:
        changed["notation"] = resolve(request.arch, request.results)[0].notation
    begun = (run.path / CHECKPOINT).is_file() or (run.path / WEIGHTS).is_file()
    weights = request.weights or (IMAGENET if stored.weights == IMAGENET and not begun else None)
    start, digest = start_of(weights, weights is not None and stored.partial, stored.architecture, request.results)
    if weights is not None:
        changed["weights"] = digest
    if request.partial:
        changed["partial"] = True
    wanted = replace(stored, **changed)
    common.refuse_changes(run, stored, replace(wanted, data=stored.data))
    if stored.weights and weights is None and not begun:
        raise RunError(f"run {run.name} starts from a file of weights; give it again by --weights")
    images = common.pack(wanted.data, stored.resolution, listener)
    common.check_images(run, manifest.data, images, wanted.data)
    return _Session(request, run, stored, images, where, start)


def _drive(session: _Session, listener: Listener, stopping: Callable[[], bool]) -> bool:
    """Trains, validates after every epoch and keeps its state; returns whether the end was reached."""
    run, settings = session.run, session.settings
    if (run.path / WEIGHTS).is_file():
        return True
    whole = Whole(
        settings.architecture, settings.recipe, settings.epochs, settings.seed, session.where.device, settings.patience
    )
    _announce(session, listener)
    try:
        trained = _train(session, whole, listener, stopping)
    except _StoppedError:
        return False
    except OSError as error:
        raise RunError(
            f"run {run.name} was stopped, since {run.path} cannot be written: {error.strerror or error}; when that "
            f"is mended, go on with: effsearch train --resume {run.path}"
        ) from error
    except CorruptCheckpoint as error:
        checkpoint = run.path / CHECKPOINT
        raise RunError(f"{checkpoint} is not of this training ({error}); begin another by --run NAME") from None
    except ContextLost as error:
        raise RunError(
            f"the GPU failed ({error}); what was finished is kept, go on with: effsearch train --resume {run.path}"
        ) from None
    _conclude(session, whole, trained)
    return True


def _train(session: _Session, whole: Whole, listener: Listener, stopping: Callable[[], bool]) -> TrainedNetwork:
    run, checkpoint, loaded = session.run, session.run.path / CHECKPOINT, load(session.images)
    request, count = session.request, len(loaded.train)
    until = math.inf if request.seconds is None else time.monotonic() + request.seconds
    history: list[Epoch] = []
    with listener.training(whole.epochs, count) as told, _tensorboard(request.tensorboard, run) as board:

        def on_step(step: int, steps: int) -> None:
            told.step(step, steps)
            if stopping() or time.monotonic() > until:
                raise _StoppedError

        def on_epoch(epoch: Epoch) -> None:
            history.append(epoch)
            told.epoch(epoch)
            board(epoch)
            write_atomically(run.path / METRICS, metrics(history, count))

        train = partial(train_whole, whole, loaded, start=session.start, on_epoch=on_epoch, on_step=on_step)
        keep = partial(write_atomically, checkpoint)

        def attempt(accumulation: int) -> TrainedNetwork:
            state, history[:] = _kept(checkpoint, listener)
            told.begin(history)
            return train(state=state, keep=keep, note=listener.note, accumulation=accumulation)

        return accumulate(attempt, whole.recipe.batch, listener)


def accumulate(attempt: Callable[[int], TrainedNetwork], batch: int, listener: Listener) -> TrainedNetwork:
    """Trains with a whole batch at a time or, where memory is too small for that, with 1/2, 1/4 or 1/8 of it.

    Each attempt goes on from the last epoch that was finished. Raises RunError where the smallest part is too large.
    """
    for parts in ACCUMULATION:
        try:
            return attempt(parts)
        except Exception as error:
            if not out_of_memory(error):
                raise
            if 2 * parts > min(batch, ACCUMULATION[-1]):
                less = f"--batch {batch // 2}" if batch > 1 else "a smaller --resolution"
                raise RunError(f"out of memory ({first_line(error)}); begin another run with {less}") from None
            listener.note(
                f"out of memory: a batch of {batch} goes through in {2 * parts} parts from now on, which make one "
                "step; batch norm sees a part at a time",
                "yellow",
            )
    raise AssertionError("the last part either trains or raises")


def _kept(checkpoint: Path, listener: Listener) -> tuple[bytes | None, list[Epoch]]:
    """The state to go on from, and its epochs; a corrupt one is quarantined."""
    if not checkpoint.is_file():
        return None, []
    state = checkpoint.read_bytes()
    try:
        return state, history_of(state)
    except CorruptCheckpoint:
        name = quarantine(checkpoint).name
        listener.note(f"{checkpoint} is corrupt: quarantined as {name}; training begins anew", "red")
        return None, []


def _conclude(session: _Session, whole: Whole, trained: TrainedNetwork) -> None:
    run, settings, about = session.run, session.settings, info(session.images)
    result = {}
    for name, split in held_out(session.images).items():
        answers = answer(trained.network, split, settings.resolution, whole.device, trained.at_once)
        last = score(answers, split, about.classes, about.name, name, settings.resolution)
        result[name] = last.shares()
    write_atomically(run.path / "result.json", json.dumps(result, indent=2) + "\n")
    write_atomically(run.path / EVALUATION, evaluation_json(last))
    how = f"{counted(trained.epochs, 'epoch')} on {about.name} at {settings.resolution} px"
    write_atomically(run.path / WEIGHTS, pack_weights(trained.network, whole.architecture, about.classes, how))
    (run.path / CHECKPOINT).unlink(missing_ok=True)


def metrics(history: Sequence[Epoch], images: int) -> str:
    """One JSON object a line: epoch, loss and validation loss (nats), validation accuracy, seconds, images a second."""
    return "".join(
        json.dumps(asdict(epoch) | {"images_per_second": round(images / max(epoch.seconds, 1e-9), 1)}) + "\n"
        for epoch in history
    )


@contextmanager
def _tensorboard(wanted: bool, run: Run) -> Iterator[Callable[[Epoch], None]]:
    """Writes the epochs that it is told for TensorBoard, where that is wanted; raises RunError if it is missing."""
    if not wanted:
        yield lambda epoch: None
        return
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise RunError("--tensorboard needs the package tensorboard: python -m pip install tensorboard") from None
    with SummaryWriter(str(run.path / "tensorboard")) as writer:

        def write(epoch: Epoch) -> None:
            writer.add_scalar("loss/train", epoch.loss, epoch.epoch)
            writer.add_scalar("accuracy/validation", epoch.accuracy, epoch.epoch)

        yield write


def _announce(session: _Session, listener: Listener) -> None:
    settings, about, recipe = session.settings, info(session.images), session.settings.recipe
    total = cost(settings.architecture, classes=len(about.classes))
    common.announce(session.run, listener)
    listener.note(
        f"{settings.name}: {format_count(total.flops)} FLOPs, {format_count(total.params)} parameters at "
        f"{settings.resolution} px and {len(about.classes)} classes"
    )
    loaded, kind = load(session.images), " (synthetic images)" if about.synthetic else ""
    listener.note(
        f"data {about.name}{kind}: {len(loaded.train):,} images to train on, {len(loaded.validation):,} to validate "
        f"on; {recipe.optimizer}, batch {recipe.batch}, peak rate {recipe.rate:g}{_mixing(recipe)}, "
        f"{counted(settings.epochs, 'epoch')}{_until(settings)}, on {session.where}"
    )


def _mixing(recipe: Recipe) -> str:
    ways = {"mixup": recipe.mixup, "cutmix": recipe.cutmix}
    return "".join(f", {name} {alpha:g}" for name, alpha in ways.items() if alpha)


def _until(settings: TrainSettings) -> str:
    return "" if settings.patience is None else f" or {settings.patience} after the best"


def export_network(
    arch: str,
    target: str,
    out: Path | None,
    resolution: int | None,
    classes: int,
    results: Path,
    given: str | None = None,
) -> tuple[Exported, Weights]:
    """Exports the weights of a file or a run of train, or those `given` (imagenet), or fresh ones of `classes` classes.

    Raises EffsearchError.
    """
    if given is not None or weights_file(arch, results) is not None:
        weights, name = trained(arch, results, given)
    else:
        architecture, name = resolve(arch, results)
        weights = untrained(architecture, classes)
    weights = at_resolution(weights, resolution)
    return export(weights, target, out or Path(f"{plain_name(name, 'network')}-{target}")), weights

"""`effsearch train`: makes or continues a run, trains, and says how good the network is."""

import hashlib
import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import typer
from rich.console import Console

from effsearch.architecture import Architecture, parse
from effsearch.cli.arguments import plain_name, resolve
from effsearch.cli.machine import Where, check_where, gpus, here
from effsearch.cli.session import (
    about_set,
    check_images,
    check_kind,
    existing_run,
    free_name,
    pack,
    refuse_changes,
)
from effsearch.cli.stop import StopRequest
from effsearch.cli.train_progress import TrainProgress
from effsearch.cost import cost
from effsearch.data import info, load, load_test
from effsearch.errors import EffsearchError, QuantityError, RecipeError, RunError, listed
from effsearch.evaluation.full_training import TrainedNetwork, Whole, score, train_whole
from effsearch.evaluation.hardware import ContextLost, first_line, keep_freed_memory, out_of_memory
from effsearch.files import set_aside, write_atomically
from effsearch.report.learning_curves import print_training
from effsearch.report.text_table import console
from effsearch.runs.folder import Run, create, environment
from effsearch.runs.settings import differences, read_recipe_dict
from effsearch.text import counted, format_count
from effsearch.training import Epoch, Recipe
from effsearch.training.damage import DamagedCheckpoint
from effsearch.training.recipe import RECIPES, read_recipe, recipe_to_dict

PARTS = (1, 2, 4, 8)
"""In how many parts a batch may be trained."""

CHECKPOINT, METRICS, WEIGHTS = "checkpoint.safetensors", "metrics.jsonl", "weights.safetensors"


@dataclass(frozen=True)
class TrainRequest:
    """What was asked for on the command line, and only that: the rest is the run's own, or a default."""

    arch: str | None
    asked: Mapping[str, Any]
    recipe: str | None
    batch: int | None
    weights: Path | None
    device: str | None
    tensorboard: bool
    seconds: float | None
    run: str | None
    resume: str | None
    device_change: bool
    results: Path


@dataclass(frozen=True)
class TrainSettings:
    """Everything that gives a training its meaning; raises QuantityError for what is out of range."""

    notation: str
    name: str
    data: str
    resolution: int
    epochs: int
    recipe: Recipe
    seed: int = 0
    weights: str = ""

    def __post_init__(self) -> None:
        for name, value, low, high in (
            ("--resolution", self.resolution, 8, 2048),
            ("--epochs", self.epochs, 1, 100_000),
            ("--seed", self.seed, 0, 2**31 - 1),
        ):
            if not low <= value <= high:
                raise QuantityError(f"{name} must be from {low} to {high:,}, got {value}")

    @property
    def architecture(self) -> Architecture:
        return replace(parse(self.notation), resolution=self.resolution)

    def to_dict(self) -> dict[str, Any]:
        """For run.toml."""
        return asdict(self) | {"recipe": recipe_to_dict(self.recipe)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "TrainSettings":
        """Reads what `to_dict` wrote; raises RunError for anything else."""
        try:
            return cls(**{**values, "recipe": read_recipe_dict(values["recipe"])})
        except (KeyError, TypeError, ValueError, EffsearchError) as error:
            raise RunError(f"the settings in run.toml cannot be read: {error}") from None


def execute(request: TrainRequest) -> None:
    """Trains until the end, the time limit or a wish to stop; exits with 130 where it was stopped."""
    out = console(wide=False)
    existing = existing_run(request.run, request.resume, request.results)
    where = here(_device(request.device, existing))
    if where.device == "cpu":
        keep_freed_memory()
    if existing is None:
        run, settings, images = _begin(request, where, out)
    else:
        run, settings, images = _continue(request, existing, where, out)
    with run.held():
        done = _drive(request, run, settings, images, where, out)
    results = "" if request.results == Path("results") else f" --results {request.results}"
    if not done:
        out.print(f"stopped; go on with: effsearch train --resume {run.name}{results}")
        raise typer.Exit(130)
    print_training(run, out)
    out.print("next:")
    out.print(f"  effsearch export {run.name} --to onnx{results}   (or timm, torch-export, safetensors)")


def _device(asked: str | None, existing: Run | None) -> str:
    """What was asked for; else what the run was begun on, if that is here, or a GPU where there is one."""
    if asked not in (None, "cpu", "cuda"):
        raise QuantityError(f"--device must be cpu or cuda, got {asked!r}")
    if asked == "cuda" and not gpus():
        raise QuantityError("--device cuda was asked for, and torch finds no CUDA device; leave it out for the CPU")
    before = None if existing is None else Where.of(existing).device
    return asked or ("cuda" if gpus() and before != "cpu" else "cpu")


def _recipe(request: TrainRequest) -> tuple[Recipe, int]:
    """The recipe asked for and the epochs it is made for; the rate follows the batch."""
    name = request.recipe or "short"
    if name in RECIPES:
        recipe, epochs = RECIPES[name]
    elif Path(name).suffix == ".toml":
        recipe, found = read_recipe(Path(name))
        epochs = found or RECIPES["short"][1]
    else:
        raise RecipeError(f"--recipe must be one of {listed(RECIPES)} or a .toml file, got {name!r}")
    if request.batch is not None:
        if not 1 <= request.batch <= 65536:
            raise QuantityError(f"--batch must be from 1 to 65536, got {request.batch}")
        recipe = replace(recipe, batch=request.batch, rate=recipe.rate * request.batch / recipe.batch)
    return recipe, epochs


def _begin(request: TrainRequest, where: Where, out: Console) -> tuple[Run, TrainSettings, Path]:
    if request.arch is None:
        raise QuantityError("train needs an ARCH such as b0, a notation or RUN:RANK, or --resume RUN")
    architecture, name = resolve(request.arch, request.results)
    recipe, epochs = _recipe(request)
    values: dict[str, Any] = {"data": "scenes", "resolution": architecture.resolution, "epochs": epochs}
    settings = TrainSettings(
        architecture.notation, name, recipe=recipe, weights=_digest(request.weights), **(values | dict(request.asked))
    )
    images = pack(settings.data, settings.resolution, out)
    count = len(load(images).train)
    if count < recipe.batch:
        raise QuantityError(f"a batch has {recipe.batch} images, but {settings.data} trains on {count}; use --batch")
    manifest = {
        "run": {"kind": "train", **environment(), **where.manifest()},
        "settings": settings.to_dict(),
        "data": about_set(images),
    }
    run = create(
        request.results, request.run or free_name(request.results, f"train-{plain_name(name, 'network')}"), manifest
    )
    return run, settings, images


def _continue(request: TrainRequest, run: Run, where: Where, out: Console) -> tuple[Run, TrainSettings, Path]:
    """Takes a run's own settings, and refuses what would make another training of it."""
    manifest = run.manifest()
    check_kind(run, "train")
    if not (run.path / WEIGHTS).is_file():
        check_where(run, where, request.device_change)
    stored = TrainSettings.from_dict(manifest.get("settings", {}))
    wanted = replace(stored, **dict(request.asked))
    if request.recipe is not None or request.batch is not None:
        wanted = replace(wanted, recipe=_recipe(request)[0])
    if request.arch is not None:
        wanted = replace(wanted, notation=resolve(request.arch, request.results)[0].notation)
    if request.weights is not None:
        wanted = replace(wanted, weights=_digest(request.weights))
    refuse_changes(run, differences(stored.to_dict(), replace(wanted, data=stored.data).to_dict()))
    if stored.weights and request.weights is None and not (run.path / CHECKPOINT).is_file():
        raise RunError(f"run {run.name} starts from a file of weights; give it again by --weights")
    images = pack(wanted.data, stored.resolution, out)
    check_images(run, manifest, images, wanted.data)
    return run, stored, images


def _digest(weights: Path | None) -> str:
    """What tells one file of weights from another."""
    if weights is None:
        return ""
    try:
        return hashlib.sha256(weights.read_bytes()).hexdigest()[:16]
    except OSError as error:
        raise QuantityError(f"--weights {weights} cannot be read: {error.strerror or error}") from None


def _drive(request: TrainRequest, run: Run, settings: TrainSettings, images: Path, where: Where, out: Console) -> bool:
    """Trains, validates after every epoch and keeps its state; returns whether the end was reached."""
    checkpoint = run.path / CHECKPOINT
    if (run.path / WEIGHTS).is_file():
        return True
    whole = Whole(settings.architecture, settings.recipe, settings.epochs, settings.seed, where.device)
    loaded = load(images)
    _announce(run, settings, images, where, out)
    until = math.inf if request.seconds is None else time.monotonic() + request.seconds
    stop = StopRequest()
    with stop, TrainProgress(out, settings.epochs, len(loaded.train), _writer(request.tensorboard, run)) as progress:

        def on_step(step: int, steps: int) -> None:
            progress.step(step, steps)
            if stop.asked or time.monotonic() > until:
                raise _StoppedError

        def on_epoch(epoch: Epoch) -> None:
            progress.epoch(epoch)
            write_atomically(run.path / METRICS, metrics(progress.history, len(loaded.train)))

        def attempt(parts: int) -> TrainedNetwork:
            state, history = _kept(checkpoint, whole, out)
            progress.begin(history)
            return train_whole(
                whole,
                loaded,
                weights=request.weights,
                state=state,
                keep=lambda bytes_: write_atomically(checkpoint, bytes_),
                on_epoch=on_epoch,
                on_step=on_step,
                note=out.print,
                accumulation=parts,
            )

        try:
            trained = _in_parts(attempt, settings.recipe.batch, out)
        except _StoppedError:
            return False
        except OSError as error:
            raise RunError(
                f"run {run.name} was stopped, since {run.path} cannot be written: {error.strerror or error}; when that "
                f"is mended, go on with: effsearch train --resume {run.path}"
            ) from error
        except DamagedCheckpoint as error:
            raise RunError(f"{checkpoint} is not of this training ({error}); begin another by --run NAME") from None
        except ContextLost as error:
            raise RunError(
                f"the GPU failed ({error}); what was finished is kept, go on with: effsearch train --resume {run.path}"
            ) from None
    result = {"validation": score(trained, loaded.validation, whole)}
    if "test" in info(images).counts:
        result["test"] = score(trained, load_test(images), whole)
    write_atomically(run.path / "result.json", json.dumps(result, indent=2) + "\n")
    about = f"{counted(settings.epochs, 'epoch')} on {info(images).name} at {settings.resolution} px"
    write_atomically(run.path / WEIGHTS, trained.pack(info(images).classes, about))
    checkpoint.unlink(missing_ok=True)
    return True


def _in_parts(attempt: Callable[[int], TrainedNetwork], batch: int, out: Console) -> TrainedNetwork:
    """Trains with a whole batch at a time or, where memory is too small for that, with 1/2, 1/4 or 1/8 of it.

    The last epoch's state is gone on from each time. Raises RunError where the smallest part is too large.
    """
    for parts in PARTS:
        try:
            return attempt(parts)
        except Exception as error:
            if not out_of_memory(error):
                raise
            if 2 * parts > min(batch, PARTS[-1]):
                less = f"--batch {batch // 2}" if batch > 1 else "a smaller --resolution"
                raise RunError(f"out of memory ({first_line(error)}); begin another run with {less}") from None
            out.print(
                f"out of memory: a batch of {batch} goes through in {2 * parts} parts from now on, which make one "
                "step; batch norm sees a part at a time",
                style="yellow",
            )
    raise AssertionError("the last part either trains or raises")


def _kept(checkpoint: Path, whole: Whole, out: Console) -> tuple[bytes | None, list[Epoch]]:
    """The state to go on from, and its epochs; one that is damaged is set aside."""
    if not checkpoint.is_file():
        return None, []
    state = checkpoint.read_bytes()
    try:
        return state, whole.history(state)
    except DamagedCheckpoint:
        out.print(
            f"{checkpoint} is damaged: set aside as {set_aside(checkpoint).name}; training begins anew", style="red"
        )
        return None, []


class _StoppedError(Exception):
    """The training is to stop here; what the last epoch left is kept."""


def metrics(history: list[Epoch], images: int) -> str:
    """One JSON object a line: epoch, loss (nats), validation accuracy (fraction), seconds, images a second."""
    lines = [
        json.dumps(asdict(epoch) | {"images_per_second": round(images / max(epoch.seconds, 1e-9), 1)})
        for epoch in history
    ]
    return "".join(f"{line}\n" for line in lines)


def _writer(wanted: bool, run: Run) -> Any:
    if not wanted:
        return None
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise RunError("--tensorboard needs the package tensorboard: python -m pip install tensorboard") from None
    return SummaryWriter(str(run.path / "tensorboard"))


def _announce(run: Run, settings: TrainSettings, images: Path, where: Where, out: Console) -> None:
    about, recipe = info(images), settings.recipe
    total = cost(settings.architecture, classes=len(about.classes))
    out.print(f"run {run.name} in {run.path.parent}/", style="bold")
    out.print(
        f"{settings.name}: {format_count(total.flops)} FLOPs, {format_count(total.params)} parameters at "
        f"{settings.resolution} px and {len(about.classes)} classes"
    )
    loaded, kind = load(images), " (synthetic images)" if about.synthetic else ""
    out.print(
        f"data {about.name}{kind}: {len(loaded.train):,} images to train on, {len(loaded.validation):,} to validate "
        f"on; {recipe.optimizer}, batch {recipe.batch}, peak rate {recipe.rate:g}, "
        f"{counted(settings.epochs, 'epoch')}, on {where}"
    )

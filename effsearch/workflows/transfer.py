"""How well networks transfer to image sets: each is trained on each, from its weights or from fresh ones."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from effsearch.costs import cost
from effsearch.data import info, load
from effsearch.engine.driver import Evaluator
from effsearch.engine.transfer_problem import TransferProblem
from effsearch.errors import QuantityError, RunError
from effsearch.evaluation.fine_tuning import FineTuning
from effsearch.evaluation.linear_probe import LinearProbe
from effsearch.evaluation.proxy import OVERHEAD, Proxy
from effsearch.network.pretrained import pretrained_name
from effsearch.network.weights import Start
from effsearch.runs.folder import Run, environment
from effsearch.runs.manifest import Data, Limits, Manifest
from effsearch.runs.transfer_settings import IMAGENET, SCRATCH, TransferNetwork, TransferSet, TransferSettings
from effsearch.text import counted, format_count, format_duration
from effsearch.training.recipe import recipe_of
from effsearch.workflows import common
from effsearch.workflows.common import Listener, Outcome, Session, never
from effsearch.workflows.machine import Started, speeds_of, start, start_again, workers_here
from effsearch.workflows.request import TransferRequest, plain_name, resolve
from effsearch.workflows.weights import start_of, trained, weights_file

RECIPE = "finetune"


@dataclass(frozen=True)
class Prepared:
    """What is trained, what each network begins from, and the packed image sets."""

    settings: TransferSettings
    starts: tuple[Start | None, ...]
    folders: tuple[Path, ...]

    def problem(self, seeds: int) -> TransferProblem:
        return TransferProblem(self.settings, seeds, self.starts)

    def evaluator(self, device: str) -> Evaluator:
        settings = self.settings
        if settings.linear:
            return LinearProbe(self.folders, settings.train_images, device)
        return FineTuning(self.folders, settings.train_images, device, settings.recipe, settings.epochs)


def transfer_networks(request: TransferRequest, listener: Listener, stopping: Callable[[], bool] = never) -> Outcome:
    """Makes or continues a run, and drives it; raises EffsearchError before anything is written."""
    request.check_limits()
    existing = request.existing()
    session = _begin(request, listener) if existing is None else _continue(request, existing, listener)
    return common.run_session(session, listener, stopping)


def plan_transfer(request: TransferRequest, listener: Listener) -> None:
    """Says what would be trained, and how long that may take; raises EffsearchError as the training would."""
    request.check_limits()
    if request.existing() is not None:
        raise QuantityError("--dry-run plans new trainings: give another --run name, or leave out --resume")
    prepared = prepare(request, listener)
    _announce(prepared.problem(request.seeds or 1), workers_here(request.workers)[1], listener)
    networks, settings = prepared.settings.networks, prepared.settings
    speeds = speeds_of([(network.architecture, _as_proxy(network, settings)) for network in networks], listener)
    seconds = 0.0
    for images in settings.sets:
        for speed in speeds:
            shown = 0 if settings.linear else settings.epochs * images.train
            seen = images.validation + images.test + (images.train if settings.linear else 0)
            seconds += shown * speed.train + seen * speed.validate + OVERHEAD
    total = seconds * (request.seeds or 1) / workers_here(request.workers)[0]
    listener.note(f"about {format_duration(total)} in all, from a short measurement", "bold")


def prepare(request: TransferRequest, listener: Listener) -> Prepared:
    """Finds the networks with their weights, and packs the image sets; raises EffsearchError."""
    if not request.networks:
        raise QuantityError("transfer needs a network such as efficientnet_lite0, RUN:1 or a run of train")
    if not request.sets:
        raise QuantityError("transfer needs image sets: --data DIR, or several with commas between them")
    found = list(_networks(request, listener))
    side = max(network.architecture.resolution for network, _ in found)
    folders = tuple(common.pack(data, side, listener) for data in request.sets)
    recipe, epochs = recipe_of(request.recipe or RECIPE)
    networks = tuple(network for network, _ in found)
    largest = max(networks, key=lambda network: cost(network.architecture).params)
    settings = TransferSettings(
        networks=networks,
        sets=tuple(_set(data, folder, request) for data, folder in zip(request.sets, folders, strict=True)),
        recipe=recipe,
        train_images=request.train_images,
        linear=request.linear,
        **{"epochs": epochs, "reference": largest.name, **request.settings},
    )
    for images in settings.sets:
        if not settings.linear and images.train < recipe.batch:
            raise QuantityError(f"a batch has {recipe.batch} images, but {images.name} trains on {images.train}")
    return Prepared(settings, tuple(start for _, start in found), folders)


def _networks(request: TransferRequest, listener: Listener) -> Iterator[tuple[TransferNetwork, Start | None]]:
    """Each network with what it begins from, and with `scratch` once more with fresh weights."""
    for text in request.networks:
        network, start = _network(text, request)
        if start is None and not request.scratch:
            listener.note(f"{network.name} has no weights to begin from: it is trained from fresh ones", "yellow")
        yield network, start
        if request.scratch and start is not None:
            yield replace(network, name=f"{network.name}-{SCRATCH}", weights=SCRATCH), None


def _network(text: str, request: TransferRequest) -> tuple[TransferNetwork, Start | None]:
    """A network with the weights of its file or run, or of ImageNet; None where it has none."""
    if weights_file(text, request.results) is not None:
        (held, name), given = trained(text, request.results), text
        architecture = held.architecture
    else:
        architecture, name = resolve(text, request.results)
        given = IMAGENET if pretrained_name(architecture) is not None else ""
    if request.resolution is not None:
        architecture = replace(architecture, resolution=request.resolution)
    start, digest = start_of(given or None, False, architecture, request.results)
    asked = given if given not in ("", IMAGENET) else text
    return TransferNetwork(plain_name(name, "network"), architecture.notation, digest or SCRATCH, asked), start


def _set(data: str, folder: Path, request: TransferRequest) -> TransferSet:
    about, images = info(folder), load(folder)
    train = min(len(images.train), request.train_images or len(images.train))
    counts = train, len(images.validation), about.counts.get("test", 0)
    return TransferSet(plain_name(about.name, "images"), data, about.digest, len(about.classes), *counts)


def _as_proxy(network: TransferNetwork, settings: TransferSettings) -> Proxy:
    """What stands for a training of a network where its speed is measured."""
    side, batch = network.architecture.resolution, settings.recipe.batch
    return Proxy(RECIPE, side, 1.0, settings.epochs, batch, batch, divisor=8, recipe=settings.recipe)


def _begin(request: TransferRequest, listener: Listener) -> Session:
    prepared, seeds = prepare(request, listener), request.seeds or 1
    problem = prepared.problem(seeds)
    started = start(request.workers, request.cluster, *prepared.folders)
    names = [images.name for images in prepared.settings.sets]
    manifest = Manifest(
        started.where.noted(environment("transfer")),
        prepared.settings,
        Data(", ".join(names)),
        Limits(0, request.seconds, seeds),
    )
    run = common.create_stored(request, f"transfer-{names[0]}", manifest)
    common.announce(run, listener)
    _announce(problem, started.words, listener)
    return _session(request, run, prepared, problem, started)


def _continue(request: TransferRequest, run: Run, listener: Listener) -> Session:
    run, manifest, stored = common.reopen(request, run, "transfer", TransferSettings)
    if request.says_what:
        prepared = prepare(request, listener)
        # Where the images are may change, as long as they are the same.
        same = {images.digest: images.data for images in stored.sets}
        sets = tuple(replace(each, data=same.get(each.digest, each.data)) for each in prepared.settings.sets)
        common.refuse_changes(run, stored, replace(prepared.settings, sets=sets))
    else:
        prepared = _again(request, run, stored, listener)
    problem = prepared.problem(request.seeds or manifest.limits.seeds or 1)
    started = start_again(request, run, *prepared.folders)
    common.announce(run, listener)
    return _session(request, run, prepared, problem, started)


def _again(request: TransferRequest, run: Run, stored: TransferSettings, listener: Listener) -> Prepared:
    """What a run was made with, found again; raises RunError where weights or images are others now."""
    starts, side = [], max(network.architecture.resolution for network in stored.networks)
    for network in stored.networks:
        asked = {SCRATCH: None, IMAGENET: IMAGENET}.get(network.weights, network.asked)
        start, digest = start_of(asked, False, network.architecture, request.results)
        if start is not None and digest != network.weights:
            raise RunError(f"run {run.name} was made with other weights of {network.name}; choose another --run name")
        starts.append(start)
    folders = tuple(common.pack(images.data, side, listener) for images in stored.sets)
    for images, folder in zip(stored.sets, folders, strict=True):
        common.check_images(run, Data(images.name, digest=images.digest), folder, images.data)
    return Prepared(stored, tuple(starts), folders)


def _session(
    request: TransferRequest, run: Run, prepared: Prepared, problem: TransferProblem, started: Started
) -> Session:
    evaluator = prepared.evaluator(started.where.device)
    return Session(run, problem, evaluator, started.executor, request.seconds, problem.repeats)


def _announce(problem: TransferProblem, where: str, listener: Listener) -> None:
    """Says what is trained, on what and how."""
    settings = problem.settings
    for network in settings.networks:
        total = cost(network.architecture)
        costs = f"{format_count(total.flops)} FLOPs, {format_count(total.params)} parameters"
        begins = {IMAGENET: "ImageNet's weights", SCRATCH: "fresh weights"}.get(network.weights, network.asked)
        listener.note(f"{network.name}: {costs} at {network.architecture.resolution} px, from {begins}")
    for images in settings.sets:
        test = f"{images.test:,} to test on" if images.test else "none to test on"
        listener.note(
            f"{images.name}: {images.classes} classes, {images.train:,} images to train on, {images.validation:,} to "
            f"validate on, {test}"
        )
    recipe = settings.recipe
    how = (
        "a linear classifier on features"
        if settings.linear
        else (
            f"{counted(settings.epochs, 'epoch')}, {recipe.optimizer}, batch {recipe.batch}, peak rate {recipe.rate:g}"
        )
    )
    trainings = len(problem.candidates) * problem.repeats
    listener.note(f"{counted(trainings, 'training')} on {where}: {how}")

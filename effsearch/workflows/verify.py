"""Whether what a run named is still the best after long training: networks found and their rivals, under new seeds."""

import re
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean
from typing import Any

from effsearch.architecture import Architecture
from effsearch.data import count_images, divided, info
from effsearch.data.sources import TEST, VALIDATION
from effsearch.engine.search_problems import Budget, drawn_architectures
from effsearch.engine.verify_problem import VerifyProblem
from effsearch.errors import EffsearchError, QuantityError, RunError, SpaceError
from effsearch.evaluation.proxy import Proxy
from effsearch.executors.latency_profiler import LatencyProfiler
from effsearch.limits import SEEDS
from effsearch.reports.coefficients import Answer
from effsearch.reports.verification import (
    COMPOUND,
    FOUND,
    PLAN_CAPTION,
    RANDOM,
    REFERENCES,
    ROLES,
    Verification,
    plan_table,
)
from effsearch.runs.comparison import smallest_difference
from effsearch.runs.folder import LATENCIES, Run, find
from effsearch.runs.history import read_history
from effsearch.runs.manifest import Limits
from effsearch.runs.ranking import Row, measure_noise, read_ranking
from effsearch.runs.settings import GridSettings, NasSettings, TableSettings, VerifiedNetwork, VerifySettings
from effsearch.space import load as load_space
from effsearch.text import counted, format_duration
from effsearch.workflows import common
from effsearch.workflows.common import Listener, Outcome, Session, never
from effsearch.workflows.machine import begin, continue_on, packed_side, speeds_of, training_session, workers_here
from effsearch.workflows.request import VerifyRequest, plain_name, resolve

TIMES, SEEDS_EACH = 10, 3
AGAINST: tuple[str, ...] = ("b0", "random:3")
"""What networks of a search are compared with; those of a grid are with its own references."""
ASSUMED = 0.01  # deviation of accuracy between seeds where the run trained no network twice
DRAWS = 20_000  # random architectures that may miss the window before it is taken to be empty
MOST_RANDOM = 100
TIMED = 8  # networks whose speed is measured for a plan
MOST_SEED = SEEDS[1]
_RANDOM = re.compile(r"random:(\d{1,9})")
Search = NasSettings | GridSettings


@dataclass(frozen=True)
class Plan:
    """What is to be trained of which run, and seconds an image here in training and in validation (means of networks).

    `sd` is the deviation of accuracy between seeds in the run (a fraction), None where it was not measured.
    """

    problem: VerifyProblem
    searched: Run
    train: float
    validate: float
    sd: float | None


def verify_networks(request: VerifyRequest, listener: Listener, stopping: Callable[[], bool] = never) -> Outcome:
    """Makes or continues a run, and drives it; raises EffsearchError before anything is written."""
    request.check_limits()
    existing = request.existing()
    session = _begin(request, listener) if existing is None else _continue(request, existing, listener)
    outcome = common.run_session(session, listener, stopping)
    return replace(outcome, notes=Verification(outcome.run.settings(VerifySettings), outcome.status.records).lines())


def plan_verification(request: VerifyRequest, listener: Listener) -> None:
    """Shows the networks, how long their trainings may take, and what difference they can tell."""
    request.check_limits()
    if request.existing() is not None:
        raise QuantityError("--dry-run plans new trainings: give another --run name, or leave out --resume")
    plan = make_plan(request, listener)
    settings = plan.problem.settings
    listener.table(plan_table(settings), f"{settings.run}, verified")
    listener.note(PLAN_CAPTION, "dim")
    summarise(plan, *workers_here(request.workers), listener)


def make_plan(request: VerifyRequest, listener: Listener) -> Plan:
    """What is to be trained, and how fast this machine is; raises EffsearchError."""
    if request.searched is None:
        raise QuantityError("verify needs a RUN of nas or of grid, or --resume RUN to go on with one of its own")
    searched = find(request.results, request.searched)
    rows = read_ranking(searched.ranking)
    settings = settings_of(request, searched, rows, listener)
    for network in settings.networks:  # Complains of what cannot be built before anything is measured.
        settings.proxy.shrink(network.architecture)
    speeds = speeds_of([_at_its_px(network, settings) for network in settings.networks[:TIMED]], listener)
    noise = measure_noise(rows)
    train, validate = mean(speed.train for speed in speeds), mean(speed.validate for speed in speeds)
    problem = VerifyProblem(settings, request.seeds or SEEDS_EACH)
    return Plan(problem, searched, train, validate, None if noise is None else noise.sd)


def summarise(plan: Plan, at_once: int, where: str, listener: Listener) -> None:
    """Says what is trained, how long it may take, and how small a difference it can tell."""
    problem, settings = plan.problem, plan.problem.settings
    networks, seeds, proxy = len(problem.candidates), problem.seeds, settings.proxy
    took = format_duration(problem.planned_seconds(plan.train, plan.validate, at_once))
    listener.note(
        f"{counted(networks, 'network')} under {counted(len(seeds), 'seed')} ({seeds[0]} to {seeds[-1]}, which the run "
        f"did not use): {counted(networks * len(seeds), 'training')} of {counted(proxy.epochs, 'epoch')} x "
        f"{counted(proxy.train_images, 'image')}, about {took} on {where}, from a short measurement"
    )
    sd = ASSUMED if plan.sd is None else plan.sd
    basis = f"{100 * sd:.1f} points, as in {settings.run}" if plan.sd is not None else "1 point, which is assumed"
    points = 100 * smallest_difference(sd, networks, len(seeds), Verification(settings, ()).choices)
    listener.note(f"can tell two networks apart that differ by {points:.1f} points, if the seeds' sd is {basis}")


def settings_of(request: VerifyRequest, searched: Run, rows: Sequence[Row], listener: Listener) -> VerifySettings:
    """What is trained for a run with that ranking; raises EffsearchError."""
    search, data = _search(searched), request.settings.get("data")
    if data is None and not searched.manifest().data.digest:
        raise QuantityError(f"run {searched.name} trained nothing on images: say by --data on which to verify it")
    trained = {row.key: row.accuracy for row in rows if row.accuracy is not None and row.epochs == rows[0].epochs}
    if not trained:
        raise RunError(f"run {searched.name} has no accuracy yet, so there is nothing to verify")
    against, top = request.against, request.top or 1
    if against is None:
        against = AGAINST if isinstance(search, NasSettings) else ()
    found = _found(searched, search, rows, top)
    networks = _distinct([*found, *_against(against, search, request)], listener)
    if count := sum(_randoms(text) for text in against):
        networks |= random_networks(searched, search, count, networks)
    if len(networks) < 2:
        raise QuantityError(f"--against must name a network besides {found[0].role}, got {','.join(against)!r:.80}")
    counts = searched.manifest().data.counts
    images = divided(counts) if counts else count_images(search.data if data is None else data)
    return VerifySettings(
        run=searched.name,
        networks=tuple(replace(network, accuracy=trained.get(key)) for key, network in networks.items()),
        data=search.data if data is None else data,
        proxy=request.longer_proxy(search.proxy, TIMES, images),
        resolution=search.resolution,
        run_epochs=search.proxy.epochs,
        run_images=search.proxy.limited(images).train_images,
        top=top,
        against=against,
        classes=search.classes,
        seed=_first_seed(request, searched, search),
    )


def _search(searched: Run) -> Search:
    """The settings of a run that can be verified; raises RunError for another."""
    settings = searched.manifest().settings
    if isinstance(settings, NasSettings | GridSettings):
        return settings
    what = "looks networks up in a table" if isinstance(settings, TableSettings) else f"is of effsearch {searched.kind}"
    raise RunError(f"run {searched.name} {what}; verify takes a run of nas or of grid")


def _found(searched: Run, search: Search, rows: Sequence[Row], top: int) -> list[VerifiedNetwork]:
    """The first of a ranking; for a grid the first candidates, and what it compares them with."""
    if isinstance(search, NasSettings):
        return [VerifiedNetwork(row.notation, FOUND) for row in rows[:top] if row.rank is not None]
    if (answer := Answer.of(search, rows)) is None:
        raise RunError(f"run {searched.name} has found no coefficients yet, so there is nothing to verify")
    cells = {cell.name: cell.architecture.notation for cell in search.cells() if cell.name}
    compounds = [VerifiedNetwork(row.notation, COMPOUND) for row in answer.candidates[:top]]
    return compounds + [VerifiedNetwork(cells[name], name) for name in REFERENCES if name in cells]


def _against(texts: Sequence[str], search: Search, request: VerifyRequest) -> Iterator[VerifiedNetwork]:
    """The networks that --against names, at the px of a search; raises EffsearchError."""
    for text in texts:
        if _randoms(text):
            if isinstance(search, GridSettings):
                raise QuantityError(f"--against {text}: a grid has no space to draw random networks from")
            continue
        try:
            network, name = resolve(text, request.results)
        except EffsearchError as error:
            raise type(error)(f"--against: {error}, or random:N") from None
        network = replace(network, resolution=search.resolution) if isinstance(search, NasSettings) else network
        named = name not in ROLES and name != "the architecture"
        yield VerifiedNetwork(network.notation, name if named else network.key)


def _randoms(text: str) -> int:
    """How many random networks a word of --against asks for; raises QuantityError."""
    if (asked := _RANDOM.fullmatch(text)) is None:
        return 0
    if not 1 <= (count := int(asked[1])) <= MOST_RANDOM:
        raise QuantityError(f"--against random:N takes N from 1 to {MOST_RANDOM}, got {text}")
    return count


def _distinct(networks: Iterable[VerifiedNetwork], listener: Listener) -> dict[str, VerifiedNetwork]:
    """The networks by key, each in the first of its roles; says which is in two."""
    found: dict[str, VerifiedNetwork] = {}
    for network in networks:
        first = found.setdefault(network.architecture.key, network)
        if first.role != network.role:
            listener.note(f"{network.role} is the network of {first.role}, and is trained once", "yellow")
    return found


def random_networks(searched: Run, search: Search, count: int, others: Container[str]) -> dict[str, VerifiedNetwork]:
    """Random networks of the space of a run within its window and limits, by key, always the same; raises SpaceError.

    A latency is as the run predicts it, so that nothing is measured.
    """
    assert isinstance(search, NasSettings)
    space = load_space(str(searched.space)).at(search.resolution)
    profiler = None
    if search.latency is not None:
        profiler = LatencyProfiler.read(search.latency, search.classes, searched.path / LATENCIES)
    found = dict[str, VerifiedNetwork]()
    for network in drawn_architectures(space, Budget(search, profiler), DRAWS):
        if network.key not in others:
            found.setdefault(network.key, VerifiedNetwork(network.notation, RANDOM))
        if len(found) == count:
            return found
    raise SpaceError(
        f"--against random:{count}: {len(found)} of {DRAWS:,} random architectures of space {search.space} are others "
        f"and have {search.constraints}"
    )


def _first_seed(request: VerifyRequest, searched: Run, search: Search) -> int:
    """The first of seeds that the run did not use, so that the luck of its winner is not counted again.

    Raises QuantityError where seeds are asked for that it did use.
    """
    history, seeds = read_history(searched), request.seeds or SEEDS_EACH
    used = set(range(search.seed, search.seed + search.repeats))
    used |= set() if history is None else {record.candidate.seed for record in history.records}
    asked = request.settings.get("seed")
    if asked is None:
        last = max(used)
        return last + 1 if last + seeds <= MOST_SEED else 0
    if again := sorted(used.intersection(range(asked, asked + seeds))):
        raise QuantityError(f"--seed must be one from which no seed is the run's own, got {asked}: it used {again[0]}")
    return int(asked)


def _at_its_px(network: VerifiedNetwork, settings: VerifySettings) -> tuple[Architecture, Proxy]:
    architecture = network.architecture
    return architecture, settings.proxy.scaled(architecture.resolution / settings.resolution)


def _begin(request: VerifyRequest, listener: Listener) -> Session:
    plan = make_plan(request, listener)
    images = common.pack(plan.problem.settings.data, packed_side(plan.problem), listener)
    if (before := plan.searched.manifest().data).digest:
        common.check_images(plan.searched, before, images, plan.problem.settings.data)
    plan = _on_held_out(plan, images)
    problem, settings = plan.problem, plan.problem.settings
    stem, limits = f"verify-{plain_name(settings.run, 'run')}", Limits(0, request.seconds, problem.repeats)
    run, started = begin(request, "verify", stem, problem, limits, listener, images)
    listener.note(common.describe_data(started.images, settings.proxy))
    listener.note("networks: " + ", ".join(settings.names))
    summarise(plan, started.at_once, started.words, listener)
    return training_session(request, run, problem, started, problem.repeats, settings.split, settings.seed)


def _on_held_out(plan: Plan, images: Path) -> Plan:
    """The same with accuracies on test images, where the set has some: the run chose its networks by the others."""
    split = TEST if TEST in info(images).counts else VALIDATION
    settings = replace(plan.problem.settings, split=split)
    return replace(plan, problem=VerifyProblem(settings, plan.problem.repeats))


def _continue(request: VerifyRequest, run: Run, listener: Listener) -> Session:
    run, manifest, stored = common.reopen(request, run, "verify", VerifySettings)
    common.refuse_changes(run, stored, replace(_wanted(request, stored), data=stored.data))
    problem = VerifyProblem(stored, request.seeds or manifest.limits.seeds or SEEDS_EACH)
    data = request.settings.get("data", stored.data)
    started = continue_on(request, run, manifest, data, packed_side(problem), listener)
    common.announce(run, listener)
    return training_session(request, run, problem, started, problem.repeats, stored.split, stored.seed)


def _wanted(request: VerifyRequest, stored: VerifySettings) -> VerifySettings:
    """The settings of a run that is continued, with what is asked for in place of its own."""
    asked = {"top": request.top, "against": request.against, "seed": request.settings.get("seed")}
    if request.searched is not None:
        asked["run"] = find(request.results, request.searched).name
    changed: dict[str, Any] = {name: value for name, value in asked.items() if value is not None}
    longer = request.times is not None or request.proxy is not None
    proxy, images = stored.proxy, (stored.proxy.train_images, stored.proxy.validation_images)
    base = replace(proxy, epochs=stored.run_epochs, train_images=stored.run_images or images[0]) if longer else proxy
    return replace(stored, **changed, proxy=request.longer_proxy(base, 1, images))

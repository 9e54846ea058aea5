"""The search for a network within a compute budget: by trainings, by predictions, or by a function of one's own."""

import math
import random
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, replace
from itertools import islice
from pathlib import Path
from typing import Literal

from effsearch.architecture import Architecture, parse
from effsearch.costs import cost, cost_range
from effsearch.engine.driver import Evaluator
from effsearch.engine.search_problems import Budget, NasProblem, known_architectures
from effsearch.errors import QuantityError, RunError, SpaceError, listed
from effsearch.evaluation import QUICK, FunctionEvaluator, Proxy, predicted
from effsearch.evaluation.devices import gpus
from effsearch.evaluation.proxy_training import ProxyTraining
from effsearch.executors.latency_profiler import LatencyProfiler
from effsearch.executors.local import Executor, InlineExecutor, LocalExecutor
from effsearch.families import EFFICIENTNET_B0
from effsearch.prior import lies_in_skeleton
from effsearch.reward import format_cost
from effsearch.runs.folder import LATENCIES, Run, environment
from effsearch.runs.manifest import Data, Limits, Manifest
from effsearch.runs.ranking import Row, read_ranking
from effsearch.runs.settings import LatencyConditions, NasSettings
from effsearch.runs.storage import stored as stored_run
from effsearch.space import Space, load as load_space, locate as locate_space
from effsearch.text import counted, format_count
from effsearch.workflows import common
from effsearch.workflows.common import Listener, Outcome, Session, never
from effsearch.workflows.machine import Started, Where, continue_on, processor, start, workers_here
from effsearch.workflows.nas_plan import Plan, Planner, announce, default_trials
from effsearch.workflows.proxy_choice import default_proxy
from effsearch.workflows.request import NO_TARGET, SearchRequest, resolve

# Of presets whose first epochs tell which networks deserve the rest (docs/search.md).
RUNGS = {"quick": (2, 4), "standard": (2, 4), "large": (1, 2, 5), "full": (1, 3, 10)}
# Evaluators that train nothing, and what stands in place of an image set there.
UNTRAINED = {"prior": "ImageNet (predicted)", "function": "a function"}
FINALISTS = 5  # with the rungs of larger presets, which leave time to train more networks again
TIMED = 24  # networks whose latency is measured before a search, to predict that of the others
DRAWS = 20_000  # random architectures that may miss the window before it is taken to be empty
BEST = 5  # networks of a run that another begins with


def search_networks(request: SearchRequest, listener: Listener, stopping: Callable[[], bool] = never) -> Outcome:
    """Makes or continues a run, and drives it; raises EffsearchError before anything is written."""
    common.check_search(request)
    request.proxy_from(default_proxy())  # Complains of what is no proxy.
    if request.pool or request.measurements:
        raise QuantityError("--pool and --measurements are for a --table")
    existing = request.existing()
    with ExitStack() as opened:
        run, problem, started, plan = (
            _begin(request, listener, opened) if existing is None else _continue(request, existing, listener)
        )
        evaluator, executor = _evaluation(request, problem.settings, started)
        _announce(run, problem, started, plan, listener)
        opened.pop_all()
    close = never if problem.profiler is None else problem.profiler.close
    session = Session(run, problem, evaluator, executor, request.seconds, problem.trials, close=close)
    outcome = common.run_session(session, listener, stopping)
    return replace(outcome, notes=[_baseline_line(problem, outcome.rows)])


def plan_networks(request: SearchRequest, listener: Listener) -> None:
    """Says what would be searched and how, and how long that may take; raises EffsearchError as the search would."""
    common.check_search(request)
    if request.existing() is not None:
        raise QuantityError("--dry-run plans a new search: give another --run name, or leave out --resume")
    _, space, plan = _planned(request, listener, measure=True)
    settings, problem = plan.settings, NasProblem(space, plan.settings, plan.trials)
    listener.note(_space_line(problem))
    if settings.evaluator != "training":
        listener.note(f"{counted(problem.trials, 'architecture')}, each by {settings.data}: nothing is trained")
        return
    listener.note(f"data {settings.data}; {common.describe_proxy(settings.proxy)}")
    announce(plan, problem, workers_here(request.workers)[1], listener)


Begun = tuple[Run, NasProblem, Started | None, Plan]  # the workers only where something is trained


def _begin(request: SearchRequest, listener: Listener, opened: ExitStack) -> Begun:
    """Checks everything that is asked for, and only then makes the run's folder."""
    file, space, plan = _planned(request, listener)
    settings, images, started, profiler = plan.settings, None, None, None
    where, data, files = Where(), Data(settings.data), {"space.toml": file.read_text(encoding="utf-8")}
    if settings.evaluator == "training":
        images = common.pack(settings.data, settings.proxy.resolution, listener)
        data = common.about_images(images, settings.proxy)
    if settings.timed:
        profiler = _profile(space, settings, listener, opened)
        _check_known(space, Budget(settings, profiler))
    settings = replace(settings, start=_starts(request, space, Budget(settings, profiler)))
    if images is not None:
        started = start(request.workers, request.cluster, images)
        where = started.where
    manifest = Manifest(where.noted(environment("nas")), settings, data, Limits(plan.trials, request.seconds))
    if profiler is not None:
        files[LATENCIES] = profiler.document()
    run = common.create_stored(request, f"nas-{common.short(settings.score)}", manifest, files)
    if profiler is not None:
        profiler.file = run.path / LATENCIES
    return run, NasProblem(space, settings, plan.trials, profiler), started, plan


def _planned(request: SearchRequest, listener: Listener, measure: bool = False) -> tuple[Path, Space, Plan]:
    """The file of the space, the space, and the plan of a new search; raises EffsearchError."""
    if "target" not in request.settings:
        raise QuantityError(NO_TARGET)
    file = locate_space(request.settings.get("space", "b0" if _evaluator(request) == "prior" else "mbconv"))
    space = load_space(str(file))
    settings = _new_settings(request, space, default_proxy())
    space = space.at(settings.resolution)
    if settings.evaluator == "prior" or settings.prior:
        _check_skeleton(space)
    _check_window(space, settings)
    if not settings.timed:
        _check_known(space, Budget(settings))

    def settings_by(preset: Proxy) -> NasSettings:
        found = _new_settings(request, space, preset)
        found.proxy.check(space)
        return found

    return file, space, Planner(request, space, settings_by, listener).plan(measure)


def _new_settings(request: SearchRequest, space: Space, preset: Proxy) -> NasSettings:
    """The defaults, which follow from evaluator and preset, with what is asked for in place of them."""
    evaluator = _evaluator(request)
    untrained = evaluator in UNTRAINED
    if untrained:
        _check_untrained(request, evaluator)
    base = NasSettings(
        space=space.name,
        target=request.settings["target"],
        resolution=_resolution(space, request.settings.get("resolution")),
        data=UNTRAINED.get(evaluator, "scenes"),
        # Neither a prediction nor a function takes a seed, so nothing is repeated; nor is a proxy used.
        proxy=preset,
        repeats=1 if untrained else 3,
    )
    settings = replace(_changed(request, base), space=space.name)
    if "rungs" not in request.settings and "epochs" not in request.changes and not untrained:
        settings = replace(settings, rungs=RUNGS.get(settings.proxy.name, ()))
    more = settings.rungs and settings.proxy.name != QUICK.name
    return replace(settings, finalists=FINALISTS) if more else settings


def _evaluator(request: SearchRequest) -> str:
    return "function" if request.function is not None else str(request.settings.get("evaluator", "training"))


def _changed(request: SearchRequest, base: NasSettings) -> NasSettings:
    """The settings `base` with what is asked for in place of their own; raises QuantityError."""
    evaluator = {"evaluator": "function"} if request.function is not None else {}
    settings = replace(base, **{**request.settings, **evaluator, "proxy": request.proxy_from(base.proxy)})
    if settings.evaluator == "function" and request.function is None:
        raise QuantityError("this run asks a function for accuracies: give it again, in Python")
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


def _continue(request: SearchRequest, run: Run, listener: Listener) -> Begun:
    manifest, stored = run.manifest(), run.settings(NasSettings)
    run = stored_run(run, manifest.storage, request.storage)
    wanted = _changed(request, stored)
    space = load_space(str(run.space))
    if "space" in request.settings:
        file = locate_space(request.settings["space"])
        same = file.read_text(encoding="utf-8") == run.space.read_text(encoding="utf-8")
        wanted = replace(wanted, space=file.stem if file.stem != stored.space or same else f"another {file.stem}")
    profiler = None
    if stored.latency is not None:
        profiler = LatencyProfiler.read(stored.latency, stored.classes, run.path / LATENCIES)
    space = replace(space, name=stored.space).at(stored.resolution)
    if request.start:
        wanted = replace(wanted, start=_starts(request, space, Budget(stored, profiler)))
    common.refuse_changes(run, stored, replace(wanted, data=stored.data))
    started = None
    if stored.evaluator == "training":
        started = continue_on(request, run, manifest, wanted.data, wanted.proxy.resolution, listener)
    trials = request.trials or manifest.limits.trials or default_trials(request, stored)
    return run, NasProblem(space, stored, trials, profiler), started, Plan(stored, trials)


def _evaluation(request: SearchRequest, settings: NasSettings, started: Started | None) -> tuple[Evaluator, Executor]:
    if started is not None:
        return ProxyTraining(settings.proxy, started.images, device=started.where.device), started.executor
    if request.function is None:
        return predicted, InlineExecutor()
    workers = request.workers or 1
    return FunctionEvaluator(request.function), InlineExecutor() if workers == 1 else LocalExecutor([None] * workers)


def _announce(run: Run, problem: NasProblem, started: Started | None, plan: Plan, listener: Listener) -> None:
    settings, profiler = problem.settings, problem.profiler
    common.announce(run, listener)
    listener.note(_space_line(problem))
    if profiler is not None and settings.latency is not None:
        listener.note(
            f"latency on {settings.latency.name}: measured of each network before it is trained, while trainings rest; "
            f"for the search predicted to {100 * profiler.error:.0f} % (of {counted(TIMED, 'network')}, each left out "
            "in turn)"
        )
    if started is None:
        by = "predicted by the prior" if settings.evaluator == "prior" else f"by {settings.data}"
        listener.note(f"{counted(problem.trials, 'architecture')}, each {by}: nothing is trained")
        return
    listener.note(common.describe_data(started.images, settings.proxy))
    announce(plan, problem, started.words, listener)


def _space_line(problem: NasProblem) -> str:
    settings, space = problem.settings, problem.space
    begins = " that begins from predicted ImageNet accuracies" if settings.prior else ""
    return (
        f"space {space.name}: {space.size:.3g} architectures; target {settings.score.aim}, {settings.constraints} are "
        f"trained; {settings.sampler} sampler{begins}, seed {settings.seed}"
    )


def _baseline_line(problem: NasProblem, rows: Sequence[Row]) -> str:
    """How B0 did, or why it has no row."""
    settings, space = problem.settings, problem.space
    b0 = replace(EFFICIENTNET_B0, resolution=settings.resolution)
    flops = format_count(cost(b0, classes=settings.classes).flops)
    row = next((row for row in rows if row.key == b0.key), None)
    if row is not None and row.rank is not None and row.accuracy is not None:
        return f"EfficientNet-B0 for comparison: rank {row.rank}, {100 * row.accuracy:.1f} %, {flops} FLOPs"
    if row is not None:
        return f"EfficientNet-B0 ({flops} FLOPs): {row.state}{f', {row.reason}' if row.reason else ''}"
    why = "outside the window or the limits" if space.contains(b0) else f"not in space {space.name}"
    return f"EfficientNet-B0 ({flops} FLOPs) is {why}: not trained"


def _starts(request: SearchRequest, space: Space, budget: Budget) -> tuple[str, ...]:
    """The notations to begin with, each once, at the resolution of the search; raises EffsearchError.

    A network that is named must lie in the space, the window and the limits. Of a run, those that do so are taken,
    the best first, at most BEST.
    """
    found: dict[str, None] = {}
    for text in request.start:
        run = Run(request.results / text)
        if "/" not in text and (run.path / "run.toml").is_file():
            if not (best := _best_of(run, space, budget)):
                raise RunError(f"--start {text}: none of its networks lies in space {space.name} and the window")
            found |= dict.fromkeys(best)
        else:
            network = replace(resolve(text, request.results)[0], resolution=budget.settings.resolution)
            _check_start(text, network, space, budget)
            found[network.notation] = None
    return tuple(found)


def _best_of(run: Run, space: Space, budget: Budget) -> list[str]:
    ranked = (parse(row.notation) for row in read_ranking(run.ranking) if row.rank is not None)
    at_resolution = (replace(network, resolution=budget.settings.resolution) for network in ranked)
    allowed = (network for network in at_resolution if space.contains(network) and budget.confirmed(network))
    return [network.notation for network in islice(allowed, BEST)]


def _check_start(text: str, network: Architecture, space: Space, budget: Budget) -> None:
    settings = budget.settings
    if not space.contains(network):
        raise SpaceError(f"--start {text[:80]}: it does not lie in space {space.name} at {settings.resolution} px")
    costs = budget.measured(network)
    if not settings.allows(costs):
        measures = dict.fromkeys((settings.measure, *settings.limits))
        has = listed(format_cost(getattr(costs, measure), measure) for measure in measures)
        raise SpaceError(f"--start {text[:80]}: it has {has}, and allowed are {settings.constraints}")


def _check_untrained(request: SearchRequest, evaluator: str) -> None:
    given = [name for name in ("data", "rungs") if name in request.settings]
    given += ["proxy"] * (request.proxy is not None) + list(request.changes)
    if given:
        raise QuantityError(
            f"--evaluator {evaluator} trains nothing: leave out what a training has, got {listed(given)}"
        )


def _check_skeleton(space: Space) -> None:
    """Raises a SpaceError unless the prior knows the space."""
    rng = random.Random(0)
    if not all(lies_in_skeleton(space.decode(space.sample(rng))) for _ in range(DRAWS // 100)):
        raise SpaceError(
            f"the prior knows only networks of EfficientNet-B0's skeleton at 224 px: use --space b0, got {space.name} "
            f"at {space.choices['resolution'][0]} px"
        )


def _resolution(space: Space, asked: int | None) -> int:
    choices = space.choices["resolution"]
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
                f"no architecture of space {space.name} has {settings.constraints}: it spans "
                f"{format_count(least)} to {format_cost(most, measure)} at {settings.resolution} px"
            )


def _check_known(space: Space, budget: Budget) -> None:
    rng = random.Random(budget.settings.seed)
    if not known_architectures(space, budget) and not any(
        budget.feasible(space.decode(space.sample(rng))) for _ in range(DRAWS)
    ):
        raise SpaceError(
            f"none of {DRAWS:,} random architectures of space {space.name} has {budget.settings.constraints}; "
            "widen --flops-window or the limits"
        )


def _profile(space: Space, settings: NasSettings, listener: Listener, opened: ExitStack) -> LatencyProfiler:
    """A profiler that has measured a sample of the space, by which it predicts the others."""
    assert settings.latency is not None
    rng = random.Random(settings.seed)
    drawn = {network.key: network for network in (space.decode(space.sample(rng)) for _ in range(10 * TIMED))}
    sample = list(drawn.values())[:TIMED]
    if len(sample) < TIMED:
        raise SpaceError(f"space {space.name} is too small to learn its latency: {len(sample)} of {TIMED} networks")
    profiler = LatencyProfiler(settings.latency, settings.classes)
    opened.callback(profiler.close)
    with listener.busy(f"measuring the latency of {TIMED} networks") as said:
        for count, network in enumerate(sample, 1):
            profiler.measure(network)
            said(f"measuring the latency of {TIMED} networks: {count} done")
    profiler.learn(sample)
    return profiler

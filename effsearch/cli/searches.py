"""`effsearch nas`, `grid` and `curves`: arguments in, a search, what it found out."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

from effsearch.cli import options as opt
from effsearch.cli.options import Format, effort, given, goal, names, searching, space, training
from effsearch.errors import QuantityError, listed
from effsearch.scaling import AXES
from effsearch.space import shipped
from effsearch.text import parse_count, parse_latency, parse_whole_numbers, parse_window

PARSE: dict[str, Callable[[str, str], float]] = {"flops": parse_count, "params": parse_count, "latency": parse_latency}


@searching
def nas(
    target_flops: Annotated[
        str | None, goal("T: the FLOPs (multiply-adds) to aim at, such as 400M, 0.4G or 4e8.", metavar="COUNT")
    ] = None,
    target_params: Annotated[str | None, goal("T in parameters instead, such as 5M.", metavar="COUNT")] = None,
    target_latency: Annotated[
        str | None, goal("T as a latency measured on this machine instead, such as 20ms.", metavar="TIME")
    ] = None,
    max_flops: Annotated[str | None, goal("A limit besides the target: train nothing above.", metavar="COUNT")] = None,
    max_params: Annotated[str | None, goal("The same for parameters.", metavar="COUNT")] = None,
    max_latency: Annotated[str | None, goal("The same for latency.", metavar="TIME")] = None,
    flops_window: Annotated[
        str | None,
        goal(
            "Train only what costs LOW:HIGH times T.",
            "--flops-window",
            "--window",
            default="0.9:1.1",
            metavar="LOW:HIGH|none",
        ),
    ] = None,
    reward: Annotated[str | None, goal("soft, hard or absolute.", default="soft", metavar="KIND")] = None,
    exponent: Annotated[
        float | None, goal("w of the soft reward ACC x (cost/T)^w, beta of the absolute.", default="-0.07", metavar="W")
    ] = None,
    resolution: Annotated[
        int | None, goal("Input px at which FLOPs are counted.", default="the space's", metavar="PX")
    ] = None,
    classes: Annotated[int | None, goal("Classes for which FLOPs are counted.", default="1000", metavar="N")] = None,
    latency_device: Annotated[
        str | None,
        goal("Where latency is measured: cpu or cuda.", default="where networks are trained", metavar="DEVICE"),
    ] = None,
    latency_batch: Annotated[int | None, goal("Images at a time of that.", default="1", metavar="N")] = None,
    latency_threads: Annotated[int | None, goal("CPU threads of that.", default="1", metavar="N")] = None,
    space: Annotated[
        str | None,
        space(
            f"A search space: {listed(shipped())} or a .toml file.", default="mbconv", metavar="SPACE", among=shipped()
        ),
    ] = None,
    sampler: Annotated[
        str | None, space(f"{listed(opt.SAMPLERS)}.", default="auto", metavar="SAMPLER", among=opt.SAMPLERS)
    ] = None,
    start: Annotated[
        list[str] | None,
        space(
            "Train this first: ARCH, RUN:RANK, or a RUN's best; may be repeated.",
            metavar="ARCH",
            autocompletion=opt.complete_architecture,
        ),
    ] = None,
    warm_start: Annotated[
        bool | None, space("Train known networks first, or not.", "--warm-start/--cold", default="warm start")
    ] = None,
    prior: Annotated[
        bool | None,
        space("Begin from predicted ImageNet accuracies, in space b0.", "--prior/--no-prior", default="no prior"),
    ] = None,
    table: Annotated[
        Path | None, space("Search a benchmark table in place of training: a .csv or .parquet file.", metavar="FILE")
    ] = None,
    pool: Annotated[bool, space("Only the rows of the table, where it lacks some.", "--pool")] = False,
    measurements: Annotated[
        str | None, space("More columns of the table that are no decisions.", metavar="NAME,NAME")
    ] = None,
    evaluator: Annotated[
        str | None,
        training("training, or prior: predicted ImageNet accuracies, in space b0.", default="training", metavar="NAME"),
    ] = None,
    rungs: Annotated[
        str | None,
        training(
            "Epochs after which only the best go on: 1,3,9 or none.", default="the preset's", metavar="N,N,N|none"
        ),
    ] = None,
    trials: Annotated[
        int | None, effort("Architectures to finish.", default="20 to 60, as time allows", metavar="N")
    ] = None,
    **shared: Any,
) -> None:
    """Search a network for a compute budget: sample architectures, train each briefly, rank them by the reward."""
    options = {**locals(), **shared}
    settings = given(options, "space", "data", "sampler", "evaluator", "prior", "reward", "exponent")
    settings |= given(options, "resolution", "classes", "seed", "warm_start") | _costs(options)
    if flops_window is not None:
        settings["window"] = parse_window(flops_window, "--flops-window")
    if rungs is not None:
        settings["rungs"] = parse_whole_numbers(rungs, "--rungs") if rungs != "none" else ()
        if settings["rungs"] and options["epochs"] is None:
            options["epochs"] = settings["rungs"][-1]
    searched = opt.of_search(options)

    from effsearch.cli.terminal import search
    from effsearch.workflows.request import SearchRequest
    from effsearch.workflows.table import is_on_table, refuse_plan, search_table

    latency = {"latency_device": "device", "latency_batch": "batch", "latency_threads": "threads"}
    request = SearchRequest(
        settings=settings,
        trials=trials,
        start=tuple(start or ()),
        latency={latency[name]: value for name, value in given(options, *latency).items()},
        table=table,
        pool=pool,
        measurements=names(measurements),
        **searched,
    )
    if is_on_table(request):
        search("nas", request, shared["dry_run"], search_table, refuse_plan)
        return
    from effsearch.workflows.nas import plan_networks, search_networks  # A search of a table needs no torch.

    search("nas", request, shared["dry_run"], search_networks, plan_networks)


def _costs(options: dict[str, Any]) -> dict[str, Any]:
    """The settings of the one target that was given, if any, and of the limits; raises QuantityError."""
    targets, limits = ({name: options[f"{what}_{name}"] for name in PARSE} for what in ("target", "max"))
    aims = [name for name, text in targets.items() if text is not None]
    if len(aims) > 1:
        got = " and ".join(f"--target-{name}" for name in aims)
        raise QuantityError(f"a search has one target, got {got}; what must not be exceeded is a --max-...")
    settings: dict[str, Any] = {
        f"max_{name}": PARSE[name](text, f"--max-{name}") for name, text in limits.items() if text is not None
    }
    for name in aims:
        settings |= {"target": PARSE[name](targets[name], f"--target-{name}"), "measure": name}
    return settings


@searching
def grid(
    phi: Annotated[float | None, goal("Grow the candidates to this phi.", default="1", metavar="PHI")] = None,
    baseline: opt.Baseline = None,
    target: Annotated[float | None, goal("alpha * beta^2 * gamma^2.", default="2", metavar="FACTOR")] = None,
    step: Annotated[float | None, space("Of alpha, beta and gamma.", default="0.05", metavar="STEP")] = None,
    tolerance: Annotated[float | None, space("|product - target| at most.", default="0.1", metavar="FACTOR")] = None,
    constraint: Annotated[
        str | None, space("formula, or flops: solve gamma for measured FLOPs.", default="formula", metavar="NAME")
    ] = None,
    depth_rounding: Annotated[str | None, space("ceil or nearest: of layers.", default="ceil", metavar="NAME")] = None,
    method: Annotated[
        str | None, space("surface, halving, grid, tpe or evolution.", default="surface", metavar="NAME")
    ] = None,
    trials: Annotated[
        int | None,
        effort("Trainings at most; networks that tpe or evolution propose.", default="what fits, or 24", metavar="N"),
    ] = None,
    repeats: Annotated[
        int | None, training("Seeds of the best and of what they are compared with.", default="3", metavar="N")
    ] = None,
    format_: Annotated[Format, effort("How --dry-run prints it.", "--format")] = Format.table,
    **shared: Any,
) -> None:
    """Search alpha, beta and gamma: train what a baseline may grow into, briefly, and fit where accuracy is highest."""
    options = {**locals(), **shared}
    if format_ is not Format.table and not shared["dry_run"]:
        raise QuantityError("--format is for --dry-run; for a run there is effsearch show RUN --format ...")
    from effsearch.workflows.request import GridRequest

    request = GridRequest(
        baseline=baseline,
        grid=given(options, "phi", "step", "tolerance", "target", "constraint", "depth_rounding"),
        settings=given(options, "method", "repeats", "data", "seed"),
        trials=trials,
        **opt.of_search(options),
    )
    if format_ is not Format.table:
        _print_cells(request, format_)
        return
    from effsearch.cli.terminal import search
    from effsearch.workflows.grid import plan_coefficients, search_coefficients

    search("grid", request, shared["dry_run"], search_coefficients, plan_coefficients)


def _print_cells(request: Any, format_: Format) -> None:
    """The networks of a grid, without the time that they take: that would have to be measured."""
    from effsearch.reports.architecture_tables import PLAN_CAPTION, PLAN_COLUMNS, cells_json
    from effsearch.reports.text_table import TextTable
    from effsearch.workflows.request import settings_for

    request.check_limits()
    cells = settings_for(request).cells()
    table = TextTable.of(PLAN_COLUMNS, cells)
    print(cells_json(cells) if format_ is Format.json else f"{table.markdown()}\n\n{PLAN_CAPTION}")


@searching
def curves(
    baseline: opt.Baseline = None,
    axes: Annotated[str | None, goal(f"Of {listed(AXES)}.", default="all", metavar="NAME,NAME")] = None,
    points: Annotated[
        str | None, goal("Growths of FLOPs that each axis is asked for.", default="1,2,3,4", metavar="N,N")
    ] = None,
    under: Annotated[
        bool | None, goal("Also width under d, r = 1, 1.3 and 2 (figure 4).", "--under/--no-under", default="under")
    ] = None,
    repeats: Annotated[int | None, training("Seeds of every network.", default="2", metavar="N")] = None,
    **shared: Any,
) -> None:
    """Train what a baseline grows into along each axis, and draw accuracy against FLOPs (figures 3 and 4)."""
    options = {**locals(), **shared}
    settings = given(options, "under", "repeats", "data", "seed")
    settings |= {} if axes is None else {"axes": names(axes)}
    if points is not None:
        try:
            settings["points"] = tuple(float(part) for part in points.split(","))
        except ValueError:
            raise QuantityError(f"--points must be numbers with commas such as 1,2,4; got {points!r}") from None
    searched = opt.of_search(options)

    from effsearch.cli.terminal import search
    from effsearch.workflows.curves import plan_curves, train_curves
    from effsearch.workflows.request import GrowthRequest

    request = GrowthRequest(baseline=baseline, settings=settings, **searched)
    search("curves", request, shared["dry_run"], train_curves, plan_curves)

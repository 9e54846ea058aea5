"""`effsearch nas`: arguments in, a search, its ranking out."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

from effsearch.cli import options as opt
from effsearch.cli.options import effort, given, goal, names, searching, space, training
from effsearch.errors import QuantityError
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
            default="0.5:1.25",
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
    space: opt.Spaces = None,
    sampler: opt.Sampler = None,
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
            "Epochs after which only the best go on: 1,3,9 or none.", default="1,2,8 if standard", metavar="N,N,N|none"
        ),
    ] = None,
    trials: Annotated[
        int | None, effort("Architectures to finish.", default="24 with the quick proxy, else 60", metavar="N")
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
    search("nas", request, shared["dry_run"])


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

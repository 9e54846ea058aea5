"""`effsearch nas`: what may be asked for."""

from pathlib import Path
from typing import Annotated

import typer

from effsearch.cli.arguments import Results
from effsearch.cli.budget import limits, target
from effsearch.cli.cluster import cluster
from effsearch.cli.options import (
    Data,
    DeviceChange,
    GpusPerTrial,
    ProxyEpochs,
    ProxyImages,
    ProxyWidth,
    Ray,
    Resume,
    RunName,
    Storage,
    TimeLimit,
    Workers,
    given,
)
from effsearch.errors import QuantityError
from effsearch.text import parse_duration, parse_whole_numbers, parse_window


def nas(
    target_flops: Annotated[
        str | None, typer.Option(help="T: the FLOPs (multiply-adds) to aim at, such as 400M, 0.4G or 4e8.")
    ] = None,
    target_params: Annotated[str | None, typer.Option(help="T in parameters instead, such as 5M.")] = None,
    target_latency: Annotated[
        str | None, typer.Option(help="T as a latency measured on this machine instead, such as 20ms.")
    ] = None,
    max_flops: Annotated[str | None, typer.Option(help="A limit besides the target: train nothing above.")] = None,
    max_params: Annotated[str | None, typer.Option(help="The same for parameters.")] = None,
    max_latency: Annotated[str | None, typer.Option(help="The same for latency.")] = None,
    latency_device: Annotated[
        str | None, typer.Option(help="Where latency is measured: cpu or cuda [default: where networks are trained]")
    ] = None,
    latency_batch: Annotated[int | None, typer.Option(help="Images at a time of that [default: 1]")] = None,
    latency_threads: Annotated[int | None, typer.Option(help="CPU threads of that [default: 1]")] = None,
    space: Annotated[
        str | None, typer.Option(help="A search space: mbconv, b0, tiny or a .toml file [default: mbconv]")
    ] = None,
    data: Data = None,
    table: Annotated[
        Path | None, typer.Option(help="Search a benchmark table in place of training: a .csv or .parquet file.")
    ] = None,
    pool: Annotated[bool, typer.Option("--pool", help="Only the rows of the table, where it lacks some.")] = False,
    measurements: Annotated[
        str | None, typer.Option(help="More columns of the table that are no decisions: NAME,NAME.")
    ] = None,
    sampler: Annotated[
        str | None,
        typer.Option(help="auto, evolution, local-search, reinforce, random, tpe, nsga2 or gp [default: auto]"),
    ] = None,
    evaluator: Annotated[
        str | None,
        typer.Option(help="training, or prior: predicted ImageNet accuracies, in space b0 [default: training]"),
    ] = None,
    prior: Annotated[
        bool | None,
        typer.Option(
            "--prior/--no-prior", help="Learn from predicted ImageNet accuracies on, in space b0 [default: do not]"
        ),
    ] = None,
    trials: Annotated[
        int | None, typer.Option(help="Architectures to finish [default: 24 with the quick proxy, else 60]")
    ] = None,
    time_limit: TimeLimit = None,
    workers: Workers = None,
    ray: Ray = None,
    gpus_per_trial: GpusPerTrial = None,
    storage: Storage = None,
    reward: Annotated[str | None, typer.Option(help="soft, hard or absolute [default: soft]")] = None,
    exponent: Annotated[
        float | None, typer.Option(help="w of the soft reward ACC x (cost/T)^w, beta of the absolute [default: -0.07]")
    ] = None,
    flops_window: Annotated[
        str | None,
        typer.Option("--flops-window", "--window", help="Train only what costs LOW:HIGH times T [default: 0.5:1.25]"),
    ] = None,
    resolution: Annotated[
        int | None, typer.Option(help="Input px at which FLOPs are counted [default: the space's]")
    ] = None,
    classes: Annotated[int | None, typer.Option(help="Classes for which FLOPs are counted [default: 1000]")] = None,
    proxy: Annotated[
        str | None, typer.Option(help="The training of a trial: quick or standard [default: quick on a CPU]")
    ] = None,
    proxy_resolution: Annotated[int | None, typer.Option(help="Input px of the proxy training.")] = None,
    proxy_width: ProxyWidth = None,
    proxy_images: ProxyImages = None,
    epochs: ProxyEpochs = None,
    rungs: Annotated[
        str | None,
        typer.Option(help="Epochs after which only the best go on: 1,3,9 or none [default: 1,2,8 if standard]"),
    ] = None,
    start: Annotated[
        list[str] | None,
        typer.Option(metavar="ARCH", help="Train this first: ARCH, RUN:RANK, or a RUN's best; may be repeated."),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Of proposals and trainings [default: 0]")] = None,
    warm_start: Annotated[
        bool | None, typer.Option("--warm-start/--cold", help="Train known networks first, or not [default: do]")
    ] = None,
    run: RunName = None,
    resume: Resume = None,
    allow_device_change: DeviceChange = False,
    results: Results = Path("results"),
) -> None:
    """Search a network for a compute budget: sample architectures, train each briefly, rank them by the reward."""
    chosen = {
        "space": space,
        "data": data,
        "sampler": sampler,
        "evaluator": evaluator,
        "prior": prior,
        "reward": reward,
        "exponent": exponent,
        "resolution": resolution,
        "classes": classes,
        "seed": seed,
        "warm_start": warm_start,
    }
    asked = given(**chosen) | target(target_flops, target_params, target_latency)
    asked |= limits(max_flops, max_params, max_latency)
    if flops_window is not None:
        asked["window"] = parse_window(flops_window, "--flops-window")
    if rungs is not None:
        asked["rungs"] = parse_whole_numbers(rungs, "--rungs") if rungs != "none" else ()
        if asked["rungs"] and epochs is None:
            epochs = asked["rungs"][-1]
    changes = {"resolution": proxy_resolution, "width": proxy_width, "train_images": proxy_images, "epochs": epochs}
    seconds = None if time_limit is None else parse_duration(time_limit, "--time-limit")

    from effsearch.cli.table_session import TableRequest, of_table

    if table is not None or of_table(run, resume, results):
        if warm_start is False:  # There is nothing to start from, so a table is always searched cold.
            del asked["warm_start"]
        trained: dict[str, object] = {"proxy": proxy, "proxy_resolution": proxy_resolution, "proxy_width": proxy_width}
        trained |= {"proxy_images": proxy_images, "epochs": epochs, "start": start}
        trained |= {"latency_device": latency_device, "latency_batch": latency_batch}
        trained |= {"latency_threads": latency_threads, "ray": ray, "gpus_per_trial": gpus_per_trial}
        asked |= given(**trained)
        names = tuple(name.strip() for name in (measurements or "").split(",") if name.strip())

        from effsearch.cli.table_drive import execute_table

        execute_table(TableRequest(asked, table, pool, names, trials, seconds, workers, storage, run, resume, results))
        return
    if pool or measurements is not None:
        raise QuantityError("--pool and --measurements are for a --table")

    from effsearch.cli.nas_drive import execute
    from effsearch.cli.nas_session import Request

    execute(
        Request(
            asked=asked,
            proxy=proxy,
            proxy_changes=given(**changes),
            latency=given(device=latency_device, batch=latency_batch, threads=latency_threads),
            start=tuple(start or ()),
            trials=trials,
            seconds=seconds,
            workers=workers,
            cluster=cluster(ray, gpus_per_trial),
            storage=storage,
            run=run,
            resume=resume,
            device_change=allow_device_change,
            results=results,
        )
    )

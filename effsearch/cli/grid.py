"""`effsearch grid`: what may be asked for."""

from pathlib import Path
from typing import Annotated

import typer

from effsearch.cli.arguments import Format, Results
from effsearch.cli.cluster import cluster
from effsearch.cli.options import (
    Baseline,
    BaselineResolution,
    Data,
    DeviceChange,
    GpusPerTrial,
    ProxyEpochs,
    ProxyImages,
    ProxyName,
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
from effsearch.text import parse_duration


def grid(
    phi: Annotated[float | None, typer.Option(help="Grow the candidates to this phi [default: 1]")] = None,
    baseline: Baseline = None,
    step: Annotated[float | None, typer.Option(help="Of alpha, beta and gamma [default: 0.05, or what fits]")] = None,
    tolerance: Annotated[float | None, typer.Option(help="|product - target| at most [default: 0.1]")] = None,
    target: Annotated[float | None, typer.Option(help="alpha * beta^2 * gamma^2 [default: 2]")] = None,
    constraint: Annotated[
        str | None, typer.Option(help="formula, or flops: solve gamma for measured FLOPs [default: formula]")
    ] = None,
    method: Annotated[str | None, typer.Option(help="halving, grid, tpe or evolution [default: halving]")] = None,
    repeats: Annotated[
        int | None, typer.Option(help="Seeds of the finalists, or of all with grid [default: 3]")
    ] = None,
    trials: Annotated[int | None, typer.Option(help="Networks that tpe or evolution propose [default: 24]")] = None,
    data: Data = None,
    proxy: ProxyName = None,
    proxy_resolution: BaselineResolution = None,
    proxy_width: ProxyWidth = None,
    proxy_images: ProxyImages = None,
    epochs: ProxyEpochs = None,
    depth_rounding: Annotated[str | None, typer.Option(help="ceil or nearest: of layers [default: ceil]")] = None,
    workers: Workers = None,
    ray: Ray = None,
    gpus_per_trial: GpusPerTrial = None,
    storage: Storage = None,
    time_limit: TimeLimit = None,
    seed: Annotated[int | None, typer.Option(help="Of proposals and trainings [default: 0]")] = None,
    run: RunName = None,
    resume: Resume = None,
    allow_device_change: DeviceChange = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan and stop.")] = False,
    format_: Annotated[Format, typer.Option("--format", help="How --dry-run prints it.")] = Format.table,
    results: Results = Path("results"),
) -> None:
    """Search alpha, beta and gamma: train the networks that a baseline may grow into, each briefly, and rank them."""
    if format_ is not Format.table and not dry_run:
        raise QuantityError("--format is for --dry-run; for a run there is effsearch show RUN --format ...")
    lattice = {
        "phi": phi,
        "step": step,
        "tolerance": tolerance,
        "target": target,
        "constraint": constraint,
        "depth_rounding": depth_rounding,
    }
    chosen = {"method": method, "repeats": repeats, "data": data, "seed": seed}
    changes = {"resolution": proxy_resolution, "width": proxy_width, "train_images": proxy_images, "epochs": epochs}

    from effsearch.cli.grid_session import GridRequest
    from effsearch.cli.grid_session import plan as print_plan

    request = GridRequest(
        baseline=baseline,
        grid=given(**lattice),
        asked=given(**chosen),
        proxy=proxy,
        proxy_changes=given(**changes),
        trials=trials,
        seconds=None if time_limit is None else parse_duration(time_limit, "--time-limit"),
        workers=workers,
        cluster=cluster(ray, gpus_per_trial),
        storage=storage,
        run=run,
        resume=resume,
        device_change=allow_device_change,
        results=results,
    )
    if dry_run:
        print_plan(request, format_)
        return
    from effsearch.cli.grid_drive import execute

    execute(request)

"""`effsearch nas`: what may be asked for."""

from pathlib import Path
from typing import Annotated, Any

import typer

from effsearch.cli.arguments import Results
from effsearch.quantities import parse_count, parse_duration, parse_window


def nas(
    target_flops: Annotated[
        str | None, typer.Option(help="T: the FLOPs (multiply-adds) to aim at, such as 400M, 0.4G or 4e8.")
    ] = None,
    space: Annotated[
        str | None, typer.Option(help="A search space: mbconv, tiny or a .toml file [default: mbconv]")
    ] = None,
    data: Annotated[
        str | None, typer.Option(help="An image set: a folder of class folders, or a name [default: scenes, synthetic]")
    ] = None,
    sampler: Annotated[
        str | None, typer.Option(help="evolution, random, tpe, nsga2 or gp [default: evolution]")
    ] = None,
    trials: Annotated[
        int | None, typer.Option(help="Architectures to finish [default: 24 with the quick proxy, else 60]")
    ] = None,
    time_limit: Annotated[
        str | None, typer.Option(help="Stop after this time, such as 90s, 10m or 2h [default: none]")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(help="Trainings at a time [default: one a GPU, or one a CPU core]")
    ] = None,
    reward: Annotated[str | None, typer.Option(help="soft, hard or absolute [default: soft]")] = None,
    exponent: Annotated[
        float | None, typer.Option(help="w of the soft reward ACC x (F/T)^w, beta of the absolute [default: -0.07]")
    ] = None,
    flops_window: Annotated[
        str | None, typer.Option(help="Train only networks of LOW:HIGH times T, or none [default: 0.5:1.25]")
    ] = None,
    resolution: Annotated[
        int | None, typer.Option(help="Input px at which FLOPs are counted [default: the space's]")
    ] = None,
    classes: Annotated[int | None, typer.Option(help="Classes for which FLOPs are counted [default: 1000]")] = None,
    proxy: Annotated[
        str | None, typer.Option(help="The training of a trial: quick or standard [default: quick on a CPU]")
    ] = None,
    proxy_resolution: Annotated[int | None, typer.Option(help="Input px of the proxy training.")] = None,
    proxy_width: Annotated[float | None, typer.Option(help="Channel multiplier of the proxy training.")] = None,
    proxy_images: Annotated[int | None, typer.Option(help="Training images of the proxy, at most.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Epochs of the proxy training.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of proposals and trainings [default: 0]")] = None,
    warm_start: Annotated[
        bool | None, typer.Option("--warm-start/--cold", help="Train known networks first, or not [default: do]")
    ] = None,
    run: Annotated[str | None, typer.Option(help="Name the run; an existing one is continued.")] = None,
    resume: Annotated[str | None, typer.Option(help="Continue this run.")] = None,
    results: Results = Path("results"),
) -> None:
    """Search a network for a compute budget: sample architectures, train each briefly, rank them by the reward."""
    chosen = {
        "target_flops": None if target_flops is None else parse_count(target_flops, "--target-flops"),
        "space": space,
        "data": data,
        "sampler": sampler,
        "reward": reward,
        "exponent": exponent,
        "resolution": resolution,
        "classes": classes,
        "seed": seed,
        "warm_start": warm_start,
    }
    asked: dict[str, Any] = {name: value for name, value in chosen.items() if value is not None}
    if flops_window is not None:
        asked["flops_window"] = parse_window(flops_window, "--flops-window")
    changes = {"resolution": proxy_resolution, "width": proxy_width, "train_images": proxy_images, "epochs": epochs}
    seconds = None if time_limit is None else parse_duration(time_limit, "--time-limit")

    from effsearch.cli.nas_drive import execute
    from effsearch.cli.nas_session import Request

    execute(
        Request(
            asked=asked,
            proxy=proxy,
            proxy_changes={name: value for name, value in changes.items() if value is not None},
            trials=trials,
            seconds=seconds,
            workers=workers,
            run=run,
            resume=resume,
            results=results,
        )
    )

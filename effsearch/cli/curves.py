"""`effsearch curves`: one axis at a time, and width under other depths and resolutions (figures 3 and 4)."""

from pathlib import Path
from typing import Annotated, Any

import typer

from effsearch.axis_curves import AXES
from effsearch.cli.arguments import Results
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
from effsearch.errors import QuantityError, listed
from effsearch.text import parse_duration


def curves(
    baseline: Baseline = None,
    axes: Annotated[str | None, typer.Option(help=f"Of {listed(AXES)}, with commas [default: all]")] = None,
    points: Annotated[
        str | None, typer.Option(help="Growths of FLOPs that each axis is asked for [default: 1,2,3,4]")
    ] = None,
    under: Annotated[
        bool | None,
        typer.Option("--under/--no-under", help="Also width under d, r = 1, 1.3 and 2 (figure 4) [default: do]"),
    ] = None,
    repeats: Annotated[int | None, typer.Option(help="Seeds of every network [default: 2]")] = None,
    data: Data = None,
    proxy: ProxyName = None,
    proxy_resolution: BaselineResolution = None,
    proxy_width: ProxyWidth = None,
    proxy_images: ProxyImages = None,
    epochs: ProxyEpochs = None,
    workers: Workers = None,
    ray: Ray = None,
    gpus_per_trial: GpusPerTrial = None,
    storage: Storage = None,
    time_limit: TimeLimit = None,
    seed: Annotated[int | None, typer.Option(help="Of the trainings [default: 0]")] = None,
    run: RunName = None,
    resume: Resume = None,
    allow_device_change: DeviceChange = False,
    results: Results = Path("results"),
) -> None:
    """Train what a baseline grows into along each axis, and draw accuracy against FLOPs."""
    asked: dict[str, Any] = {"under": under, "repeats": repeats, "data": data, "seed": seed}
    asked["axes"] = None if axes is None else tuple(part.strip() for part in axes.split(","))
    asked["points"] = None if points is None else _numbers(points)
    changes = {"resolution": proxy_resolution, "width": proxy_width, "train_images": proxy_images, "epochs": epochs}

    from effsearch.cli.curves_drive import CurvesRequest, execute

    execute(
        CurvesRequest(
            baseline=baseline,
            asked=given(**asked),
            proxy=proxy,
            proxy_changes=given(**changes),
            seconds=None if time_limit is None else parse_duration(time_limit, "--time-limit"),
            workers=workers,
            cluster=cluster(ray, gpus_per_trial),
            storage=storage,
            run=run,
            resume=resume,
            device_change=allow_device_change,
            results=results,
        )
    )


def _numbers(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise QuantityError(f"--points must be numbers with commas such as 1,2,4; got {text!r}") from None

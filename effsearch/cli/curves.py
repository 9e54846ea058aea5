"""`effsearch curves`: one axis at a time, and width under other depths and resolutions (figures 3 and 4)."""

from pathlib import Path
from typing import Annotated, Any

import typer

from effsearch.cli.arguments import Results
from effsearch.curves import AXES
from effsearch.errors import QuantityError, listed
from effsearch.quantities import parse_duration


def curves(
    baseline: Annotated[
        str | None, typer.Option(metavar="ARCH", help="What is grown: a name, notation, RUN or RUN:RANK [default: b0]")
    ] = None,
    axes: Annotated[str | None, typer.Option(help=f"Of {listed(AXES)}, with commas [default: all]")] = None,
    points: Annotated[
        str | None, typer.Option(help="Growths of FLOPs that each axis is asked for [default: 1,2,3,4]")
    ] = None,
    under: Annotated[
        bool | None,
        typer.Option("--under/--no-under", help="Also width under d, r = 1, 1.3 and 2 (figure 4) [default: do]"),
    ] = None,
    repeats: Annotated[int | None, typer.Option(help="Seeds of every network [default: 2]")] = None,
    data: Annotated[
        str | None, typer.Option(help="An image set: a folder of class folders, or a name [default: scenes, synthetic]")
    ] = None,
    proxy: Annotated[
        str | None, typer.Option(help="The training of a network: quick or standard [default: quick on a CPU]")
    ] = None,
    proxy_resolution: Annotated[int | None, typer.Option(help="Input px of the baseline's training.")] = None,
    proxy_width: Annotated[float | None, typer.Option(help="Channel multiplier of the proxy training.")] = None,
    proxy_images: Annotated[int | None, typer.Option(help="Training images of the proxy, at most.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Epochs of the proxy training.")] = None,
    workers: Annotated[
        int | None, typer.Option(help="Trainings at a time [default: one a GPU, or one a CPU core]")
    ] = None,
    time_limit: Annotated[
        str | None, typer.Option(help="Stop after this time, such as 90s, 10m or 2h [default: none]")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Of the trainings [default: 0]")] = None,
    run: Annotated[str | None, typer.Option(help="Name the run; an existing one is continued.")] = None,
    resume: Annotated[str | None, typer.Option(help="Continue this run.")] = None,
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
            asked={name: value for name, value in asked.items() if value is not None},
            proxy=proxy,
            proxy_changes={name: value for name, value in changes.items() if value is not None},
            seconds=None if time_limit is None else parse_duration(time_limit, "--time-limit"),
            workers=workers,
            run=run,
            resume=resume,
            results=results,
        )
    )


def _numbers(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise QuantityError(f"--points must be numbers with commas such as 1,2,4; got {text!r}") from None

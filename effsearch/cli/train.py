"""`effsearch train ARCH`: the full training of one network."""

from pathlib import Path
from typing import Annotated

import typer

from effsearch.cli.arguments import ARCH_HELP, Results
from effsearch.cli.options import Data, DeviceChange, Resume, RunName, TimeLimit, given
from effsearch.text import parse_duration


def train(
    arch: Annotated[str | None, typer.Argument(metavar="ARCH", help=ARCH_HELP)] = None,
    data: Data = None,
    resolution: Annotated[int | None, typer.Option(help="Input px [default: the architecture's]")] = None,
    epochs: Annotated[int | None, typer.Option(help="Passes over the images [default: the recipe's]")] = None,
    recipe: Annotated[
        str | None, typer.Option(help="short (30 epochs), efficientnet (350) or a .toml file [default: short]")
    ] = None,
    batch: Annotated[int | None, typer.Option(help="Images a step; the rate follows [default: the recipe's]")] = None,
    weights: Annotated[
        Path | None, typer.Option(help="Start from this file: ours, or a state dict that torch saved.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Of weights, order and augmentation [default: 0]")] = None,
    device: Annotated[str | None, typer.Option(help="cpu or cuda [default: cuda where there is one]")] = None,
    tensorboard: Annotated[bool, typer.Option("--tensorboard", help="Write events for TensorBoard too.")] = False,
    time_limit: TimeLimit = None,
    run: RunName = None,
    resume: Resume = None,
    allow_device_change: DeviceChange = False,
    results: Results = Path("results"),
) -> None:
    """Train one network fully: what a search found, or any other; ends with its weights and its test accuracy."""
    seconds = None if time_limit is None else parse_duration(time_limit, "--time-limit")

    from effsearch.cli.train_drive import TrainRequest, execute

    asked = {"data": data, "resolution": resolution, "epochs": epochs, "seed": seed}
    execute(
        TrainRequest(
            arch=arch,
            asked=given(**asked),
            recipe=recipe,
            batch=batch,
            weights=weights,
            device=device,
            tensorboard=tensorboard,
            seconds=seconds,
            run=run,
            resume=resume,
            device_change=allow_device_change,
            results=results,
        )
    )

"""`effsearch train ARCH`: the full training of one network."""

from pathlib import Path
from typing import Annotated

import typer

from effsearch.cli.arguments import ARCH_HELP, Results
from effsearch.quantities import parse_duration


def train(
    arch: Annotated[str | None, typer.Argument(metavar="ARCH", help=ARCH_HELP)] = None,
    data: Annotated[
        str | None, typer.Option(help="An image set: a folder of class folders, or a name [default: scenes, synthetic]")
    ] = None,
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
    time_limit: Annotated[
        str | None, typer.Option(help="Stop after this time, such as 90s, 10m or 2h [default: none]")
    ] = None,
    run: Annotated[str | None, typer.Option(help="Name the run; an existing one is continued.")] = None,
    resume: Annotated[str | None, typer.Option(help="Continue this run.")] = None,
    results: Results = Path("results"),
) -> None:
    """Train one network fully: what a search found, or any other; ends with its weights and its test accuracy."""
    seconds = None if time_limit is None else parse_duration(time_limit, "--time-limit")

    from effsearch.cli.train_drive import TrainRequest, execute

    asked = {"data": data, "resolution": resolution, "epochs": epochs, "seed": seed}
    execute(
        TrainRequest(
            arch=arch,
            asked={name: value for name, value in asked.items() if value is not None},
            recipe=recipe,
            batch=batch,
            weights=weights,
            device=device,
            tensorboard=tensorboard,
            seconds=seconds,
            run=run,
            resume=resume,
            results=results,
        )
    )

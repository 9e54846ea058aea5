"""`effsearch train` and `effsearch export`: one network trained fully, and written for others to use."""

from pathlib import Path
from typing import Annotated

import typer

from effsearch.cli import options as opt
from effsearch.cli.options import check_classes, check_side, effort, given, of_any_run, of_run, plain, training
from effsearch.text import format_bytes

RECIPE = "the recipe's"


def train(
    arch: Annotated[str | None, opt.ARCH] = None,
    data: opt.Data = None,
    resolution: Annotated[int | None, training("Input px.", default="the architecture's", metavar="PX")] = None,
    epochs: Annotated[int | None, training("Passes over the images.", default=RECIPE, metavar="N")] = None,
    recipe: Annotated[
        str | None,
        training(
            "short (30 epochs), efficientnet (350), finetune (10, from weights) or a .toml file.",
            default="short",
            metavar="RECIPE",
            among=("short", "efficientnet", "finetune"),
        ),
    ] = None,
    batch: Annotated[int | None, training("Images a step; the rate follows.", default=RECIPE, metavar="N")] = None,
    mix: Annotated[
        bool, training("Mix images and labels by mixup and cutmix.", "--mix", default="the recipe's: no")
    ] = False,
    patience: Annotated[
        int | None,
        training(
            "End N epochs after the one with the highest validation accuracy, and keep its network.",
            default="to the end",
            metavar="N",
        ),
    ] = None,
    weights: Annotated[
        str | None,
        training(
            "Start from imagenet, a file (ours, or a state dict that torch saved) or a run of train.", metavar="WEIGHTS"
        ),
    ] = None,
    partial: Annotated[
        bool, training("Of --weights take what has the network's names and shapes.", "--partial", default=False)
    ] = False,
    seed: Annotated[int | None, training("Of weights, order and augmentation.", default="0", metavar="N")] = None,
    device: Annotated[str | None, effort("cpu or cuda.", default="cuda where there is one", metavar="DEVICE")] = None,
    time_limit: opt.TimeLimit = None,
    tensorboard: Annotated[bool, of_run("Write events for TensorBoard too.", "--tensorboard")] = False,
    run: opt.RunName = None,
    resume: opt.Resume = None,
    allow_device_change: opt.DeviceChange = False,
    results: opt.Results = Path("results"),
) -> None:
    """Train one network fully: what a search found, or any other; ends with its weights and its test accuracy."""
    options = dict(locals())
    made = of_any_run(options)

    from effsearch.cli.terminal import train as train_here
    from effsearch.workflows.request import TrainRequest

    settings = given(options, "data", "resolution", "epochs", "patience", "seed")
    names = ("arch", "recipe", "batch", "mix", "weights", "partial", "device", "tensorboard")
    own = {name: options[name] for name in names}
    train_here(TrainRequest(settings=settings, **own, **made))


def export(
    arch: Annotated[
        str,
        typer.Argument(
            metavar="ARCH",
            help="A file of weights, a run of train, or an architecture (untrained).",
            autocompletion=opt.complete_architecture,
        ),
    ],
    to: Annotated[
        str,
        plain(
            "timm, onnx, safetensors or torch-export",
            metavar="TARGET",
            among=("timm", "onnx", "safetensors", "torch-export"),
        ),
    ],
    out: Annotated[Path | None, plain("A new folder.", default="NAME-TARGET", metavar="DIR")] = None,
    resolution: opt.Side = None,
    classes: Annotated[int, plain("Outputs of an untrained network.", metavar="N")] = 1000,
    weights: opt.Pretrained = None,
    results: opt.Results = Path("results"),
) -> None:
    """Write a network for timm, ONNX, torch.export or as safetensors, and print the lines that use it."""
    check_side(resolution, 2048)
    check_classes(classes)

    from effsearch.workflows.train import export_network
    from effsearch.workflows.weights import how_trained

    made, packed = export_network(arch, to, out, resolution, classes, results, weights)
    for path in made.files:
        typer.echo(f"wrote {path} ({format_bytes(path.stat().st_size)})")
    typer.echo(f"{how_trained(packed)}; {len(packed.classes)} classes, {packed.architecture.resolution} px")
    typer.echo("use it with:")
    typer.echo("\n".join(f"  {line}" for line in made.usage.splitlines()))

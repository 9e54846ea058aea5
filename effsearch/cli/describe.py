"""`effsearch describe ARCH`."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from effsearch.architecture import Architecture
from effsearch.cli.arguments import ARCH_HELP, Format, Results, check_classes, resolve
from effsearch.cost import Cost, cost, stage_costs
from effsearch.errors import QuantityError
from effsearch.prior import predict


def describe(
    arch: Annotated[str, typer.Argument(metavar="ARCH", help=ARCH_HELP)],
    resolution: Annotated[int | None, typer.Option(help="Input resolution in px [default: the architecture's]")] = None,
    classes: Annotated[int, typer.Option(help="Outputs of the classifier.")] = 1000,
    check: Annotated[bool, typer.Option("--check", help="Build the network and recount it with fvcore.")] = False,
    format_: Annotated[Format, typer.Option("--format", help="How to print it.")] = Format.table,
    results: Results = Path("results"),
) -> None:
    """Print the stages of an architecture with their parameters and FLOPs."""
    architecture, name = resolve(arch, results)
    side = resolution or architecture.resolution
    if not 8 <= side <= 8192:
        raise QuantityError(f"--resolution must be from 8 to 8192 px, got {resolution}")
    check_classes(classes)
    total = cost(architecture, side, classes)
    if format_ is Format.json:
        typer.echo(_json(architecture, side, classes, total))
    else:
        _print(architecture, name, side, classes, total, format_)
    if check:
        _recount(architecture, side, classes, total, quiet=format_ is Format.json)


def _json(architecture: Architecture, side: int, classes: int, total: Cost) -> str:
    stages = [
        {key: value for key, value in asdict(row).items() if key != "cost"} | row.cost._asdict()
        for row in stage_costs(architecture, side, classes)
    ]
    prediction = predict(architecture)
    return json.dumps(
        {
            "notation": architecture.notation,
            "key": architecture.key,
            "resolution": side,
            "classes": classes,
            **total._asdict(),
            "predicted_accuracy": None if prediction is None else round(prediction.accuracy, 5),
            "stages": stages,
        },
        indent=2,
    )


def _print(architecture: Architecture, name: str, side: int, classes: int, total: Cost, format_: Format) -> None:
    from effsearch.report.architecture_tables import stage_caption, stage_grid
    from effsearch.report.text_table import console

    grid = stage_grid(stage_costs(architecture, side, classes), total)
    caption = stage_caption(architecture, side, classes, total)
    if format_ is Format.markdown:
        typer.echo(f"{grid.markdown()}\n\n{caption}\n\n`{architecture.notation}`")
        return
    out = console(wide=False)
    out.print(grid.rich(f"{name}  (key {architecture.key})"))
    out.print(caption)
    prediction = predict(architecture)
    if prediction is not None:
        out.print(
            f"predicted: {100 * prediction.accuracy:.1f} % ImageNet top-1 after a short training (+- "
            f"{100 * prediction.error:.2f} points); tells rank, not what a full training reaches"
        )
    out.print(architecture.notation, style="dim", soft_wrap=True)


def _recount(architecture: Architecture, side: int, classes: int, total: Cost, quiet: bool) -> None:
    """Exits with status 1 if the closed form and the built network differ: that would be our mistake."""
    from effsearch.network import build
    from effsearch.network.count import count

    counted = count(build(architecture, classes), side)
    agree = counted.flops == total.flops and counted.params == total.params
    others = {name: flops for name, flops in counted.operators.items() if name not in ("conv", "linear")}
    everything = sum(counted.operators.values())
    lines = [
        f"check: closed form {total.flops:,} FLOPs, {total.params:,} parameters",
        f"       fvcore      {counted.flops:,} FLOPs (conv + linear), {counted.params:,} parameters: "
        + ("they agree" if agree else "THEY DIFFER"),
        f"       fvcore's own total is {everything:,}, since it adds "
        + ", ".join(f"{name} {flops:,}" for name, flops in others.items()),
        f"       torch.utils.flop_counter counts multiplies and adds apart: {2 * total.flops:,}",
    ]
    typer.echo("\n".join(lines), err=quiet)
    if not agree:
        raise typer.Exit(1)

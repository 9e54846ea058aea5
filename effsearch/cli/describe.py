"""`effsearch describe` and `effsearch compare`: what an architecture costs, and what the paper prints."""

import json
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from effsearch.architecture import Architecture
from effsearch.cli.options import Arch, Classes, Format, FormatOption, Results, Side, check_classes, check_side, resolve
from effsearch.cost import Cost, cost, stage_costs
from effsearch.errors import ReportError
from effsearch.prior import predict


def describe(
    arch: Arch,
    resolution: Side = None,
    classes: Classes = 1000,
    check: Annotated[bool, typer.Option("--check", help="Build the network and recount it with fvcore.")] = False,
    format_: FormatOption = Format.table,
    results: Results = Path("results"),
) -> None:
    """Print the stages of an architecture with their parameters and FLOPs."""
    architecture, name = resolve(arch, results)
    side = resolution or architecture.resolution
    check_side(side, 8192)
    check_classes(classes)
    total = cost(architecture, side, classes)
    if format_ is Format.json:
        typer.echo(_json(architecture, side, classes, total))
    else:
        _print(architecture, name, side, classes, total, format_)
    if check:
        _recount_network(architecture, side, classes, total, quiet=format_ is Format.json)


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
    from effsearch.reports.architecture_tables import stage_caption, stage_table
    from effsearch.reports.text_table import console

    grid = stage_table(stage_costs(architecture, side, classes), total)
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


def _recount_network(architecture: Architecture, side: int, classes: int, total: Cost, quiet: bool) -> None:
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


class PublishedTable(StrEnum):
    """A published table."""

    scaling = "scaling"
    imagenet = "imagenet"


def compare(
    table: Annotated[
        PublishedTable,
        typer.Argument(help="scaling: MobileNets and ResNet-50 scaled up; imagenet: EfficientNets and others."),
    ],
    check: Annotated[bool, typer.Option("--check", help="imagenet: count torchvision's networks again.")] = False,
    format_: FormatOption = Format.table,
) -> None:
    """Print a table of the paper with what the networks cost here."""
    from effsearch.published import IMAGENET, SCALED
    from effsearch.reports import comparison

    if check and table is not PublishedTable.imagenet:
        raise ReportError("--check is for imagenet; a network of ours is counted again by `effsearch describe --check`")
    if table is PublishedTable.scaling:
        title, shown = "Scaling up MobileNets and ResNet-50", comparison.scaling_table(SCALED)
        caption, records = comparison.SCALING_CAPTION, comparison.scaling_records(SCALED)
    else:
        title, shown = "EfficientNets and others on ImageNet", comparison.imagenet_table(IMAGENET)
        caption, records = comparison.IMAGENET_CAPTION, comparison.imagenet_records(IMAGENET)
    if format_ is Format.json:
        typer.echo(json.dumps(records, indent=2))
    elif format_ is Format.markdown:
        typer.echo(f"{shown.markdown()}\n\n{caption}")
    else:
        from effsearch.reports.text_table import console

        out = console(wide=False)
        out.print(shown.rich(title))
        out.print(caption)
    if check:
        _recount_published(quiet=format_ is Format.json)


def _recount_published(quiet: bool) -> None:
    """Exits with status 1 if fvcore now counts something else."""
    from effsearch.network.count import count_torchvision
    from effsearch.published import IMAGENET, Foreign

    typer.echo("check: fvcore (conv + linear) counts in torchvision's", err=quiet)
    agree = True
    for foreign in (row.network for row in IMAGENET if isinstance(row.network, Foreign)):
        counted = count_torchvision(foreign.name, foreign.resolution)
        same = (counted.flops, counted.params) == (foreign.flops, foreign.params)
        agree = agree and same
        verdict = "they agree" if same else f"THE TABLE HAS {foreign.flops:,}, {foreign.params:,}"
        where = f"{foreign.name}, {foreign.resolution} px"
        typer.echo(f"  {where}: {counted.flops:,} FLOPs, {counted.params:,} params: {verdict}", err=quiet)
    if not agree:
        raise typer.Exit(1)

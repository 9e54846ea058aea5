"""`effsearch compare TABLE`."""

import json
from enum import StrEnum
from typing import Annotated

import typer

from effsearch.cli.arguments import Format
from effsearch.errors import ReportError
from effsearch.published import IMAGENET, SCALED, Foreign


class Table(StrEnum):
    """A published table."""

    scaling = "scaling"
    imagenet = "imagenet"


def compare(
    table: Annotated[
        Table, typer.Argument(help="scaling: MobileNets and ResNet-50 scaled up; imagenet: EfficientNets and others.")
    ],
    check: Annotated[bool, typer.Option("--check", help="imagenet: count torchvision's networks again.")] = False,
    format_: Annotated[Format, typer.Option("--format", help="How to print it.")] = Format.table,
) -> None:
    """Print a table of the paper with what the networks cost here."""
    from effsearch.report import comparison

    if check and table is not Table.imagenet:
        raise ReportError("--check is for imagenet; a network of ours is counted again by `effsearch describe --check`")
    if table is Table.scaling:
        title, grid = "Scaling up MobileNets and ResNet-50", comparison.scaling_grid(SCALED)
        caption, records = comparison.SCALING_CAPTION, comparison.scaling_records(SCALED)
    else:
        title, grid = "EfficientNets and others on ImageNet", comparison.imagenet_grid(IMAGENET)
        caption, records = comparison.IMAGENET_CAPTION, comparison.imagenet_records(IMAGENET)
    if format_ is Format.json:
        typer.echo(json.dumps(records, indent=2))
    elif format_ is Format.markdown:
        typer.echo(f"{grid.markdown()}\n\n{caption}")
    else:
        from effsearch.report.text_table import console

        out = console(wide=False)
        out.print(grid.rich(title))
        out.print(caption)
    if check:
        _recount(quiet=format_ is Format.json)


def _recount(quiet: bool) -> None:
    """Exits with status 1 if fvcore now counts something else."""
    from effsearch.network.count import count_torchvision

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

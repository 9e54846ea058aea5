"""`effsearch latency ARCH ...`."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from effsearch.cli import options as opt
from effsearch.cli.options import Format, check_classes, check_side, resolve
from effsearch.cost import CONVENTION
from effsearch.text import counted, format_count


def latency(
    arch: Annotated[
        list[str], typer.Argument(metavar="ARCH...", help=opt.ARCH_HELP, autocompletion=opt.complete_architecture)
    ],
    device: Annotated[
        str, typer.Option(metavar="DEVICE", help="cpu or cuda.", autocompletion=opt.completing(("cpu", "cuda")))
    ] = "cpu",
    batch: Annotated[int, typer.Option(metavar="N", help="Images at a time.")] = 1,
    threads: Annotated[int, typer.Option(metavar="N", help="Of a CPU.")] = 1,
    resolution: opt.Side = None,
    classes: opt.Classes = 1000,
    format_: opt.FormatOption = Format.table,
    results: opt.Results = Path("results"),
) -> None:
    """Measure how long networks take to answer on this machine, and the memory they need, beside their FLOPs."""
    check_classes(classes)
    check_side(resolution, 2048)
    from effsearch.reports.text_table import TextTable, console
    from effsearch.workflows.latency import conditions_here, measure_network

    conditions = conditions_here(device, batch, threads)
    named = [resolve(text, results) for text in arch]
    out, rows = console(wide=False), []
    for network, name in named:
        with out.status(f"measuring {name}"):
            rows.append(measure_network(network, name, conditions, resolution or network.resolution, classes))
    if format_ is Format.json:
        typer.echo(json.dumps(rows, indent=2))
        return
    headings = ("network", "px", "median ms", "p90 ms", "images/s", "MiB", "FLOPs", "params", "GFLOPs/s")
    table = TextTable(headings, "lrrrrrrrr", [_cells(row) for row in rows])
    if format_ is Format.markdown:
        typer.echo(table.markdown())
        return
    out.print(table.rich("latency"))
    where = conditions.name or f"{counted(threads, 'thread')} of the CPU, float32"
    for line in (
        f"ms a batch of {batch}, random weights, evaluation mode, {where}, nothing else on purpose beside it",
        "MiB: the peak of memory that the network adds to its process; GFLOPs/s: 1e9 multiply-adds a second",
        CONVENTION,
    ):
        out.print(line, style="dim")


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    memory = row["memory_bytes"]
    return (
        row["name"],
        str(row["resolution"]),
        *(f"{row[name]:.1f}" for name in ("median_ms", "p90_ms", "images_per_second")),
        "" if memory is None else f"{memory / 2**20:.0f}",
        format_count(row["flops"]),
        format_count(row["params"]),
        f"{row['flops'] * row['images_per_second'] / 1e9:.1f}",
    )

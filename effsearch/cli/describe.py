"""`effsearch describe`, `latency` and `compare`: FLOPs and parameters, measured latency, and the paper's tables."""

import json
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from effsearch.architecture import Architecture
from effsearch.cli import options as opt
from effsearch.cli.options import Format, check_classes, check_side, plain, resolve
from effsearch.costs import CONVENTION, Cost, cost, stage_costs
from effsearch.errors import ReportError
from effsearch.prior import predict
from effsearch.text import counted


def describe(
    arch: opt.Arch,
    resolution: opt.Side = None,
    classes: opt.Classes = 1000,
    check: Annotated[bool, plain("Build the network and recount it with fvcore.", "--check")] = False,
    format_: opt.FormatOption = Format.table,
    results: opt.Results = Path("results"),
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
        _print(architecture, name, side, classes, total, format_ is Format.markdown)
    if check:
        _recount_network(architecture, side, classes, total, quiet=format_ is Format.json)


def _json(architecture: Architecture, side: int, classes: int, total: Cost) -> str:
    stages = [
        {key: value for key, value in asdict(row).items() if key != "cost"} | row.cost._asdict()
        for row in stage_costs(architecture, side, classes)
    ]
    prediction = predict(architecture)
    about = {"notation": architecture.notation, "key": architecture.key, "resolution": side, "classes": classes}
    predicted = {"predicted_accuracy": None if prediction is None else round(prediction.accuracy, 5)}
    return json.dumps({**about, **total._asdict(), **predicted, "stages": stages}, indent=2)


def _print(architecture: Architecture, name: str, side: int, classes: int, total: Cost, markdown: bool) -> None:
    from effsearch.reports.architecture_tables import stage_caption, stage_table
    from effsearch.reports.text_table import print_table

    captions = [stage_caption(architecture, side, classes, total)]
    if (prediction := predict(architecture)) is not None:
        captions.append(
            f"predicted: {100 * prediction.accuracy:.1f} % ImageNet top-1 after a short training (+- "
            f"{100 * prediction.error:.2f} points); tells rank, not what a full training reaches"
        )
    table = stage_table(stage_costs(architecture, side, classes), total)
    print_table(table, f"{name}  (key {architecture.key})", captions, markdown, architecture.notation)


def _recount_network(architecture: Architecture, side: int, classes: int, total: Cost, quiet: bool) -> None:
    """Counts the built network by fvcore; exits with status 1 if `total`, computed from the notation, differs."""
    from effsearch.network import build
    from effsearch.network.count import count

    recount = count(build(architecture, classes), side)
    agree = recount.flops == total.flops and recount.params == total.params
    others = {name: flops for name, flops in recount.operators.items() if name not in ("conv", "linear")}
    lines = [
        f"check: closed form {total.flops:,} FLOPs, {total.params:,} parameters",
        f"       fvcore      {recount.flops:,} FLOPs (conv + linear), {recount.params:,} parameters: "
        + ("they agree" if agree else "THEY DIFFER"),
        f"       fvcore's own total is {sum(recount.operators.values()):,}, since it adds "
        + ", ".join(f"{name} {flops:,}" for name, flops in others.items()),
        f"       torch.utils.flop_counter counts multiplies and adds apart: {2 * total.flops:,}",
    ]
    typer.echo("\n".join(lines), err=quiet)
    if not agree:
        raise typer.Exit(1)


def latency(
    arch: Annotated[
        list[str], typer.Argument(metavar="ARCH...", help=opt.ARCH_HELP, autocompletion=opt.complete_architecture)
    ],
    device: Annotated[
        str, plain("cpu or cuda.", metavar="DEVICE", autocompletion=opt.completing(("cpu", "cuda")))
    ] = "cpu",
    batch: Annotated[int, plain("Images at a time.", metavar="N")] = 1,
    threads: Annotated[int, plain("CPU threads.", metavar="N")] = 1,
    resolution: opt.Side = None,
    classes: opt.Classes = 1000,
    format_: opt.FormatOption = Format.table,
    results: opt.Results = Path("results"),
) -> None:
    """Measure how long networks take to answer on this machine, and the memory they need, beside their FLOPs."""
    check_classes(classes)
    check_side(resolution, 2048)
    from effsearch.reports.architecture_tables import LATENCY_COLUMNS
    from effsearch.reports.text_table import TextTable, console, print_table
    from effsearch.workflows.latency import conditions_here, measure_network

    conditions = conditions_here(device, batch, threads)
    named = [resolve(text, results) for text in arch]
    rows: list[dict[str, Any]] = []
    for network, name in named:
        with console(wide=False).status(f"measuring {name}"):
            rows.append(measure_network(network, name, conditions, resolution or network.resolution, classes))
    if format_ is Format.json:
        typer.echo(json.dumps(rows, indent=2))
        return
    where = conditions.name or f"{counted(threads, 'thread')} of the CPU, float32"
    captions = (
        f"ms a batch of {batch}, random weights, evaluation mode, {where}, no training beside it",
        "MiB: the peak of memory that the network adds to its process; GFLOPs/s: 1e9 multiply-adds a second",
        CONVENTION,
    )
    print_table(TextTable.of(LATENCY_COLUMNS, rows), "latency", captions, format_ is Format.markdown)


class PublishedTable(StrEnum):
    """A table of the paper."""

    scaling = "scaling"
    imagenet = "imagenet"


def compare(
    table: Annotated[
        PublishedTable,
        typer.Argument(help="scaling: MobileNets and ResNet-50 scaled up; imagenet: EfficientNets and others."),
    ],
    check: Annotated[bool, plain("imagenet: count torchvision's networks again.", "--check")] = False,
    format_: opt.FormatOption = Format.table,
) -> None:
    """Print a table of the paper with what the networks cost here."""
    from effsearch.published import IMAGENET, SCALED
    from effsearch.reports import paper_tables as tables
    from effsearch.reports.text_table import TextTable, print_table

    if check and table is not PublishedTable.imagenet:
        raise ReportError("--check is for imagenet; a network of ours is counted again by `effsearch describe --check`")
    if table is PublishedTable.scaling:
        title, shown = "Scaling up MobileNets and ResNet-50", TextTable.of(tables.SCALING_COLUMNS, SCALED)
        caption, records = tables.SCALING_CAPTION, tables.scaling_records(SCALED)
    else:
        title, shown = "EfficientNets and others on ImageNet", TextTable.of(tables.IMAGENET_COLUMNS, IMAGENET)
        caption, records = tables.IMAGENET_CAPTION, tables.imagenet_records(IMAGENET)
    if format_ is Format.json:
        typer.echo(json.dumps(records, indent=2))
    else:
        print_table(shown, title, [caption], format_ is Format.markdown)
    if check:
        _recount_published(quiet=format_ is Format.json)


def _recount_published(quiet: bool) -> None:
    """Counts torchvision's networks by fvcore; exits with status 1 if `published.toml` has other numbers."""
    from effsearch.network.count import count_torchvision
    from effsearch.published import IMAGENET, TorchvisionNetwork

    typer.echo("check: fvcore (conv + linear) counts torchvision's networks", err=quiet)
    agree = True
    for known in (row.network for row in IMAGENET if isinstance(row.network, TorchvisionNetwork)):
        recount = count_torchvision(known.name, known.resolution)
        same = (recount.flops, recount.params) == (known.flops, known.params)
        agree = agree and same
        verdict = "they agree" if same else f"THE TABLE HAS {known.flops:,}, {known.params:,}"
        where = f"{known.name}, {known.resolution} px"
        typer.echo(f"  {where}: {recount.flops:,} FLOPs, {recount.params:,} params: {verdict}", err=quiet)
    if not agree:
        raise typer.Exit(1)

"""`effsearch latency ARCH ...`."""

import json
from concurrent.futures import BrokenExecutor
from pathlib import Path
from typing import Annotated, Any

import typer

from effsearch.architecture import Architecture
from effsearch.cli.arguments import ARCH_HELP, Format, Results, check_classes, resolve
from effsearch.cli.machine import survey
from effsearch.cost import CONVENTION, cost
from effsearch.errors import ExecutorError, QuantityError
from effsearch.evaluation.hardware import first_line, loses_context, out_of_memory
from effsearch.executors.local import child
from effsearch.report.text_table import Grid, console
from effsearch.runs.settings import check_conditions
from effsearch.text import counted, format_count


def latency(
    arch: Annotated[list[str], typer.Argument(metavar="ARCH...", help=ARCH_HELP)],
    device: Annotated[str, typer.Option(help="cpu or cuda")] = "cpu",
    batch: Annotated[int, typer.Option(help="Images at a time.")] = 1,
    threads: Annotated[int, typer.Option(help="Of a CPU.")] = 1,
    resolution: Annotated[int | None, typer.Option(help="Input px [default: the architecture's]")] = None,
    classes: Annotated[int, typer.Option(help="Outputs of the classifier.")] = 1000,
    format_: Annotated[Format, typer.Option("--format", help="How to print it.")] = Format.table,
    results: Results = Path("results"),
) -> None:
    """Measure how long networks take to answer on this machine, and the memory they need, beside their FLOPs."""
    _check(device, batch, threads, resolution, classes)
    named = [resolve(text, results) for text in arch]
    out = console(wide=False)
    rows = []
    for network, name in named:
        # Each in a process of its own: memory that another has left free would hide what it needs.
        with out.status(f"measuring {name}"):
            found = _measure(network, name, device, batch, threads, resolution, classes)
        rows.append(_row(network, name, device, batch, threads, resolution, classes, found))
    if format_ is Format.json:
        typer.echo(json.dumps(rows, indent=2))
        return
    grid = _grid(rows)
    if format_ is Format.markdown:
        typer.echo(grid.markdown())
        return
    out.print(grid.rich("latency"))
    where = f"{counted(threads, 'thread')} of the CPU, float32"
    if device == "cuda":
        where = f"{survey()[0].name}, {survey()[0].precision}"
    for line in (
        f"ms a batch of {batch}, random weights, evaluation mode, {where}, nothing else on purpose beside it",
        "MiB: the peak of memory that the network adds to its process; GFLOPs/s: 1e9 multiply-adds a second",
        CONVENTION,
    ):
        out.print(line, style="dim")


def _check(device: str, batch: int, threads: int, resolution: int | None, classes: int) -> None:
    check_conditions(device, batch, threads, "--")
    check_classes(classes)
    if resolution is not None and not 8 <= resolution <= 2048:
        raise QuantityError(f"--resolution must be from 8 to 2,048, got {resolution}")
    if device == "cuda":
        with child() as ask:
            if not ask("effsearch.evaluation.devices", "gpus"):
                raise QuantityError("--device cuda needs an NVIDIA GPU that torch can use, got none; use --device cpu")


def _measure(
    network: Architecture, name: str, device: str, batch: int, threads: int, resolution: int | None, classes: int
) -> Any:
    """The latency of a network; raises ExecutorError where it does not fit into memory, or a GPU fails."""
    arguments = (network, device, batch, threads, resolution, classes)
    try:
        with child() as ask:
            return ask("effsearch.evaluation.timing", "measure_latency", *arguments)
    except (RuntimeError, MemoryError) as error:
        what = f"{name} with {counted(batch, 'image')} of {resolution or network.resolution} px"
        less = "a smaller --batch or --resolution" if batch > 1 else "a smaller --resolution"
        if isinstance(error, BrokenExecutor):
            raise ExecutorError(f"the process that measured {what} died, perhaps of memory; give {less}") from None
        if out_of_memory(error):
            raise ExecutorError(f"{what} does not fit into memory; give {less}") from None
        if loses_context(error):
            raise ExecutorError(f"{what} cannot be measured: {first_line(error)}") from None
        raise


def _row(
    architecture: Architecture,
    name: str,
    device: str,
    batch: int,
    threads: int,
    resolution: int | None,
    classes: int,
    found: Any,
) -> dict[str, Any]:
    side = resolution or architecture.resolution
    total = cost(architecture, side, classes)
    return {
        "name": name,
        "notation": architecture.notation,
        "key": architecture.key,
        "device": device,
        "batch": batch,
        "threads": threads if device == "cpu" else None,
        "resolution": side,
        "classes": classes,
        "median_ms": 1e3 * found.median,
        "p90_ms": 1e3 * found.p90,
        "runs": found.runs,
        "images_per_second": batch / found.median,
        "memory_bytes": found.memory,
        "flops": total.flops,
        "params": total.params,
    }


def _grid(rows: list[dict[str, Any]]) -> Grid:
    headings = ("network", "px", "median ms", "p90 ms", "images/s", "MiB", "FLOPs", "params", "GFLOPs/s")
    return Grid(headings, "lrrrrrrrr", [_cells(row) for row in rows])


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    memory = row["memory_bytes"]
    return (
        row["name"],
        str(row["resolution"]),
        f"{row['median_ms']:.1f}",
        f"{row['p90_ms']:.1f}",
        f"{row['images_per_second']:.1f}",
        "" if memory is None else f"{memory / 2**20:.0f}",
        format_count(row["flops"]),
        format_count(row["params"]),
        f"{row['flops'] * row['images_per_second'] / 1e9:.1f}",
    )

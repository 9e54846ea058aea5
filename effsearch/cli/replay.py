"""`effsearch replay TABLE`."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from effsearch.errors import QuantityError, listed
from effsearch.text import parse_count


class Format(StrEnum):
    """How the result is printed."""

    table = "table"
    json = "json"
    markdown = "markdown"


def replay(
    table: Annotated[Path, typer.Argument(metavar="TABLE", help="A benchmark table: a .csv or .parquet file.")],
    samplers: Annotated[
        str | None, typer.Option(help="NAME,NAME [default: all but those of Optuna: tpe, gp, nsga2]")
    ] = None,
    seeds: Annotated[int, typer.Option(help="Searches of each sampler.")] = 20,
    trials: Annotated[int, typer.Option(help="Evaluations of each search.")] = 200,
    target_flops: Annotated[
        str | None, typer.Option(help="T of the reward, such as 400M [default: the median of the rows]")
    ] = None,
    reward: Annotated[str, typer.Option(help="soft, hard or absolute.")] = "soft",
    exponent: Annotated[float, typer.Option(help="w of the soft reward, beta of the absolute.")] = -0.07,
    pool: Annotated[bool, typer.Option("--pool", help="Only the rows of the table, where it lacks some.")] = False,
    measurements: Annotated[str | None, typer.Option(help="More columns that are no decisions: NAME,NAME.")] = None,
    workers: Annotated[int | None, typer.Option(help="Processes [default: one a CPU core]")] = None,
    running: Annotated[int, typer.Option(help="Networks of one search that are evaluated at a time.")] = 1,
    format_: Annotated[Format, typer.Option("--format", help="How to print it.")] = Format.table,
    out: Annotated[Path | None, typer.Option(help="Draw regret against evaluations: .png, .svg or .pdf.")] = None,
) -> None:
    """Replay samplers on a benchmark table: how many evaluations does each need to find the best?"""
    for name, value, most in (("seeds", seeds, 1000), ("trials", trials, 100_000), ("running", running, 256)):
        if not 1 <= value <= most:
            raise QuantityError(f"--{name} must be from 1 to {most:,}, got {value}")
    if workers is not None and not 1 <= workers <= 256:
        raise QuantityError(f"--workers must be from 1 to 256, got {workers}")
    target = None if target_flops is None else parse_count(target_flops, "--target-flops")

    from effsearch.executors.local import single_thread

    single_thread()

    from effsearch.cli.replay_drive import ReplayRequest, execute
    from effsearch.search.samplers import OWN, SAMPLERS

    names = tuple(name.strip() for name in samplers.split(",")) if samplers is not None else OWN
    if unknown := [name for name in names if name not in SAMPLERS]:
        raise QuantityError(f"--samplers must be of {listed(SAMPLERS)}, got {unknown[0]!r}")
    extra = tuple(name.strip() for name in (measurements or "").split(",") if name.strip())
    execute(
        ReplayRequest(
            table, names, seeds, trials, target, reward, exponent, pool, extra, workers, running, format_.value, out
        )
    )

"""`effsearch replay TABLE`."""

import sys
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import typer

from effsearch.cli import options as opt
from effsearch.cli.options import Format, names, plain
from effsearch.errors import QuantityError, listed
from effsearch.text import counted, format_count, parse_count


def replay(
    table: Annotated[Path, typer.Argument(metavar="TABLE", help="A benchmark table: a .csv or .parquet file.")],
    samplers: Annotated[
        str | None,
        plain(
            "Which to replay.",
            default="all but those of Optuna: tpe, gp, nsga2",
            metavar="NAME,NAME",
            among=opt.SAMPLERS,
        ),
    ] = None,
    seeds: Annotated[int, plain("Searches of each sampler.", metavar="N")] = 20,
    trials: Annotated[int, plain("Evaluations of each search.", metavar="N")] = 200,
    target_flops: Annotated[
        str | None, plain("T of the reward, such as 400M.", default="the median of the rows", metavar="COUNT")
    ] = None,
    reward: Annotated[str, plain("soft, hard or absolute.", metavar="KIND")] = "soft",
    exponent: Annotated[float, plain("w of the soft reward, beta of the absolute.", metavar="W")] = -0.07,
    pool: Annotated[bool, plain("Only the rows of the table, where it lacks some.", "--pool")] = False,
    measurements: Annotated[str | None, plain("More columns that are no decisions.", metavar="NAME,NAME")] = None,
    workers: Annotated[int | None, plain("Processes.", default="one a CPU core", metavar="N")] = None,
    noise: Annotated[
        float, plain("Standard deviation that each evaluation adds to the accuracy (a fraction).", metavar="SD")
    ] = 0.0,
    running: Annotated[int, plain("Networks of one search that are evaluated at a time.", metavar="N")] = 1,
    format_: opt.FormatOption = Format.table,
    out: Annotated[Path | None, plain("Draw regret against evaluations: .png, .svg or .pdf.", metavar="FILE")] = None,
) -> None:
    """Replay samplers on a benchmark table: how many evaluations does each need to find the best?"""
    ranges = {"seeds": (seeds, 1000), "trials": (trials, 100_000), "running": (running, 256), "workers": (workers, 256)}
    for name, (value, most) in ranges.items():
        if value is not None and not 1 <= value <= most:
            raise QuantityError(f"--{name} must be from 1 to {most:,}, got {value}")
    if not 0 <= noise <= 1:
        raise QuantityError(f"--noise must be a standard deviation of accuracy from 0 to 1, got {noise:g}")
    target = None if target_flops is None else parse_count(target_flops, "--target-flops")

    from effsearch.executors.threads import single_thread

    single_thread()  # Before linear algebra is imported.

    from effsearch.cli.terminal import StopRequest, TerminalListener
    from effsearch.engine.replay import Searches, replay_samplers
    from effsearch.executors.local import MOST_WORKERS, cores
    from effsearch.reports.pictures import check_picture
    from effsearch.reports.text_table import Plain
    from effsearch.reward import KINDS, Reward
    from effsearch.workflows.table import open_table

    chosen = _chosen(samplers)
    if out is not None:
        check_picture(out)
    if reward not in KINDS:
        raise QuantityError(f"--reward must be one of {listed(KINDS)}, got {reward!r}")
    # Only the result goes to standard output, so that it can be read by a program.
    notes = Plain(file=sys.stderr, soft_wrap=True)
    listener = TerminalListener(notes, StopRequest())
    listing, searched, _ = open_table(table, pool, names(measurements), listener)
    aim = target or median(entry.flops for entry in listing.table.entries.values())
    score = Reward(aim, reward, exponent)
    searches = Searches(searched, score, chosen, seeds, trials, running, noise)
    with notes.status("") as status:
        found = replay_samplers(searches, workers or min(cores(), MOST_WORKERS), status.update)
    title = f"{searched.name}: reward {score.formula}, T = {format_count(aim)}"
    _print(found, title, f"{counted(seeds, 'seed')} of {counted(trials, 'evaluation')}", format_, out, notes)


def _chosen(samplers: str | None) -> tuple[str, ...]:
    from effsearch.engine.samplers import OWN, SAMPLERS

    chosen = names(samplers) if samplers is not None else OWN
    if unknown := [name for name in chosen if name not in SAMPLERS]:
        raise QuantityError(f"--samplers must be of {listed(SAMPLERS)}, got {unknown[0]!r}")
    return chosen


def _print(found: Any, title: str, searches: str, format_: Format, out: Path | None, notes: Any) -> None:
    from effsearch.reports.replay import NOISE_CAPTION, REPLAY_CAPTION, replay_json, replay_table, write_regret_curves
    from effsearch.reports.text_table import print_table

    if out is not None:
        write_regret_curves(found.replays, out, title)
        notes.print(f"drew {out}")
    if format_ is Format.json:
        typer.echo(replay_json(found.replays))
        return
    about = "" if found.looked_at else " (the best that hill climbing finds: there are too many to look at all)"
    best = f"the best of {found.networks:,} networks: reward {found.best:.4f}{about}"
    title = f"{title}; {searches}"
    caption = REPLAY_CAPTION if found.replays[0].selected is None else NOISE_CAPTION
    print_table(replay_table(found.replays), title, (caption, best), format_ is Format.markdown)

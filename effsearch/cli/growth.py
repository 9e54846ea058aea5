"""`effsearch grid` and `effsearch curves`: arguments in, a search that grows a baseline, what it found out."""

from typing import Annotated, Any

from effsearch.cli import options as opt
from effsearch.cli.options import Format, effort, given, goal, names, searching, space, training
from effsearch.errors import QuantityError, listed
from effsearch.scaling import AXES


@searching
def grid(
    phi: Annotated[float | None, goal("Grow the candidates to this phi.", default="1", metavar="PHI")] = None,
    baseline: opt.Baseline = None,
    target: Annotated[float | None, goal("alpha * beta^2 * gamma^2.", default="2", metavar="FACTOR")] = None,
    step: Annotated[
        float | None, space("Of alpha, beta and gamma.", default="0.05, or what fits", metavar="STEP")
    ] = None,
    tolerance: Annotated[float | None, space("|product - target| at most.", default="0.1", metavar="FACTOR")] = None,
    constraint: Annotated[
        str | None, space("formula, or flops: solve gamma for measured FLOPs.", default="formula", metavar="NAME")
    ] = None,
    depth_rounding: Annotated[str | None, space("ceil or nearest: of layers.", default="ceil", metavar="NAME")] = None,
    method: Annotated[str | None, space("halving, grid, tpe or evolution.", default="halving", metavar="NAME")] = None,
    trials: Annotated[int | None, space("Networks that tpe or evolution propose.", default="24", metavar="N")] = None,
    repeats: Annotated[
        int | None, training("Seeds of the finalists, or of all with grid.", default="3", metavar="N")
    ] = None,
    format_: Annotated[Format, effort("How --dry-run prints it.", "--format")] = Format.table,
    **shared: Any,
) -> None:
    """Search alpha, beta and gamma: train the networks that a baseline may grow into, each briefly, and rank them."""
    options = {**locals(), **shared}
    if format_ is not Format.table and not shared["dry_run"]:
        raise QuantityError("--format is for --dry-run; for a run there is effsearch show RUN --format ...")
    from effsearch.workflows.request import GridRequest

    request = GridRequest(
        baseline=baseline,
        grid=given(options, "phi", "step", "tolerance", "target", "constraint", "depth_rounding"),
        settings=given(options, "method", "repeats", "data", "seed"),
        trials=trials,
        **opt.of_search(options),
    )
    if format_ is not Format.table:
        _print_cells(request, format_)
        return
    from effsearch.cli.terminal import search

    search("grid", request, shared["dry_run"])


def _print_cells(request: Any, format_: Format) -> None:
    """The networks of a grid, without the time that they take: that would have to be measured."""
    from effsearch.reports.architecture_tables import PLAN_CAPTION, PLAN_COLUMNS, cells_json
    from effsearch.reports.text_table import TextTable
    from effsearch.workflows.request import settings_for

    request.check_limits()
    cells = settings_for(request).cells()
    table = TextTable.of(PLAN_COLUMNS, cells)
    print(cells_json(cells) if format_ is Format.json else f"{table.markdown()}\n\n{PLAN_CAPTION}")


@searching
def curves(
    baseline: opt.Baseline = None,
    axes: Annotated[str | None, goal(f"Of {listed(AXES)}.", default="all", metavar="NAME,NAME")] = None,
    points: Annotated[
        str | None, goal("Growths of FLOPs that each axis is asked for.", default="1,2,3,4", metavar="N,N")
    ] = None,
    under: Annotated[
        bool | None, goal("Also width under d, r = 1, 1.3 and 2 (figure 4).", "--under/--no-under", default="under")
    ] = None,
    repeats: Annotated[int | None, training("Seeds of every network.", default="2", metavar="N")] = None,
    **shared: Any,
) -> None:
    """Train what a baseline grows into along each axis, and draw accuracy against FLOPs (figures 3 and 4)."""
    options = {**locals(), **shared}
    settings = given(options, "under", "repeats", "data", "seed")
    settings |= {} if axes is None else {"axes": names(axes)}
    settings |= {} if points is None else {"points": _numbers(points)}
    searched = opt.of_search(options)

    from effsearch.cli.terminal import search
    from effsearch.workflows.request import GrowthRequest

    search("curves", GrowthRequest(baseline=baseline, settings=settings, **searched), shared["dry_run"])


def _numbers(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise QuantityError(f"--points must be numbers with commas such as 1,2,4; got {text!r}") from None

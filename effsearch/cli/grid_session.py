"""`effsearch grid`: from what was asked for to settings, and to the plan of a grid that costs nothing to print."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import typer

from effsearch.cli.arguments import check_limits, resolve
from effsearch.cli.cluster import Cluster
from effsearch.coefficient_grid import Cell, CoefficientGrid
from effsearch.evaluation import QUICK, Proxy, find_proxy
from effsearch.report.architecture_tables import PLAN_CAPTION, plan_grid
from effsearch.runs.folder import check_names
from effsearch.runs.settings import GridSettings


@dataclass(frozen=True)
class GridRequest:
    """What was asked for on the command line, and only that: the rest is the run's own, or a default."""

    baseline: str | None
    grid: Mapping[str, Any]
    asked: Mapping[str, Any]
    proxy: str | None
    proxy_changes: Mapping[str, Any]
    trials: int | None
    seconds: float | None
    workers: int | None
    cluster: Cluster | None
    storage: str | None
    run: str | None
    resume: str | None
    device_change: bool
    results: Path


def check(request: GridRequest) -> None:
    """Raises EffsearchError for what makes no sense, before anything is measured."""
    check_limits(request.trials, request.workers, 100_000)
    check_names(request.run, request.resume)


def settings_for(request: GridRequest, base: GridSettings | None, proxy: Proxy) -> GridSettings:
    """The settings `base`, or the defaults, with what was asked for in place of their own."""
    proxy = proxy if request.proxy is None else find_proxy(request.proxy)
    proxy = replace(proxy, **request.proxy_changes)
    options = dict(request.grid)
    before = CoefficientGrid() if base is None else base.grid
    rounding = replace(before.rounding, depth=options.pop("depth_rounding", before.rounding.depth))
    grid = replace(before, rounding=rounding, **options)
    if base is None or request.baseline is not None:
        architecture, name = resolve(request.baseline or "b0", request.results)
        baseline = {"baseline": architecture.notation, "name": name}
    else:
        baseline = {"baseline": base.baseline, "name": base.name}
    values: dict[str, Any] = {**baseline, "grid": grid, "proxy": proxy, **request.asked}
    return GridSettings(**({"data": "scenes"} | values)) if base is None else replace(base, **values)


def plan(request: GridRequest, format_: str) -> None:
    """Prints what would be trained, and stops."""
    check(request)
    settings = settings_for(request, None, QUICK)
    if format_ == "json":
        typer.echo(json.dumps([_document(cell) for cell in settings.cells()], indent=2))
        return
    if format_ == "markdown":
        typer.echo(f"{plan_grid(settings.cells()).markdown()}\n\n{PLAN_CAPTION}")
        return
    from effsearch.cli.grid_plan import print_plan

    print_plan(request)


def _document(cell: Cell) -> dict[str, Any]:
    return {
        **asdict(cell.coefficients),
        "product": cell.coefficients.product,
        "role": cell.role,
        "name": cell.name,
        "triples": [[triple.alpha, triple.beta, triple.gamma] for triple in cell.triples],
        "notation": cell.architecture.notation,
        "key": cell.architecture.key,
        "resolution": cell.architecture.resolution,
        "flops": cell.cost.flops,
        "flops_ratio": cell.flops_ratio,
        "params": cell.cost.params,
    }

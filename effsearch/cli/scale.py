"""`effsearch scale ARCH`: the network grown by alpha, beta, gamma and phi, and what rounding makes of that."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from effsearch.architecture import Architecture
from effsearch.cli.options import (
    Arch,
    Classes,
    Format,
    FormatOption,
    Results,
    check_classes,
    complete_run,
    completing,
    resolve,
)
from effsearch.cost import CONVENTION, cost, stage_costs
from effsearch.errors import QuantityError, listed
from effsearch.families import PUBLISHED
from effsearch.growth import axes, phi_of, solve_phi
from effsearch.scaling import DEPTH_ROUNDINGS, PAPER, Coefficients, Multipliers, Rounding, grow
from effsearch.text import parse_count


def scale(
    arch: Arch,
    phi: Annotated[
        float | None, typer.Option(metavar="PHI", help="How far to grow; below 0 shrinks.", show_default="1")
    ] = None,
    alpha: Annotated[
        float | None, typer.Option(metavar="FACTOR", help="Depth from phi = 0 to 1.", show_default="1.2")
    ] = None,
    beta: Annotated[
        float | None, typer.Option(metavar="FACTOR", help="Width from phi = 0 to 1.", show_default="1.1")
    ] = None,
    gamma: Annotated[
        float | None, typer.Option(metavar="FACTOR", help="Resolution from phi = 0 to 1.", show_default="1.15")
    ] = None,
    from_: Annotated[
        str | None,
        typer.Option("--from", metavar="RUN", help="Coefficients that a grid found.", autocompletion=complete_run),
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help=f"Published multipliers: {listed(PUBLISHED)}.", autocompletion=completing(PUBLISHED)
        ),
    ] = None,
    target_flops: Annotated[
        str | None, typer.Option(metavar="COUNT", help="Solve for the largest phi within, such as 2G.")
    ] = None,
    depth_rounding: Annotated[
        str, typer.Option(metavar="NAME", help=f"{listed(DEPTH_ROUNDINGS)}: of layers.")
    ] = "ceil",
    width_divisor: Annotated[int, typer.Option(metavar="N", help="Channels are multiples of this.")] = 8,
    resolution_multiple: Annotated[int, typer.Option(metavar="PX", help="Input px are a multiple of this.")] = 1,
    classes: Classes = 1000,
    explain: Annotated[bool, typer.Option("--explain", help="Axis by axis: asked, rounded, and the cost.")] = False,
    format_: FormatOption = Format.table,
    results: Results = Path("results"),
) -> None:
    """Grow an architecture by compound scaling, and print what becomes of it."""
    check_classes(classes)
    baseline, name = resolve(arch, results)
    rounding = Rounding(depth_rounding, width_divisor, resolution_multiple)  # type: ignore[arg-type]
    given = [
        option
        for option, value in (("--phi", phi), ("--preset", preset), ("--target-flops", target_flops))
        if value is not None
    ]
    if len(given) > 1:
        raise QuantityError(f"give one of {listed(given)}, not {len(given)}")
    if preset is not None and (from_, alpha, beta, gamma) != (None, None, None, None):
        raise QuantityError("--preset has multipliers of its own; leave out --alpha, --beta, --gamma and --from")
    coefficients = _coefficients(from_, alpha, beta, gamma, results)
    if preset is not None:
        multipliers, what = _preset(preset), f"{preset.lower()}'s published multipliers"
    else:
        if target_flops is not None:
            phi = solve_phi(baseline, coefficients, parse_count(target_flops, "--target-flops"), rounding, classes)
        phi = 1.0 if phi is None else phi
        multipliers, what = coefficients.at(phi), f"phi {phi:.4g}, {coefficients}"
    large = grow(baseline, multipliers, rounding)
    if format_ is Format.json:
        typer.echo(
            json.dumps(
                _document(baseline, large, multipliers, rounding, None if preset else (phi, coefficients), classes),
                indent=2,
            )
        )
        return
    _print(baseline, large, f"{name} at {what}", multipliers, rounding, classes, format_)
    if explain:
        _explain(baseline, multipliers, rounding, classes, None if preset is None else preset.lower(), format_)


def _coefficients(
    from_: str | None, alpha: float | None, beta: float | None, gamma: float | None, results: Path
) -> Coefficients:
    found = PAPER
    if from_ is not None:
        from effsearch.workflows.named import coefficients_of

        found = coefficients_of(from_, results)
    if from_ is not None and (alpha, beta, gamma) != (None, None, None):
        raise QuantityError("give --from RUN, or --alpha, --beta and --gamma, not both")
    values = [
        mine if mine is not None else its
        for mine, its in zip((alpha, beta, gamma), (found.alpha, found.beta, found.gamma), strict=True)
    ]
    return Coefficients(*values)


def _preset(name: str) -> Multipliers:
    published = PUBLISHED.get(name.lower())
    if published is None:
        raise QuantityError(f"--preset must be one of {listed(PUBLISHED)}, got {name!r}")
    return published.multipliers


def _document(
    baseline: Architecture,
    large: Architecture,
    multipliers: Multipliers,
    rounding: Rounding,
    growth: tuple[float | None, Coefficients] | None,
    classes: int,
) -> dict[str, Any]:
    total, base = cost(large, classes=classes), cost(baseline, classes=classes)
    phi, coefficients = growth or (None, None)
    return {
        "notation": large.notation,
        "key": large.key,
        "baseline": baseline.notation,
        "phi": phi,
        **({"alpha": None, "beta": None, "gamma": None} if coefficients is None else asdict(coefficients)),
        **asdict(multipliers),
        "resolution": large.resolution,
        "layers": large.layers,
        "classes": classes,
        **total._asdict(),
        "flops_ratio": total.flops / base.flops,
        "params_ratio": total.params / base.params,
        "formula_ratio": multipliers.product,
        "axes": [asdict(row) for row in axes(baseline, multipliers, rounding, classes)],
    }


def _print(
    baseline: Architecture,
    large: Architecture,
    title: str,
    multipliers: Multipliers,
    rounding: Rounding,
    classes: int,
    format_: Format,
) -> None:
    from effsearch.reports.architecture_tables import stage_caption, stage_table
    from effsearch.reports.text_table import console

    total, base = cost(large, classes=classes), cost(baseline, classes=classes)
    grid = stage_table(stage_costs(large, None, classes), total)
    caption = stage_caption(large, large.resolution, classes, total)
    ratio = (
        f"x {total.flops / base.flops:.2f} FLOPs and x {total.params / base.params:.2f} parameters of the baseline, "
        f"where d * w^2 * r^2 is {multipliers.product:.2f}"
    )
    if format_ is Format.markdown:
        typer.echo(f"{grid.markdown()}\n\n{caption}\n{ratio}\n\n`{large.notation}`")
        return
    out = console(wide=False)
    out.print(grid.rich(f"{title}  (key {large.key})"))
    out.print(caption)
    out.print(ratio, style="bold")
    out.print(large.notation, style="dim", soft_wrap=True)


def _explain(
    baseline: Architecture,
    multipliers: Multipliers,
    rounding: Rounding,
    classes: int,
    preset: str | None,
    format_: Format,
) -> None:
    from effsearch.reports.architecture_tables import AXES_CAPTION, axes_table
    from effsearch.reports.text_table import console

    total, base = cost(grow(baseline, multipliers, rounding), classes=classes), cost(baseline, classes=classes)
    rows = axes(baseline, multipliers, rounding, classes)
    grid = axes_table(rows, multipliers.product, total.flops / base.flops, total.params / base.params)
    lines = [AXES_CAPTION, CONVENTION]
    if preset is not None:
        lines += _why(preset, multipliers)
    if format_ is Format.markdown:
        typer.echo("\n".join(["", grid.markdown(), "", *lines]))
        return
    out = console(wide=False)
    out.print()
    out.print(grid.rich("what the formula asks, and what rounding makes of it"))
    for line in lines:
        out.print(line)


def _why(preset: str, by: Multipliers) -> list[str]:
    """Why published multipliers are not alpha^phi."""
    phis = {axis: phi or 0.0 for axis, phi in phi_of(by, PAPER).items()}
    if preset == "b0":
        return ["b0 is the baseline: all its multipliers are 1"]
    middle = sum(phis.values()) / 3
    formula = PAPER.at(middle)
    found = ", ".join(f"{axis} {getattr(by, axis):.3g} needs phi {phi:.2f}" for axis, phi in phis.items())
    return [
        f"{preset} is not alpha^phi for any phi ({PAPER}): {found}.",
        f"At their mean, phi {middle:.2f}, the formula gives depth {formula.depth:.3g}, width {formula.width:.3g} and "
        f"resolution {formula.resolution:.3g}. The released code holds multipliers of one decimal and chosen px as "
        "data; from b4 on their depth falls behind the formula.",
    ]

"""`effsearch scale ARCH`: the network grown by alpha, beta, gamma and phi, and what rounding makes of that."""

import json
from dataclasses import asdict, astuple, dataclass
from functools import cached_property
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
from effsearch.cost import CONVENTION, Cost, cost, stage_costs
from effsearch.errors import QuantityError, listed
from effsearch.families import PUBLISHED
from effsearch.growth import Axis, axes, phi_of, solve_phi
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
    asked = {"--phi": phi, "--preset": preset, "--target-flops": target_flops}
    if len(got := [option for option, value in asked.items() if value is not None]) > 1:
        raise QuantityError(f"give one of {listed(got)}, not {len(got)}")
    if preset is not None and (from_, alpha, beta, gamma) != (None, None, None, None):
        raise QuantityError("--preset has multipliers of its own; leave out --alpha, --beta, --gamma and --from")
    coefficients = _coefficients(from_, (alpha, beta, gamma), results)
    if preset is not None:
        preset, what = preset.lower(), f"{preset.lower()}'s published multipliers"
        grown = _Grown(baseline, _published(preset), rounding, classes)
    else:
        if target_flops is not None:
            phi = solve_phi(baseline, coefficients, parse_count(target_flops, "--target-flops"), rounding, classes)
        phi = 1.0 if phi is None else phi
        what = f"phi {phi:.4g}, {coefficients}"
        grown = _Grown(baseline, coefficients.at(phi), rounding, classes)
    if format_ is Format.json:
        about = {"phi": None if preset else phi, **dict.fromkeys(("alpha", "beta", "gamma"))}
        typer.echo(json.dumps(grown.document(about if preset else about | asdict(coefficients)), indent=2))
        return
    _print(grown, f"{name} at {what}", format_)
    if explain:
        _explain(grown, preset, format_)


@dataclass(frozen=True)
class _Grown:
    """A baseline and what it grows into, with the costs of both."""

    baseline: Architecture
    by: Multipliers
    rounding: Rounding
    classes: int

    @cached_property
    def large(self) -> Architecture:
        return grow(self.baseline, self.by, self.rounding)

    @cached_property
    def total(self) -> Cost:
        return cost(self.large, classes=self.classes)

    @property
    def ratios(self) -> tuple[float, float]:
        """Of FLOPs and of parameters to the baseline's."""
        base = cost(self.baseline, classes=self.classes)
        return self.total.flops / base.flops, self.total.params / base.params

    @property
    def axes(self) -> list[Axis]:
        return axes(self.baseline, self.by, self.rounding, self.classes)

    def document(self, about: dict[str, Any]) -> dict[str, Any]:
        """For JSON; `about` is what it was grown by."""
        flops_ratio, params_ratio = self.ratios
        return {
            "notation": self.large.notation,
            "key": self.large.key,
            "baseline": self.baseline.notation,
            **about,
            **asdict(self.by),
            "resolution": self.large.resolution,
            "layers": self.large.layers,
            "classes": self.classes,
            **self.total._asdict(),
            "flops_ratio": flops_ratio,
            "params_ratio": params_ratio,
            "formula_ratio": self.by.product,
            "axes": [asdict(row) for row in self.axes],
        }


def _coefficients(run: str | None, asked: tuple[float | None, ...], results: Path) -> Coefficients:
    found = PAPER
    if run is not None:
        from effsearch.workflows.named import coefficients_of

        found = coefficients_of(run, results)
    if run is not None and any(value is not None for value in asked):
        raise QuantityError("give --from RUN, or --alpha, --beta and --gamma, not both")
    return Coefficients(*(its if mine is None else mine for mine, its in zip(asked, astuple(found), strict=True)))


def _published(name: str) -> Multipliers:
    if name not in PUBLISHED:
        raise QuantityError(f"--preset must be one of {listed(PUBLISHED)}, got {name!r}")
    return PUBLISHED[name].multipliers


def _print(grown: _Grown, title: str, format_: Format) -> None:
    from effsearch.reports.architecture_tables import stage_caption, stage_table
    from effsearch.reports.text_table import console

    large, total = grown.large, grown.total
    table = stage_table(stage_costs(large, None, grown.classes), total)
    caption = stage_caption(large, large.resolution, grown.classes, total)
    flops, params = grown.ratios
    ratio = (
        f"x {flops:.2f} FLOPs and x {params:.2f} parameters of the baseline, where d * w^2 * r^2 is "
        f"{grown.by.product:.2f}"
    )
    if format_ is Format.markdown:
        typer.echo(f"{table.markdown()}\n\n{caption}\n{ratio}\n\n`{large.notation}`")
        return
    out = console(wide=False)
    out.print(table.rich(f"{title}  (key {large.key})"))
    out.print(caption)
    out.print(ratio, style="bold")
    out.print(large.notation, style="dim", soft_wrap=True)


def _explain(grown: _Grown, preset: str | None, format_: Format) -> None:
    from effsearch.reports.architecture_tables import AXES_CAPTION, axes_table
    from effsearch.reports.text_table import console

    table = axes_table(grown.axes, grown.by.product, *grown.ratios)
    lines = [AXES_CAPTION, CONVENTION, *(() if preset is None else _why(preset, grown.by))]
    if format_ is Format.markdown:
        typer.echo("\n".join(["", table.markdown(), "", *lines]))
        return
    out = console(wide=False)
    out.print()
    out.print(table.rich("what the formula asks, and what rounding makes of it"))
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

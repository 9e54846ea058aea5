"""`effsearch describe`, `scale`, `latency` and `compare`: what networks cost, measured or counted, and grow into."""

import json
from dataclasses import asdict, astuple, dataclass
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

import typer

from effsearch import scaling
from effsearch.architecture import Architecture
from effsearch.cli import options as opt
from effsearch.cli.options import Format, check_classes, check_side, plain, resolve
from effsearch.costs import CONVENTION, Cost, cost, stage_costs
from effsearch.errors import QuantityError, ReportError, listed, needed
from effsearch.families import PUBLISHED
from effsearch.prior import predict
from effsearch.scaling import PAPER, Coefficients, Multipliers, Rounding
from effsearch.text import counted, parse_count, sanitize


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
        _print_stages(architecture, name, side, classes, _prediction(architecture), format_ is Format.markdown)
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


def _print_stages(network: Architecture, title: str, side: int, classes: int, more: list[str], markdown: bool) -> None:
    """Prints a network stage by stage, with `more` captions."""
    from effsearch.reports.architecture_tables import stage_caption, stage_table
    from effsearch.reports.text_table import print_table

    total = cost(network, side, classes)
    table = stage_table(stage_costs(network, side, classes), total)
    captions = (stage_caption(network, side, classes, total), *more)
    print_table(table, f"{title}  (key {network.key})", captions, markdown, network.notation)


def _prediction(architecture: Architecture) -> list[str]:
    if (prediction := predict(architecture)) is None:
        return []
    return [
        f"predicted: {100 * prediction.accuracy:.1f} % ImageNet top-1 after a short training (+- "
        f"{100 * prediction.error:.2f} points); tells rank, not what a full training reaches"
    ]


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


def scale(
    arch: opt.Arch,
    phi: Annotated[float | None, plain("How far to grow; below 0 shrinks.", default="1", metavar="PHI")] = None,
    alpha: Annotated[float | None, plain("Depth from phi = 0 to 1.", default="1.2", metavar="FACTOR")] = None,
    beta: Annotated[float | None, plain("Width from phi = 0 to 1.", default="1.1", metavar="FACTOR")] = None,
    gamma: Annotated[float | None, plain("Resolution from phi = 0 to 1.", default="1.15", metavar="FACTOR")] = None,
    from_: Annotated[
        str | None, plain("Coefficients that a grid found.", "--from", metavar="RUN", autocompletion=opt.complete_run)
    ] = None,
    preset: Annotated[
        str | None, plain(f"Published multipliers: {listed(PUBLISHED)}.", metavar="NAME", among=PUBLISHED)
    ] = None,
    target_flops: Annotated[str | None, plain("Solve for the largest phi within, such as 2G.", metavar="COUNT")] = None,
    depth_rounding: Annotated[str, plain(f"{listed(scaling.DEPTH_ROUNDINGS)}: of layers.", metavar="NAME")] = "ceil",
    width_divisor: Annotated[int, plain("Channels are multiples of this.", metavar="N")] = 8,
    resolution_multiple: Annotated[int, plain("Input px are a multiple of this.", metavar="PX")] = 1,
    classes: opt.Classes = 1000,
    explain: Annotated[bool, plain("Axis by axis: asked, rounded, and the cost.", "--explain")] = False,
    format_: opt.FormatOption = Format.table,
    results: opt.Results = Path("results"),
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
        if (preset := preset.lower()) not in PUBLISHED:
            raise QuantityError(f"--preset must be one of {listed(PUBLISHED)}, got {preset!r}")
        what, by = f"{preset}'s published multipliers", PUBLISHED[preset].multipliers
    else:
        if target_flops is not None:
            most = parse_count(target_flops, "--target-flops")
            phi = scaling.solve_phi(baseline, coefficients, most, rounding, classes)
        phi = 1.0 if phi is None else phi
        what, by = f"phi {phi:.4g}, {coefficients}", coefficients.at(phi)
    grown = _Grown(baseline, by, rounding, classes)
    if format_ is Format.json:
        about = {"phi": None if preset else phi, **dict.fromkeys(("alpha", "beta", "gamma"))}
        typer.echo(json.dumps(grown.document(about if preset else about | asdict(coefficients)), indent=2))
        return
    large, (flops, params), product = grown.large, grown.ratios, grown.by.product
    more = [f"x {flops:.2f} FLOPs and x {params:.2f} parameters of the baseline, where d * w^2 * r^2 is {product:.2f}"]
    _print_stages(large, f"{name} at {what}", large.resolution, classes, more, format_ is Format.markdown)
    if explain:
        _explain(grown, preset, format_ is Format.markdown)


@dataclass(frozen=True)
class _Grown:
    """A baseline and what it grows into, with the costs of both."""

    baseline: Architecture
    by: Multipliers
    rounding: Rounding
    classes: int

    @cached_property
    def large(self) -> Architecture:
        return scaling.grow(self.baseline, self.by, self.rounding)

    @property
    def ratios(self) -> tuple[float, float]:
        """Of FLOPs and of parameters to the baseline's."""
        total, base = (cost(network, classes=self.classes) for network in (self.large, self.baseline))
        return total.flops / base.flops, total.params / base.params

    @property
    def axes(self) -> list[scaling.Axis]:
        return scaling.axes(self.baseline, self.by, self.rounding, self.classes)

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
            **cost(self.large, classes=self.classes)._asdict(),
            "flops_ratio": flops_ratio,
            "params_ratio": params_ratio,
            "formula_ratio": self.by.product,
            "axes": [asdict(row) for row in self.axes],
        }


def _coefficients(run: str | None, asked: tuple[float | None, ...], results: Path) -> Coefficients:
    found = PAPER
    if run is not None:
        from effsearch.workflows.request import coefficients_of

        found = coefficients_of(run, results)
        if any(value is not None for value in asked):
            raise QuantityError("give --from RUN, or --alpha, --beta and --gamma, not both")
    return Coefficients(*(its if mine is None else mine for mine, its in zip(asked, astuple(found), strict=True)))


def _explain(grown: _Grown, preset: str | None, markdown: bool) -> None:
    from effsearch.reports.architecture_tables import AXES_CAPTION, axes_table
    from effsearch.reports.text_table import print_table

    captions = (AXES_CAPTION, CONVENTION, *(() if preset is None else _why(preset, grown.by)))
    table = axes_table(grown.axes, grown.by.product, *grown.ratios)
    print()
    print_table(table, "what the formula asks, and what rounding makes of it", captions, markdown)


def _why(preset: str, by: Multipliers) -> list[str]:
    """Why published multipliers are not alpha^phi."""
    phis = {axis: phi or 0.0 for axis, phi in scaling.phi_of(by, PAPER).items()}
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


def latency(
    arch: Annotated[
        list[str], typer.Argument(metavar="ARCH...", help=opt.ARCH_HELP, autocompletion=opt.complete_architecture)
    ],
    device: Annotated[str, plain("cpu or cuda.", metavar="DEVICE", among=("cpu", "cuda"))] = "cpu",
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
    transfer = "transfer"


class Theme(StrEnum):
    """The colours of a picture."""

    light = "light"
    dark = "dark"


def compare(
    table: Annotated[
        PublishedTable,
        typer.Argument(
            help="scaling: MobileNets and ResNet-50 scaled up; imagenet: EfficientNets and others; transfer: to eight "
            "other image sets."
        ),
    ],
    file: Annotated[
        Path | None,
        typer.Argument(
            metavar="[FILE]", help="A .png, .svg or .pdf file that --plot draws into.", show_default="the terminal"
        ),
    ] = None,
    check: Annotated[bool, plain("imagenet: count torchvision's networks again.", "--check")] = False,
    format_: opt.FormatOption = Format.table,
    plot: Annotated[
        bool, plain("imagenet: draw accuracy against parameters and FLOPs (figure 1), into FILE if given.", "--plot")
    ] = False,
    add: Annotated[
        list[str] | None,
        plain(
            "Draw own networks too: a run of train, or a .csv or .json file; may be given several times.",
            metavar="RUN|FILE",
            default="none",
            autocompletion=opt.complete_run,
        ),
    ] = None,
    theme: Annotated[Theme | None, plain("The colours of the file.", default="light", metavar="light|dark")] = None,
    results: opt.Results = Path("results"),
) -> None:
    """Print a table of the paper with what the networks cost here, or draw its figure 1."""
    from effsearch.published import IMAGENET, SCALED, TRANSFER
    from effsearch.reports import paper_tables as tables
    from effsearch.reports.text_table import TextTable, print_table

    if check and table is not PublishedTable.imagenet:
        raise ReportError("--check is for imagenet; a network of ours is counted again by `effsearch describe --check`")
    figure = {"--plot": plot, "FILE": file is not None, "--add": bool(add), "--theme": theme is not None}
    if asked := [option for option, given in figure.items() if given]:
        _check_figure(asked, table, check or format_ is not Format.table)
        _draw_imagenet(file, add or [], theme or Theme.light, results)
        return
    if table is PublishedTable.transfer:
        title, shown = "Transfer to other image sets", TextTable.of(tables.TRANSFER_COLUMNS, TRANSFER)
        caption, records = tables.transfer_caption(TRANSFER), tables.published_transfer_records(TRANSFER)
    elif table is PublishedTable.scaling:
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


def _check_figure(asked: list[str], table: PublishedTable, printing: bool) -> None:
    """Raises ReportError for options of the figure that do not go together, or with others."""
    if table is not PublishedTable.imagenet:
        raise ReportError(f"{asked[0]} is for imagenet, got {table.value}, of which there is no figure")
    if "--plot" not in asked:
        raise ReportError(f"{asked[0]} is for --plot, which draws a figure; got no --plot")
    if "--theme" in asked and "FILE" not in asked:
        raise ReportError("--theme is for --plot FILE; a terminal has colours of its own")
    if printing:
        raise ReportError("--plot draws a figure and prints no table; leave out --check and --format")


def _draw_imagenet(out: Path | None, add: list[str], theme: Theme, results: Path) -> None:
    """Draws the paper's figure 1 with own networks into a file, or in the terminal."""
    from effsearch.published import IMAGENET
    from effsearch.reports.compared_networks import added_networks
    from effsearch.reports.imagenet_charts import imagenet_charts

    if out is None:
        with needed():
            from effsearch.reports.imagenet_terminal import print_imagenet
        print_imagenet(imagenet_charts(IMAGENET, added_networks(add, results)))
        return
    from effsearch.reports.imagenet_picture import imagenet_picture
    from effsearch.reports.pictures import check_picture, save_figure

    check_picture(out)
    figure, nameless = imagenet_picture(imagenet_charts(IMAGENET, added_networks(add, results)), theme.value)
    save_figure(figure, out)
    typer.echo(sanitize(f"drew {out}{f'; no room for the names of {listed(nameless)}' if nameless else ''}"))


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

"""`effsearch predict`, `evaluate` and `cam`: what a trained network says of images, how well, and where it looks."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from effsearch.cli import options as opt
from effsearch.cli.options import Format, RowsFormat, check_side, plain
from effsearch.text import counted, sanitize

WEIGHTS: Any = typer.Argument(metavar="WEIGHTS", help=opt.WEIGHTS_HELP, autocompletion=opt.complete_run)


class Split(StrEnum):
    """Splits that train nothing."""

    test = "test"
    validation = "validation"


def _listener() -> Any:
    """Shows progress and notes on standard error, so that standard output has the results alone."""
    from effsearch.cli.terminal import StopRequest, TerminalListener
    from effsearch.reports.text_table import console

    return TerminalListener(console(error=True), StopRequest())


def predict(
    weights: Annotated[str, WEIGHTS],
    images: Annotated[
        list[str], typer.Argument(metavar="IMAGE|DIR...", help="Image files, and folders of them at any depth.")
    ],
    top: Annotated[int, plain("Classes an image, from the most likely.", metavar="N")] = 5,
    pretrained: opt.Pretrained = None,
    resolution: opt.NetworkSide = None,
    device: opt.Device = None,
    format_: Annotated[RowsFormat, plain("How to print it.", "--format")] = RowsFormat.table,
    out: Annotated[Path | None, plain("Write to a .csv or .json file instead.", metavar="FILE")] = None,
    results: opt.Results = Path("results"),
) -> None:
    """Classify image files by a trained network."""
    check_side(resolution, 2048)
    from effsearch.reports import predictions as tables
    from effsearch.reports.text_table import print_table
    from effsearch.workflows.predict import predict_images

    if out is not None:
        tables.check_predictions_file(out)
    where: dict[str, Any] = {"resolution": resolution, "device": device, "results": results}
    asked = {"top": top, "pretrained": pretrained, **where}
    found = predict_images(weights, images, _listener(), **asked)
    if out is not None:
        tables.write_predictions(found.rows, out)
        typer.echo(sanitize(f"wrote {counted(len(found.rows), 'prediction')} to {out}"))
    elif format_ is RowsFormat.csv:
        typer.echo(tables.predictions_csv(found.rows), nl=False)
    elif format_ is RowsFormat.json:
        typer.echo(tables.predictions_json(found.rows), nl=False)
    else:
        title = f"{found.name}: {counted(len(found.rows), 'image')}"
        table, markdown = tables.predictions_table(found.rows), format_ is RowsFormat.markdown
        print_table(table, title, found.captions(), markdown, wide=True)


def evaluate(
    weights: Annotated[str, WEIGHTS],
    data: Annotated[
        str | None,
        plain("An image set: a folder of class folders, or a name.", default="the run's own", metavar="DIR|NAME"),
    ] = None,
    split: Annotated[
        Split | None, plain("Which images.", default="test, or validation where there is none", metavar="SPLIT")
    ] = None,
    pretrained: opt.Pretrained = None,
    resolution: opt.NetworkSide = None,
    device: opt.Device = None,
    format_: opt.FormatOption = Format.table,
    out: Annotated[
        Path | None, plain("Write the confusion matrix (.csv) or everything (.json).", metavar="FILE")
    ] = None,
    results: opt.Results = Path("results"),
) -> None:
    """Evaluate a trained network on an image set: accuracy, likelihood, calibration, and what it confuses."""
    check_side(resolution, 2048)
    from effsearch.reports import evaluation as tables
    from effsearch.reports.text_table import print_table
    from effsearch.workflows.evaluate import evaluate_network
    from effsearch.workflows.weights import how_trained

    if out is not None:
        tables.check_evaluation_file(out)
    asked: dict[str, Any] = {
        "split": split and split.value,
        "pretrained": pretrained,
        "resolution": resolution,
        "device": device,
        "results": results,
    }
    listener = _listener()
    found = evaluate_network(weights, listener, data=data, **asked)
    scores = found.scores
    if out is not None:
        tables.write_evaluation(scores, out)
    if format_ is Format.json:
        typer.echo(tables.evaluation_json(scores), nl=False)
    else:
        shown = tables.evaluation_tables(scores, f"{found.name} on {scores.data}")
        captions = [*tables.evaluation_captions(scores), how_trained(found.weights)]
        for title, table in shown[:-1]:
            print_table(table, title, (), format_ is Format.markdown)
            print()
        title, table = shown[-1]
        print_table(table, title, captions, format_ is Format.markdown)
    for path in filter(None, (found.kept, out)):
        listener.note(f"wrote {path}")


def cam(
    weights: Annotated[list[str], typer.Argument(metavar="WEIGHTS...", help=opt.WEIGHTS_HELP)],
    images: Annotated[
        list[str], plain("Image files, and folders of them; several may follow.", "--images", metavar="FILE|DIR")
    ],
    class_: Annotated[
        str | None, plain("Map this class.", "--class", default="what each network predicts", metavar="NAME")
    ] = None,
    names: Annotated[
        str | None, plain("Titles of the networks, such as narrow,wide.", default="their names", metavar="A,B")
    ] = None,
    most: Annotated[int, plain("Images, taken evenly from all.", metavar="N")] = 12,
    pretrained: opt.Pretrained = None,
    resolution: opt.NetworkSide = None,
    device: opt.Device = None,
    out: Annotated[Path, plain("A .png, .svg or .pdf file.", metavar="FILE")] = Path("cam.png"),
    results: opt.Results = Path("results"),
) -> None:
    """Draw where trained networks look: class activation maps, a row an image and a column a network."""
    check_side(resolution, 2048)
    from effsearch.data.sources import EXTENSIONS
    from effsearch.reports.activation_maps import CAPTION, draw_maps
    from effsearch.reports.pictures import check_picture, save_figure
    from effsearch.workflows.cam import map_classes

    check_picture(out)
    # A shell makes several words of --images photographs/*.jpg, of which the option takes the first.
    more = [text for text in weights if Path(text).suffix.lower() in EXTENSIONS]
    texts = [text for text in weights if text not in more]
    where: dict[str, Any] = {"resolution": resolution, "device": device, "results": results}
    asked = {"most": most, "pretrained": pretrained, **where}
    found = map_classes(texts, [*images, *more], _listener(), wanted=class_, names=opt.names(names), **asked)
    save_figure(draw_maps(found.names, found.rows), out)
    count = counted(len(found.rows), "image")
    of = f" of {found.found:,}, evenly from their order (--most draws more)" if found.found > most else ""
    typer.echo(sanitize(f"drew {out}: {count}{of}, {counted(len(found.names), 'network')}"))
    typer.echo(CAPTION)

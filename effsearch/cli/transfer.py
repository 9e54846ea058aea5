"""`effsearch transfer`: how well networks do on other image sets."""

from typing import Annotated, Any

import typer

from effsearch.cli import options as opt
from effsearch.cli.options import Format, driving, effort, given, goal, names, training
from effsearch.errors import QuantityError

RECIPE = "the recipe's"


@driving
def transfer(
    network: Annotated[
        str | None,
        typer.Argument(
            metavar="[NETWORK]",
            help="What is transferred: an architecture that has ImageNet weights, a file of weights, a run of train, "
            "or any architecture (from fresh weights).",
            autocompletion=opt.complete_architecture,
        ),
    ] = None,
    networks: Annotated[
        str | None, goal("Several networks, side by side.", default="the one named", metavar="NETWORK,NETWORK")
    ] = None,
    data: Annotated[str | None, goal("Image sets: folders of class folders, or names.", metavar="DIR,DIR")] = None,
    scratch: Annotated[bool, goal("Train each network from fresh weights too.", "--scratch")] = False,
    reference: Annotated[
        str | None,
        goal("The network whose parameters others are compared with.", default="the largest", metavar="NETWORK"),
    ] = None,
    linear: Annotated[
        bool, training("Fit a linear classifier to the features, and leave the network as it is.", "--linear")
    ] = False,
    recipe: Annotated[
        str | None,
        training(
            "finetune (10 epochs), short (30), efficientnet (350) or a .toml file.",
            default="finetune",
            metavar="RECIPE",
        ),
    ] = None,
    epochs: Annotated[int | None, training("Passes over the images.", default=RECIPE, metavar="N")] = None,
    resolution: Annotated[int | None, training("Input px.", default="each network's", metavar="PX")] = None,
    images: Annotated[int | None, training("Training images of a set, at most.", default="all", metavar="N")] = None,
    seeds: Annotated[
        int | None, training("Seeds of every training; more may be asked for later.", default="1", metavar="N")
    ] = None,
    seed: Annotated[int | None, training("The first of them.", default="0", metavar="N")] = None,
    format_: Annotated[Format, effort("How the result is printed.", "--format")] = Format.table,
    **shared: Any,
) -> None:
    """Train networks on other image sets, from their weights, and compare accuracies and parameters."""
    options = {**locals(), **shared}
    if shared["dry_run"] and format_ is not Format.table:
        raise QuantityError("--dry-run prints a table; leave out --format")
    driven = opt.of_driven(options)

    from effsearch.cli.terminal import search
    from effsearch.reports.text_table import console
    from effsearch.reports.transfer import TransferResult, show_transfer
    from effsearch.runs.transfer_settings import TransferSettings
    from effsearch.workflows.common import Outcome
    from effsearch.workflows.request import TransferRequest
    from effsearch.workflows.transfer import plan_transfer, transfer_networks

    def show(outcome: Outcome) -> None:
        result = TransferResult(outcome.run.settings(TransferSettings), outcome.status.records)
        show_transfer(outcome.run, result, format_.value)

    request = TransferRequest(
        networks=(*([network] if network else []), *names(networks)),
        sets=names(data),
        recipe=recipe,
        linear=linear,
        scratch=scratch,
        train_images=images,
        resolution=resolution,
        seeds=seeds,
        settings=given(options, "epochs", "seed", "reference"),
        **driven,
    )
    out = None if format_ is Format.table else console(error=True)
    search("transfer", request, shared["dry_run"], transfer_networks, plan_transfer, show, out)

"""`effsearch verify`: is what a run names still the best after long training?"""

from typing import Annotated, Any

import typer

from effsearch.cli import options as opt
from effsearch.cli.options import Format, effort, given, goal, names, searching, training
from effsearch.errors import QuantityError


@searching
def verify(
    searched: Annotated[
        str | None,
        typer.Argument(
            metavar="[RUN]", help="A run of nas or of grid, its name or folder.", autocompletion=opt.complete_run
        ),
    ] = None,
    top: Annotated[
        int | None, goal("Networks of the run that are verified, from the first.", default="1", metavar="N")
    ] = None,
    against: Annotated[
        str | None,
        goal(
            "What they are compared with: architectures, and random:N of the run's space.",
            default="b0,random:3 of nas",
            metavar="ARCH,ARCH",
        ),
    ] = None,
    data: Annotated[
        str | None, training("Where the run's images are now.", default="where they were", metavar="DIR|NAME")
    ] = None,
    times: Annotated[
        int | None,
        training(
            "How many times as long as in the run: by more images, and by more epochs of all.",
            default="10",
            metavar="N",
        ),
    ] = None,
    epochs: Annotated[
        int | None, training("So many epochs of the run's images instead.", default="as --times says", metavar="N")
    ] = None,
    proxy_images: Annotated[
        int | None, training("Training images, at most.", default="as --times says", metavar="N")
    ] = None,
    proxy: Annotated[
        str | None,
        training(
            "Another preset: quick, standard, large or full.",
            default="the run's proxy",
            metavar="PRESET",
            among=opt.PRESETS[1:],
        ),
    ] = None,
    seeds: Annotated[
        int | None, training("Seeds of every network; more may be asked for later.", default="3", metavar="N")
    ] = None,
    seed: Annotated[
        int | None, training("The first of them.", default="one that the run did not use", metavar="N")
    ] = None,
    format_: Annotated[Format, effort("How the result is printed.", "--format")] = Format.table,
    **shared: Any,
) -> None:
    """Train what a run found for long beside its rivals, under new seeds, and say whether it is still the best."""
    options = {**locals(), **shared}
    if shared["dry_run"] and format_ is not Format.table:
        raise QuantityError("--dry-run prints a table; leave out --format")
    searched_by = opt.of_search(options)

    from effsearch.cli.terminal import search
    from effsearch.reports.text_table import console
    from effsearch.reports.verification import Verification, show_verified
    from effsearch.runs.settings import VerifySettings
    from effsearch.workflows.common import Outcome
    from effsearch.workflows.request import VerifyRequest
    from effsearch.workflows.verify import plan_verification, verify_networks

    def show(outcome: Outcome) -> None:
        of = Verification(outcome.run.settings(VerifySettings), outcome.status.records)
        show_verified(outcome.run, of, format_.value)

    request = VerifyRequest(
        searched=searched,
        top=top,
        against=None if against is None else names(against),
        times=times,
        seeds=seeds,
        settings=given(options, "data", "seed"),
        **searched_by,
    )
    # Where the result is for a program, whatever else is said goes to standard error.
    out = None if format_ is Format.table else console(error=True)
    search("verify", request, shared["dry_run"], verify_networks, plan_verification, show, out)

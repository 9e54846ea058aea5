"""Options and arguments that several commands share, each with its words once, and what they complete to."""

from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from functools import partial
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import Annotated, Any

import typer

from effsearch.architecture import Architecture
from effsearch.errors import QuantityError, listed
from effsearch.families import NAMES, find
from effsearch.text import parse_duration

SAMPLERS = ("auto", "evolution", "local-search", "reinforce", "random", "tpe", "nsga2", "gp")
PRESETS = ("auto", "quick", "standard", "large", "full")
"""Kept here too, since the modules that have them import libraries that take seconds; a test compares them."""

GOAL, SPACE, TRAINING = "What to find", "Where to search", "How to train"
EFFORT, RUN = "How long and where", "The run"
"""Panels of the help."""


class Format(StrEnum):
    """How a table is printed."""

    table = "table"
    json = "json"
    markdown = "markdown"


class RowsFormat(StrEnum):
    """How a table of many rows is printed."""

    table = "table"
    csv = "csv"
    json = "json"
    markdown = "markdown"


def completing(names: Iterable[str]) -> Callable[[str], list[str]]:
    """What a shell completes an option to, of these names."""
    return lambda incomplete: [name for name in names if name.startswith(incomplete)]


def complete_run(incomplete: str) -> list[str]:
    """The names of the runs in results/."""
    return sorted(path.parent.name for path in Path("results").glob(f"{incomplete}*/run.toml"))


def complete_architecture(incomplete: str) -> list[str]:
    """Known architectures, and runs."""
    return [*completing(NAMES)(incomplete), *complete_run(incomplete)]


def option(
    panel: str | None, help_: str, *names: str, default: str | None = None, among: Iterable[str] = (), **more: Any
) -> Any:
    """An option in a panel of the help, which shows `default` for a computed one; shells complete it from `among`."""
    shown: dict[str, Any] = {} if default is None else {"show_default": default}
    completion: dict[str, Any] = {"autocompletion": completing(among)} if among else {}
    return typer.Option(*names, help=help_, rich_help_panel=panel, **shown | completion | more)


goal, space, training, effort, of_run, plain = (
    partial(option, panel) for panel in (GOAL, SPACE, TRAINING, EFFORT, RUN, None)
)

ARCH_HELP = f"An architecture: a name ({listed(NAMES)}), a notation, a file that holds one, RUN:RANK or RUN."
ARCH: Any = typer.Argument(metavar="ARCH", help=ARCH_HELP, autocompletion=complete_architecture)
Arch = Annotated[str, ARCH]
RunArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="[RUN]", help="A run's name or folder.", show_default="the latest", autocompletion=complete_run
    ),
]
WEIGHTS_HELP = (
    "A run of train, a .safetensors file of weights, RUN:NAME of a run of verify, or with --weights imagenet an "
    "architecture."
)
Device = Annotated[
    str | None, plain("cpu or cuda.", default="cuda where there is one", metavar="DEVICE", among=("cpu", "cuda"))
]
NetworkSide = Annotated[int | None, plain("Input px.", default="the network's", metavar="PX")]
Results = Annotated[
    Path, of_run("The folder of all runs.", "--results", envvar="EFFSEARCH_RESULTS", show_envvar=True, metavar="DIR")
]
Classes = Annotated[int, plain("Outputs of the classifier.", metavar="N")]
Side = Annotated[int | None, plain("Input px.", default="the architecture's", metavar="PX")]
Pretrained = Annotated[
    str | None,
    plain("imagenet: of an architecture the weights that others trained on ImageNet.", "--weights", metavar="imagenet"),
]
FormatOption = Annotated[Format, plain("How to print it.", "--format")]

Baseline = Annotated[
    str | None,
    goal(
        "What is grown: a name, a notation, a file, RUN or RUN:RANK.",
        default="b0",
        metavar="ARCH",
        autocompletion=complete_architecture,
    ),
]
Data = Annotated[
    str | None,
    training("An image set: a folder of class folders, or a name.", default="scenes, synthetic", metavar="DIR|NAME"),
]
PRESET = "the preset's"
TimeLimit = Annotated[
    str | None, effort("Stop after this time, such as 90s, 10m or 2h.", default="none", metavar="TIME")
]
DeviceChange = Annotated[
    bool, of_run("Go on with a run on another kind of device or in another precision.", "--allow-device-change")
]
RunName = Annotated[
    str | None, of_run("Name the run; an existing one is continued.", default="the time", metavar="NAME")
]
Resume = Annotated[str | None, of_run("Continue this run.", metavar="RUN", autocompletion=complete_run)]


def _trained(
    data: Data = None,
    proxy: Annotated[
        str | None,
        training(
            "The training of a network: quick, standard, large, full, or auto: the largest that fits into the time "
            "limit (without one: an hour, and nas on a CPU 10 minutes).",
            default="auto",
            metavar="PRESET",
            among=PRESETS,
        ),
    ] = None,
    proxy_resolution: Annotated[
        int | None, training("Input px of the (baseline's) training.", default=PRESET, metavar="PX")
    ] = None,
    proxy_width: Annotated[
        float | None, training("Channel multiplier of the training.", default=PRESET, metavar="FACTOR")
    ] = None,
    proxy_images: Annotated[int | None, training("Training images, at most.", default=PRESET, metavar="N")] = None,
    epochs: Annotated[int | None, training("Epochs of the training.", default=PRESET, metavar="N")] = None,
    seed: Annotated[int | None, training("Of proposals and trainings.", default="0", metavar="N")] = None,
) -> None:
    """What all searches have of how networks are trained."""


def _driven(
    time_limit: TimeLimit = None,
    workers: Annotated[
        int | None, effort("Trainings at a time.", default="one a CPU core, or up to four a GPU", metavar="N")
    ] = None,
    ray: Annotated[
        str | None, effort("Train on a Ray cluster: auto, local, HOST:PORT or ray://HOST:PORT.", metavar="ADDRESS")
    ] = None,
    gpus_per_trial: Annotated[
        float | None, effort("Share of a GPU that a training asks Ray for, such as 0.5.", metavar="SHARE")
    ] = None,
    dry_run: Annotated[bool, effort("Print the plan, train nothing, and write nothing.", "--dry-run")] = False,
    run: RunName = None,
    resume: Resume = None,
    storage: Annotated[
        str | None, of_run("Keep the trials in this database, such as postgresql://user@host/db.", metavar="URL")
    ] = None,
    allow_device_change: DeviceChange = False,
    results: Results = Path("results"),
) -> None:
    """How long and where the trainings of any run are, and where it is kept."""


def searching(command: Callable[..., None]) -> Callable[..., None]:
    """Gives a command, whose last parameter is `**shared`, the options that all searches have in its place.

    An option that the command has itself replaces the shared one.
    """
    return _sharing(command, _trained, _driven)


def driving(command: Callable[..., None]) -> Callable[..., None]:
    """The same without those of how a search trains its networks."""
    return _sharing(command, _driven)


def _sharing(command: Callable[..., None], *shared: Callable[..., None]) -> Callable[..., None]:
    own = [each for each in signature(command).parameters.values() if each.kind is not Parameter.VAR_KEYWORD]
    names = {each.name for each in own}
    options = (each for those in shared for each in signature(those).parameters.values())
    parameters = [*own, *(each for each in options if each.name not in names)]
    command.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {each.name: each.annotation for each in parameters}
    return command


def given(options: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """Those of the options that were given; the others are None."""
    return {name: options[name] for name in names if options[name] is not None}


def of_any_run(options: Mapping[str, Any]) -> dict[str, Any]:
    """What a Request takes of the options that all commands have which make a run; raises QuantityError."""
    limit = options["time_limit"]
    seconds = None if limit is None else parse_duration(limit, "--time-limit")
    same = {name: options[name] for name in ("run", "resume", "results")}
    return {"seconds": seconds, "device_change": options["allow_device_change"], **same}


def of_driven(options: Mapping[str, Any]) -> dict[str, Any]:
    """What a Request takes of the options that `driving` gives; raises QuantityError."""
    from effsearch.workflows.request import Cluster

    ray, share = options["ray"], options["gpus_per_trial"]
    if share is not None and ray is None:
        raise QuantityError("--gpus-per-trial is for --ray; --workers says how many share the GPUs here")
    same = {name: options[name] for name in ("workers", "storage")}
    return {**of_any_run(options), **same, "cluster": None if ray is None else Cluster(ray, share)}


def of_search(options: Mapping[str, Any]) -> dict[str, Any]:
    """What a Request takes of the options that `searching` gives; raises QuantityError."""
    renamed = {"proxy_resolution": "resolution", "proxy_width": "width", "proxy_images": "train_images"}
    proxy = {"epochs": "epochs", **renamed}
    changes = {proxy[name]: value for name, value in given(options, *proxy).items()}
    return {**of_driven(options), "proxy": options["proxy"], "changes": changes}


def check_classes(classes: int) -> None:
    """Raises QuantityError for numbers of outputs that make no sense."""
    if not 2 <= classes <= 1_000_000:
        raise QuantityError(f"--classes must be from 2 to 1,000,000, got {classes}")


def check_side(resolution: int | None, most: int) -> None:
    """Raises QuantityError for an input resolution that is out of range."""
    if resolution is not None and not 8 <= resolution <= most:
        raise QuantityError(f"--resolution must be from 8 to {most} px, got {resolution}")


def resolve(text: str, results: Path) -> tuple[Architecture, str]:
    """The architecture that ARCH names, and a short name for it; raises EffsearchError."""
    known = find(text)
    if known is not None:  # Without what reads a run, which takes its time to import.
        return known, text
    from effsearch.workflows import request

    return request.resolve(text, results)


def names(text: str | None) -> tuple[str, ...]:
    """Names with commas between them."""
    return tuple(name.strip() for name in (text or "").split(",") if name.strip())

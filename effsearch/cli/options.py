"""Options that several commands share, each with its words once."""

from typing import Annotated, Any

import typer

Baseline = Annotated[
    str | None, typer.Option(metavar="ARCH", help="What is grown: a name, notation, RUN or RUN:RANK [default: b0]")
]
Data = Annotated[
    str | None, typer.Option(help="An image set: a folder of class folders, or a name [default: scenes, synthetic]")
]
ProxyName = Annotated[
    str | None, typer.Option(help="The training of a network: quick or standard [default: quick on a CPU]")
]
BaselineResolution = Annotated[int | None, typer.Option(help="Input px of the baseline's training.")]
ProxyWidth = Annotated[float | None, typer.Option(help="Channel multiplier of the proxy training.")]
ProxyImages = Annotated[int | None, typer.Option(help="Training images of the proxy, at most.")]
ProxyEpochs = Annotated[int | None, typer.Option(help="Epochs of the proxy training.")]
Workers = Annotated[int | None, typer.Option(help="Trainings at a time [default: one a CPU core, or up to four a GPU]")]
Ray = Annotated[
    str | None,
    typer.Option(metavar="ADDRESS", help="Train on a Ray cluster: auto, local, HOST:PORT or ray://HOST:PORT."),
]
GpusPerTrial = Annotated[float | None, typer.Option(help="Share of a GPU that a training asks Ray for, such as 0.5.")]
Storage = Annotated[
    str | None,
    typer.Option(metavar="URL", help="Keep the trials in this database, such as postgresql://user@host/db."),
]
TimeLimit = Annotated[str | None, typer.Option(help="Stop after this time, such as 90s, 10m or 2h [default: none]")]
DeviceChange = Annotated[
    bool,
    typer.Option("--allow-device-change", help="Go on with a run on another kind of device or in another precision."),
]
RunName = Annotated[str | None, typer.Option(help="Name the run; an existing one is continued.")]
Resume = Annotated[str | None, typer.Option(help="Continue this run.")]


def given(**options: Any) -> dict[str, Any]:
    """The options that were given; the others are None."""
    return {name: value for name, value in options.items() if value is not None}

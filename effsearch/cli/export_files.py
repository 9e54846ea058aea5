"""`effsearch export`: writes the files, once it is known what is exported."""

from dataclasses import replace
from pathlib import Path

import typer

from effsearch.architecture import Architecture
from effsearch.export import export
from effsearch.network.file import read_weights, untrained
from effsearch.text import format_bytes


def execute(
    file: Path | None, architecture: Architecture | None, target: str, out: Path, resolution: int | None, classes: int
) -> None:
    """Exports the weights of a file, or fresh ones, and prints how to use them."""
    if file is not None:
        weights = read_weights(file)
    else:
        assert architecture is not None
        weights = untrained(architecture, classes)
    if resolution is not None:
        weights = replace(weights, architecture=replace(weights.architecture, resolution=resolution))
    made = export(weights, target, out)
    for path in made.files:
        typer.echo(f"wrote {path} ({format_bytes(path.stat().st_size)})")
    about = f"trained for {weights.trained}" if weights.trained else "NOT TRAINED: its weights are random"
    typer.echo(f"{about}; {len(weights.classes)} classes, {weights.architecture.resolution} px")
    typer.echo("use it with:")
    typer.echo("\n".join(f"  {line}" for line in made.usage.splitlines()))

"""`effsearch export ARCH`: the network as files that others can use."""

from pathlib import Path
from typing import Annotated

import typer

from effsearch.cli.arguments import Results, check_classes, plain_name, resolve
from effsearch.errors import QuantityError


def export(
    arch: Annotated[
        str, typer.Argument(metavar="ARCH", help="A file of weights, a run of train, or an architecture (untrained).")
    ],
    to: Annotated[str, typer.Option(help="timm, onnx, safetensors or torch-export")],
    out: Annotated[Path | None, typer.Option(help="A new folder [default: NAME-TARGET]")] = None,
    resolution: Annotated[int | None, typer.Option(help="Input px [default: the architecture's]")] = None,
    classes: Annotated[int, typer.Option(help="Outputs of an untrained network.")] = 1000,
    results: Results = Path("results"),
) -> None:
    """Write a network for timm, ONNX, torch.export or as safetensors, and print the lines that use it."""
    if resolution is not None and not 8 <= resolution <= 2048:
        raise QuantityError(f"--resolution must be from 8 to 2048 px, got {resolution}")
    check_classes(classes)
    file = _weights_file(arch, results)
    architecture, name = (None, file.parent.name) if file is not None else resolve(arch, results)

    from effsearch.cli.export_files import execute

    folder = out or Path(f"{plain_name(name, 'network')}-{to}")
    execute(file, architecture, to, folder, resolution, classes)


def _weights_file(text: str, results: Path) -> Path | None:
    """The weights that are named, as a file or by a run of train that has ended."""
    for path in (Path(text), results / text / "weights.safetensors", Path(text) / "weights.safetensors"):
        if path.suffix == ".safetensors" and path.is_file():
            return path
    return None

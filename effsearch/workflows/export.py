"""A network as files that others can use: what a file or a run has trained, or an untrained one."""

from dataclasses import replace
from pathlib import Path

from effsearch.exports import Exported, export
from effsearch.network.weights import Weights, read_weights, untrained
from effsearch.workflows.named import plain_name, resolve


def export_network(
    arch: str, target: str, out: Path | None, resolution: int | None, classes: int, results: Path
) -> tuple[Exported, Weights]:
    """Exports the weights of a file or a run of train, or fresh ones of `classes` classes; raises EffsearchError."""
    file = _weights_file(arch, results)
    if file is not None:
        weights, name = read_weights(file), file.parent.name
    else:
        architecture, name = resolve(arch, results)
        weights = untrained(architecture, classes)
    if resolution is not None:
        weights = replace(weights, architecture=replace(weights.architecture, resolution=resolution))
    return export(weights, target, out or Path(f"{plain_name(name, 'network')}-{target}")), weights


def _weights_file(text: str, results: Path) -> Path | None:
    """The weights that are named, as a file or by a run of train that has ended."""
    for path in (Path(text), results / text / "weights.safetensors", Path(text) / "weights.safetensors"):
        if path.suffix == ".safetensors" and path.is_file():
            return path
    return None

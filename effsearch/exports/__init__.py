"""From a network to files that others can use: timm, ONNX, torch.export, safetensors."""

import importlib
import importlib.util
from dataclasses import dataclass
from pathlib import Path

from effsearch.errors import ExportError, listed
from effsearch.files import building
from effsearch.network.weights import Weights


@dataclass(frozen=True)
class Exported:
    """The files written, and lines of Python that use them."""

    files: tuple[Path, ...]
    usage: str


def export(weights: Weights, target: str, out: Path) -> Exported:
    """Writes a network into the folder `out`, which must not exist or be empty; raises ExportError."""
    if target not in TARGETS:
        raise ExportError(f"--to must be one of {listed(TARGETS)}, got {target!r}")
    module, function, packages = TARGETS[target]
    missing = [package for package in packages if importlib.util.find_spec(package) is None]
    if missing:
        raise ExportError(f"--to {target} needs {listed(missing)}: python -m pip install 'effsearch[export]'")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ExportError(f"{out} exists; give another folder by --out")
    write = getattr(importlib.import_module(f"effsearch.exports.{module}"), function)
    try:
        with building(out) as folder:
            names, usage = write(weights, folder, out)
    except OSError as error:
        raise ExportError(f"cannot write {out}: {error.strerror or error}") from None
    return Exported(tuple(out / name for name in names), usage)


TARGETS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "timm": ("timm_module", "write_timm", ("timm",)),
    "onnx": ("onnx_file", "write_onnx", ("onnx", "onnxscript", "onnxruntime")),
    "safetensors": ("torch_files", "write_weights", ()),
    "torch-export": ("torch_files", "write_program", ()),
}
"""For each target the module of this package and its function that writes it, and the packages that they need."""

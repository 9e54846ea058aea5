"""What axes are called, and the units they are in."""

from collections.abc import Iterable, Mapping
from typing import Any

from effsearch.report.summary import on_table
from effsearch.reward import Measure
from effsearch.runs.ranking import Row

_UNITS = ((1e9, "billions"), (1e6, "millions"), (1e3, "thousands"))


def unit(values: Iterable[float]) -> tuple[float, str]:
    """What to divide costs by so that few digits are left of the largest, and its name ("" for 1)."""
    most = max(values, default=0.0)
    return next(((scale, name) for scale, name in _UNITS if most >= scale), (1.0, ""))


def axis_of(rows: Iterable[Row], measure: Measure) -> tuple[float, str]:
    """What to divide the costs of rows by on an axis, and what that axis is called."""
    if measure == "latency":
        return 1e-3, "latency (ms)"
    scale, name = unit(getattr(row, measure) for row in rows)
    if measure == "flops":
        return scale, f"FLOPs ({f'{name} of ' if name else ''}multiply-adds)"
    return scale, f"parameters{f' ({name})' if name else ''}"


def measures(rows: Iterable[Row]) -> tuple[Measure, ...]:
    """The costs that all rows have, each of which an axis may show."""
    return ("flops", "params", "latency") if all(row.latency is not None for row in rows) else ("flops", "params")


def accuracy_label(manifest: Mapping[str, Any]) -> str:
    """An axis of accuracies in %, by where they are from."""
    if on_table(dict(manifest)):
        return "accuracy of the table (%)"
    if manifest.get("settings", {}).get("evaluator") == "prior":
        return "predicted ImageNet top-1 (%)"
    return "validation top-1 (%)"

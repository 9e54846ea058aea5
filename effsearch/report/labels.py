"""What axes are called, and the units they are in."""

from collections.abc import Iterable, Mapping
from typing import Any

from effsearch.report.summary import on_table
from effsearch.runs.ranking import Cost

COSTS: dict[Cost, str] = {"flops": "FLOPs ({}multiply-adds)", "params": "parameters{}"}
_UNITS = ((1e9, "billions"), (1e6, "millions"), (1e3, "thousands"))


def unit(values: Iterable[float]) -> tuple[float, str]:
    """What to divide costs by so that few digits are left of the largest, and its name ("" for 1)."""
    most = max(values, default=0.0)
    return next(((scale, name) for scale, name in _UNITS if most >= scale), (1.0, ""))


def cost_label(cost: Cost, name: str) -> str:
    """An axis of FLOPs or parameters in a unit of that name."""
    if cost == "flops":
        return COSTS[cost].format(f"{name} of " if name else "")
    return COSTS[cost].format(f" ({name})" if name else "")


def accuracy_label(manifest: Mapping[str, Any]) -> str:
    """An axis of accuracies in %, by where they are from."""
    if on_table(dict(manifest)):
        return "accuracy of the table (%)"
    if manifest.get("settings", {}).get("evaluator") == "prior":
        return "predicted ImageNet top-1 (%)"
    return "validation top-1 (%)"

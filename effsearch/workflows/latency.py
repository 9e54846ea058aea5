"""The latency of one network on this machine, in a process of its own."""

from concurrent.futures import BrokenExecutor
from typing import Any

from effsearch.architecture import Architecture
from effsearch.costs import cost
from effsearch.errors import ExecutorError, QuantityError
from effsearch.evaluation.hardware import first_line, loses_context, out_of_memory
from effsearch.executors.local import child
from effsearch.runs.settings import LatencyConditions, check_conditions
from effsearch.text import counted


def conditions_here(device: str, batch: int, threads: int) -> LatencyConditions:
    """Conditions by the names of the command's options, with the name of a GPU; raises QuantityError."""
    check_conditions(device, batch, threads, "--")
    if device == "cpu":
        return LatencyConditions(device, "", batch, threads)
    with child() as ask:
        gpus = ask("effsearch.evaluation.devices", "survey")
    if not gpus:
        raise QuantityError("--device cuda needs an NVIDIA GPU that torch can use, got none; use --device cpu")
    return LatencyConditions(device, f"{gpus[0].name}, {gpus[0].precision}", batch, threads)


def _measure(network: Architecture, name: str, conditions: LatencyConditions, side: int, classes: int) -> Any:
    arguments = (network, conditions.device, conditions.batch, conditions.threads, side, classes)
    try:
        # In a process of its own: memory that another network has left free would hide what this one needs.
        with child() as ask:
            return ask("effsearch.evaluation.timing", "measure_latency", *arguments)
    except (RuntimeError, MemoryError) as error:
        what = f"{name} with {counted(conditions.batch, 'image')} of {side} px"
        less = "a smaller --batch or --resolution" if conditions.batch > 1 else "a smaller --resolution"
        if isinstance(error, BrokenExecutor):
            raise ExecutorError(f"the process that measured {what} died, perhaps of memory; give {less}") from None
        if out_of_memory(error):
            raise ExecutorError(f"{what} does not fit into memory; give {less}") from None
        if loses_context(error):
            raise ExecutorError(f"{what} cannot be measured: {first_line(error)}") from None
        raise


def measure_network(
    network: Architecture, name: str, conditions: LatencyConditions, side: int, classes: int
) -> dict[str, Any]:
    """What a network takes for one batch, and what it costs: ms, bytes, FLOPs (multiply-adds); raises ExecutorError."""
    found, total = _measure(network, name, conditions, side, classes), cost(network, side, classes)
    return {
        "name": name,
        "notation": network.notation,
        "key": network.key,
        "device": conditions.device,
        "batch": conditions.batch,
        "threads": conditions.threads if conditions.device == "cpu" else None,
        "resolution": side,
        "classes": classes,
        "median_ms": 1e3 * found.median,
        "p90_ms": 1e3 * found.p90,
        "runs": found.runs,
        "images_per_second": conditions.batch / found.median,
        "memory_bytes": found.memory,
        "flops": total.flops,
        "params": total.params,
    }

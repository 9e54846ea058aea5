"""Where trainings run: processes of this machine, or a Ray cluster."""

from pathlib import Path
from typing import NamedTuple

from effsearch.cli.cluster import Cluster
from effsearch.cli.packages import needed
from effsearch.cli.session import slots_for
from effsearch.cli.speed import describe_slots
from effsearch.quantities import counted
from effsearch.runs.executor import Executor, LocalExecutor


class Started(NamedTuple):
    """Workers that wait for work: the device that they train on, and what they are in words."""

    executor: Executor
    device: str
    words: str


def start(workers: int | None, asked: Cluster | None, images: Path) -> Started:
    """Starts workers, or joins the cluster; raises ExecutorError, and ReportError where Ray is not installed."""
    if asked is None:
        slots = slots_for(workers)
        return Started(LocalExecutor(slots), "cpu" if slots[0] is None else "cuda", describe_slots(slots))
    with needed("ray"):
        from effsearch.runs.ray_executor import RayExecutor
    executor = RayExecutor(asked.address, workers=workers, gpus=asked.gpus, images=images)
    each = f"{executor.gpus:g} of a GPU" if executor.gpus else "one CPU"
    words = f"{counted(executor.workers, 'worker')} of the Ray cluster at {asked.address} ({each} each)"
    return Started(executor, "cuda" if executor.gpus else "cpu", words)

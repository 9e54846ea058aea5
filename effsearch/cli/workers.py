"""Where trainings run: processes of this machine, or a Ray cluster."""

from pathlib import Path
from typing import NamedTuple

from effsearch.cli.cluster import Cluster
from effsearch.cli.machine import Where, at_once, check_where, describe_slots, here, slots_on, survey
from effsearch.cli.packages import needed
from effsearch.errors import RunError
from effsearch.executors.local import Executor, LocalExecutor
from effsearch.runs.folder import Run
from effsearch.text import counted


class Started(NamedTuple):
    """Workers that wait for work: where they train, what they are in words, and trainings at full speed at a time."""

    executor: Executor
    where: Where
    words: str
    at_once: int


def start(workers: int | None, asked: Cluster | None, images: Path) -> Started:
    """Starts workers, or joins the cluster; raises ExecutorError, and ReportError where Ray is not installed."""
    if asked is None:
        slots = slots_on(survey(), workers)
        where = here("cpu" if slots[0] is None else "cuda")
        return Started(LocalExecutor(slots), where, describe_slots(slots), at_once(slots))
    with needed("ray"):
        from effsearch.executors.ray_cluster import RayExecutor
    executor = RayExecutor(asked.address, workers=workers, gpus=asked.gpus, images=images)
    each = f"{executor.gpus:g} of a GPU" if executor.gpus else "one CPU"
    words = f"{counted(executor.workers, 'worker')} of the Ray cluster at {asked.address} ({each} each)"
    where = Where("cuda") if executor.gpus else Where("cpu", "float32")
    share = min(1.0, executor.gpus or 1.0)
    return Started(executor, where, words, max(1, int(executor.workers * share)))


def go_on(run: Run, workers: int | None, asked: Cluster | None, images: Path, allowed: bool) -> Started:
    """The same for a run that was begun; raises RunError too, where device or precision would change unasked."""
    started = start(workers, asked, images)
    try:
        check_where(run, started.where, allowed)
    except RunError:
        started.executor.stop()
        raise
    return started

"""What this machine has to train on, how many trainings share it, and whether a run may go on there."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from effsearch.errors import RunError
from effsearch.evaluation.hardware import Gpu
from effsearch.executors.local import MOST_WORKERS, child, cores
from effsearch.runs.folder import Run
from effsearch.text import counted

_log = logging.getLogger(__name__)

MOST_ON_A_GPU = 4
"""Workers that share a GPU: a proxy training waits for its kernels to be launched, and leaves most of a GPU idle."""

BYTES_ON_A_GPU = 3 << 30
"""Of a GPU's memory for each of them: a context of CUDA, and a training at proxy size with its images."""


@dataclass(frozen=True)
class Where:
    """What networks are trained on (cpu or cuda) and compute in (float32 or bf16); empty for what is not known."""

    device: str = ""
    precision: str = ""

    @classmethod
    def of(cls, run: Run) -> "Where":
        """Where the trainings of a run were begun, as far as its run.toml says."""
        about = run.manifest().get("run", {})
        return cls(about.get("trained_on", ""), about.get("precision", ""))

    def differs(self, other: "Where") -> bool:
        """Whether two are known to be different."""
        pairs = ((self.device, other.device), (self.precision, other.precision))
        return any(one and another and one != another for one, another in pairs)

    def __str__(self) -> str:
        device = "the CPU" if self.device == "cpu" else "a GPU"
        return f"{device} in {self.precision}" if self.precision else device

    def manifest(self) -> dict[str, str]:
        """For run.toml, besides the name of the machine."""
        known = {"trained_on": self.device, "precision": self.precision}
        return {"device": device(), **{name: value for name, value in known.items() if value}}


def check_where(run: Run, now: Where, allowed: bool) -> None:
    """Raises RunError where a run would go on with another device or precision, unless that is allowed."""
    before = Where.of(run)
    if not before.differs(now):
        return
    if not allowed:
        raise RunError(
            f"run {run.name} was trained by {before}, and would go on by {now}: their accuracies are not one "
            "measurement; go on where it began, or mix them by --allow-device-change"
        )
    _log.warning("run %s was trained by %s so far, and goes on by %s: its ranking mixes the two", run.name, before, now)


def gpus() -> int:
    """The CUDA devices of this machine; asks torch, which a search of a table does without."""
    from effsearch.evaluation.devices import gpus as found

    return found()


@lru_cache(maxsize=1)
def survey() -> tuple[Gpu, ...]:
    """What the GPUs are and have, asked of another process so that this one takes none of their memory."""
    if not gpus():
        return ()
    with child() as ask:
        return tuple(ask("effsearch.evaluation.devices", "survey"))


def device() -> str:
    """This machine's processors, for run.toml."""
    found = survey()
    return f"{len(found)} x {found[0].name}" if found else f"CPU, {cores()} cores"


def here(kind: str) -> Where:
    """The device of that kind here; GPUs that differ in what they compute in have no one precision."""
    if kind == "cpu":
        return Where("cpu", "float32")
    precisions = {gpu.precision for gpu in survey()}
    return Where("cuda", precisions.pop() if len(precisions) == 1 else "")


def slots_on(found: Sequence[Gpu], workers: int | None) -> list[int | None]:
    """What each worker is pinned to: GPUs in turn, several workers each, or a CPU thread."""
    if found:
        return [worker % len(found) for worker in range(workers or len(found) * workers_a_gpu(found))]
    return [None] * (workers or min(cores(), MOST_WORKERS))


def workers_a_gpu(found: Sequence[Gpu]) -> int:
    """How many workers share each GPU unless more or fewer are asked for: one a core, as far as memory goes."""
    room = min(gpu.free for gpu in found) // BYTES_ON_A_GPU
    return max(1, min(cores() // len(found), MOST_ON_A_GPU, room))


def at_once(slots: Sequence[int | None]) -> int:
    """Trainings at full speed at a time, for forecasts: workers that share a GPU gain less than their number."""
    return len(slots) if slots[0] is None else len(set(slots))


def describe_slots(slots: Sequence[int | None]) -> str:
    """The workers, and what they have."""
    workers = counted(len(slots), "worker")
    if slots[0] is None:
        return f"{workers} (one CPU thread each)"
    return f"{workers} on {counted(len(set(slots)), 'GPU')}"

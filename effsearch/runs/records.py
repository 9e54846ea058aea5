"""What a run knows of each training, read from its journal."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from effsearch.runs.forms import check_fields
from effsearch.scaling import Coefficients

State = Literal["complete", "failed", "interrupted", "running", "queued"]
Fault = Literal["diverged", "memory", "lost", "hung", "error"]
"""Why a training failed: its loss, memory, its worker or node, its time, or an exception in the code."""

CANDIDATE, EVALUATION, FAILURE = "candidate", "evaluation", "failure"
"""Names of the user attributes of a trial."""

INTERRUPTED = "interrupted"
PREDICTED = " (predicted)"
"""What a reason may be, and what the source of a network ends with that no table has a row for."""


@dataclass(frozen=True)
class Candidate:
    """What is trained: an architecture with its cost, under a training seed, and who proposed it.

    `latency` is in seconds, where it was measured. `epochs` is where the training stops, if not at its end;
    `coefficients` are those that a baseline was grown by. A batch is trained in `accumulation` parts, where the whole
    of it has run out of memory.
    """

    key: str
    notation: str
    flops: int
    params: int
    seed: int
    source: str
    epochs: int | None = None
    coefficients: Coefficients | None = None
    accumulation: int = 1
    latency: float | None = None

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Candidate":
        """Reads what `dataclasses.asdict` made of one; raises TypeError, or an EffsearchError, for anything else."""
        found = values.get("coefficients")
        made = cls(**{**values, "coefficients": None if found is None else Coefficients(**found)})
        check_fields(made)
        return made


@dataclass(frozen=True)
class Record:
    """One training: its candidate, its state and what it gave. `reward` and `accuracy` are None unless complete."""

    number: int
    state: State
    candidate: Candidate
    accuracy: float | None = None
    reward: float | None = None
    epochs: int | None = None
    seconds: float | None = None
    reason: str | None = None
    fault: Fault | None = None
    finished: datetime | None = None

    @property
    def diverged(self) -> bool:
        """Whether a training failed for what its network is, not for what befell it."""
        return self.fault == "diverged"


def epochs_alone(until: int, rungs: Sequence[int]) -> int:
    """The epochs of the part of a training that ends on a rung."""
    return until - max((rung for rung in rungs if rung < until), default=0)

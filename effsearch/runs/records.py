"""What a run knows of each training, read from its journal."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

State = Literal["complete", "failed", "interrupted", "running", "queued"]

CANDIDATE, EVALUATION, FAILURE = "candidate", "evaluation", "failure"
"""Names of the user attributes of a trial."""

INTERRUPTED = "interrupted"


@dataclass(frozen=True)
class Candidate:
    """What is trained: an architecture with its cost, under a training seed, and who proposed it."""

    key: str
    notation: str
    flops: int
    params: int
    seed: int
    source: str


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
    finished: datetime | None = None

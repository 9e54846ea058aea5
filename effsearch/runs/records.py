"""What a run knows of each training, read from its journal."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from optuna.trial import FrozenTrial, TrialState

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


def read_record(trial: FrozenTrial) -> Record | None:
    """What a trial of a run's study says, or None before its candidate is known."""
    if CANDIDATE not in trial.user_attrs:
        return None
    evaluation = trial.user_attrs.get(EVALUATION, {})
    failure = trial.user_attrs.get(FAILURE, {})
    return Record(
        number=trial.number,
        state=_state(trial, failure),
        candidate=Candidate(**trial.user_attrs[CANDIDATE]),
        accuracy=evaluation.get("accuracy"),
        reward=trial.value if trial.state == TrialState.COMPLETE else None,
        epochs=evaluation.get("epochs"),
        seconds=evaluation.get("seconds"),
        reason=failure.get("reason"),
        finished=trial.datetime_complete,
    )


def _state(trial: FrozenTrial, failure: dict[str, Any]) -> State:
    if trial.state == TrialState.COMPLETE:
        return "complete"
    if trial.state == TrialState.RUNNING:
        return "running"
    if trial.state == TrialState.WAITING:
        return "queued"
    return "interrupted" if failure.get("reason") == INTERRUPTED else "failed"

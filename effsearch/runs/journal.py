"""The study of a run, in a journal file with one writer."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import optuna
from optuna.storages.journal import JournalFileBackend
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from effsearch.runs.records import CANDIDATE, EVALUATION, FAILURE, INTERRUPTED, Candidate, Record, State

STUDY = "effsearch"


class _NoLock:
    """The run's own lock already sees to one writer, and the system drops it with its process; Optuna's would stay."""

    def acquire(self) -> bool:
        return True

    def release(self) -> None:
        pass


def open_study(journal: Path, sampler: optuna.samplers.BaseSampler) -> Study:
    """Opens the study of a journal file, or begins it."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = optuna.storages.JournalStorage(JournalFileBackend(str(journal), lock_obj=_NoLock()))  # type: ignore[arg-type]
    return optuna.create_study(
        storage=storage, study_name=STUDY, sampler=sampler, direction="maximize", load_if_exists=True
    )


def fail(study: Study, trial: FrozenTrial, reason: str, traceback: str = "") -> None:
    """Ends a trial without a value, with its reason."""
    study._storage.set_trial_user_attr(trial._trial_id, FAILURE, {"reason": reason, "traceback": traceback})
    study.tell(trial.number, state=TrialState.FAIL)


def enqueue(study: Study, params: Mapping[str, Any], candidate: Candidate) -> None:
    """Queues a training ahead of what the sampler proposes."""
    study.enqueue_trial(dict(params), user_attrs={CANDIDATE: asdict(candidate)})


def drop_unborn(study: Study) -> None:
    """Ends a trial that was begun and for which no candidate was found."""
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        if CANDIDATE not in trial.user_attrs:
            fail(study, trial, "nothing was proposed")


def requeue_running(study: Study) -> int:
    """Ends the trials that no process works on any more as interrupted, queues them again, and says how many.

    Only the driver that holds the run may call this: whatever is marked as running is then known to be dead.
    """
    stale = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
    for trial in stale:
        candidate = trial.user_attrs.get(CANDIDATE)
        fail(study, trial, INTERRUPTED)
        if candidate is not None:
            enqueue(study, trial.params, Candidate.from_dict(candidate))
    return len(stale)


def read_record(trial: FrozenTrial) -> Record | None:
    """What a trial of a run's study says, or None before its candidate is known."""
    if CANDIDATE not in trial.user_attrs:
        return None
    evaluation = trial.user_attrs.get(EVALUATION, {})
    failure = trial.user_attrs.get(FAILURE, {})
    return Record(
        number=trial.number,
        state=_state(trial, failure),
        candidate=Candidate.from_dict(trial.user_attrs[CANDIDATE]),
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

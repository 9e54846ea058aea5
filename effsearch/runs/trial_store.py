"""The trainings of a run as trials of an Optuna study: written by its one driver, and validated as they are read."""

import math
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from types import MappingProxyType
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.samplers import BaseSampler
from optuna.storages import BaseStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, Trial, TrialState, create_trial

from effsearch.errors import EffsearchError, RunError
from effsearch.reward import Reward
from effsearch.runs.folder import Run
from effsearch.runs.records import Candidate, Failure, FailureKind, Record, RecordIndex, TrainingId, training_of
from effsearch.runs.schema import LARGEST, convert
from effsearch.runs.storage import close_storage, end_trial, open_storage

STUDY = "effsearch"  # the name of the study in a run's own journal
FIXED = "fixed_params"  # the system attribute, as Optuna names it, with the decisions of a trial that was enqueued
NOTE = "effsearch:"  # the prefix of the system attributes that samplers set on a trial, which are whole numbers
STATES = {TrialState.COMPLETE: "complete", TrialState.RUNNING: "running", TrialState.WAITING: "queued"}
CANDIDATE, EVALUATION, FAILURE = "candidate", "evaluation", "failure"  # names of the user attributes of a trial
INTERRUPTED = "interrupted"  # the reason of a trial that was stopped
Values = Mapping[str, Any]  # of decisions or attributes, by name


class TrialStore:
    """The study of a run, kept in memory as well, since no other process writes it.

    `params` are the decisions that first gave each network, by key; `records` all trainings whose candidate is known;
    `trials` counts trials. Raises RunError where it cannot be read, OSError or a database's error on failed writes.
    """

    def __init__(self, run: Run, distributions: Mapping[str, BaseDistribution], sampler: BaseSampler) -> None:
        self.distributions = distributions
        self.params: dict[str, Values] = {}
        self.records = RecordIndex()
        self.trials = 0
        self._queue: deque[FrozenTrial] = deque()
        self._failed: list[FrozenTrial] = []
        storage = open_storage(run)
        try:
            self._read(storage, run.study or STUDY, sampler)
        except BaseException:
            close_storage(storage)
            raise

    def _read(self, storage: BaseStorage, study: str, sampler: BaseSampler) -> None:
        self.study = optuna.create_study(
            storage=storage, study_name=study, sampler=sampler, direction="maximize", load_if_exists=True
        )
        if self.study.directions != [StudyDirection.MAXIMIZE]:
            raise RunError(f"study {study} is not one of a search, which maximises its reward")
        self._storage, self._study_id = self.study._storage, self.study._study_id
        for trial in self.study.get_trials(deepcopy=False):
            self._note(trial)
            check_decisions(trial, self.distributions)
            if trial.state == TrialState.WAITING:
                self._queue.append(trial)
            elif trial.state == TrialState.FAIL:
                self._failed.append(trial)

    def close(self) -> None:
        """Closes the storage; the records can still be read."""
        close_storage(self._storage)

    @property
    def failures(self) -> list[Failure]:
        """Each training that has failed, with the number of its attempts."""
        failures: dict[TrainingId, Failure] = {}
        for trial in self._failed:
            record = self.records.at(trial.number)
            if record is not None and record.state == "failed":
                training, candidate = training_of(record), record.candidate
                earlier = failures.get(training)
                failures[training] = Failure(
                    **{name: getattr(candidate, name) for name in ("key", "notation", "seed", "epochs")},
                    reason=record.reason or "",
                    kind=record.failure_kind or "error",
                    attempts=1 if earlier is None else earlier.attempts + 1,
                    traceback=str(trial.user_attrs.get(FAILURE, {}).get("traceback", "")),
                )
        return list(failures.values())

    def queue(self, candidate: Candidate, params: Values, notes: Values = MappingProxyType({})) -> None:
        """Queues a training ahead of proposals, in one write; `notes` are system attributes that a sampler reads."""
        self._queue.append(self._add(candidate, params, TrialState.WAITING, notes))

    def begin(self, candidate: Candidate, params: Values, notes: Values = MappingProxyType({})) -> FrozenTrial:
        return self._add(candidate, params, TrialState.RUNNING, notes)

    def begin_queued(self) -> FrozenTrial | None:
        """Begins the training that was queued first, if there is one."""
        if not self._queue:
            return None
        self._storage.set_trial_state_values(self._queue[0]._trial_id, TrialState.RUNNING)
        return self._reread(self._queue.popleft())

    def ask(self, sampler: BaseSampler, candidate_of: Callable[[Values], Candidate]) -> FrozenTrial:
        """Begins a training that a sampler proposes from the trials of the study; raises whatever it raises."""
        self.study.sampler = sampler
        try:
            asked = self.study.ask(dict(self.distributions))
        except BaseException:
            self.recover_stale(candidate_of, None)
            raise
        return self._set_candidate(asked, candidate_of)

    def complete(self, trial: FrozenTrial, evaluation: Values, value: float) -> Record:
        """Ends a training with its evaluation and its reward, `value`."""
        notes = {EVALUATION: dict(evaluation)}
        ended = self._note(end_trial(self._storage, trial, notes, TrialState.COMPLETE, [value]))
        record = self.records.at(ended.number)
        assert record is not None
        return record

    def fail(
        self, trial: FrozenTrial, reason: str, kind: FailureKind | None = None, traceback: str = ""
    ) -> Record | None:
        """Ends a training without a value, with its reason."""
        failure = {"reason": reason, "kind": kind, "traceback": traceback}
        ended = self._note(end_trial(self._storage, trial, {FAILURE: failure}, TrialState.FAIL))
        self._failed.append(ended)
        return self.records.at(ended.number)

    def interrupt(self, trial: FrozenTrial) -> None:
        """Ends a training as interrupted, and queues it again."""
        candidate = read_candidate(trial)
        # Queued before it is ended: between the two it would be lost.
        if candidate is not None and all(read_candidate(other) != candidate for other in self._queue):
            self.queue(candidate, trial.params, trial.system_attrs)
        self.fail(trial, INTERRUPTED)

    def requeue_failed(self) -> None:
        """Queues what has failed at every attempt again, and counts those attempts as interrupted from here on."""
        for group in self.records.failing():
            candidate = group[-1].candidate
            self.queue(candidate, self.params[candidate.key])
            for record in group:
                self.records.note(replace(record, state="interrupted"))

    def recover_stale(self, candidate_of: Callable[[Values], Candidate], score: Reward | None) -> None:
        """Ends trials left running by a driver that died: as complete if they have an accuracy, else as interrupted.

        Only the driver that holds the run may call this, repeatedly. Without `score` it ends those without a candidate.
        """
        for trial in self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            if CANDIDATE not in trial.user_attrs and trial.params.keys() >= self.distributions.keys():
                trial = self._set_candidate(trial, candidate_of)
            record = read_record(trial)
            if record is None or (score is not None and record.accuracy is None):
                self.interrupt(trial)
            elif score is not None and record.accuracy is not None:
                self.complete(trial, trial.user_attrs[EVALUATION], score.of(record.accuracy, record.candidate))

    def _add(self, candidate: Candidate, params: Values, state: TrialState, notes: Values) -> FrozenTrial:
        chosen = fitting(self.distributions, params)
        trial = create_trial(
            state=state,
            params=chosen,
            distributions={name: self.distributions[name] for name in chosen},
            user_attrs={CANDIDATE: asdict(candidate)},
            # As Optuna marks enqueued trials, so that its samplers propose nothing for them.
            system_attrs={**notes, FIXED: dict(params)},
        )
        return self._note(self._storage.get_trial(self._storage.create_new_trial(self._study_id, trial)))

    def _set_candidate(self, trial: FrozenTrial | Trial, candidate_of: Callable[[Values], Candidate]) -> FrozenTrial:
        self._storage.set_trial_user_attr(trial._trial_id, CANDIDATE, asdict(candidate_of(trial.params)))
        return self._reread(trial)

    def _reread(self, trial: FrozenTrial | Trial) -> FrozenTrial:
        return self._note(self._storage.get_trial(trial._trial_id))

    def _note(self, trial: FrozenTrial) -> FrozenTrial:
        self.trials = max(self.trials, trial.number + 1)
        record = read_record(trial)
        if record is not None:
            self.records.note(record)
            if trial.params:
                self.params.setdefault(record.candidate.key, trial.params)
        return trial


def fitting(kinds: Mapping[str, BaseDistribution], params: Values) -> dict[str, Any]:
    """The decisions that the distributions contain."""
    return {name: value for name, value in params.items() if _fits(kinds[name], value)}


def _fits(kind: BaseDistribution, value: Any) -> bool:
    try:
        return bool(kind._contains(kind.to_internal_repr(value)))
    except ValueError:
        return False


def check_decisions(trial: FrozenTrial, kinds: Mapping[str, BaseDistribution]) -> None:
    """Raises RunError unless a trial has valid decisions, all of them where it was not stopped while they were made."""
    fixed = trial.system_attrs.get(FIXED)
    whole = fixed is not None or trial.state == TrialState.COMPLETE
    for found in (trial.params,) if fixed is None else (fixed, trial.params):
        if unknown := found.keys() - kinds.keys():
            raise _invalid(trial, f"has decisions that the search does not have: {sorted(unknown, key=str)!r:.80}")
        for name, kind in kinds.items():
            value: Any = found.get(name)
            categorical = isinstance(kind, CategoricalDistribution)
            if name not in found:
                valid = not (whole and categorical)
            elif categorical:
                valid = _fits(kind, value)
            else:  # A number may be out of range, as for a network that no sampler proposed.
                valid = type(value) in (int, float) and abs(value) < LARGEST
            if not valid:
                raise _invalid(trial, f"has {value!r:.80} for {name}")


def _invalid(trial: FrozenTrial, what: str) -> RunError:
    return RunError(f"trial {trial.number} of the study {what}")


def read_candidate(trial: FrozenTrial) -> Candidate | None:
    """What is trained in a trial, or None before that is known; raises RunError for an invalid trial."""
    for attributes in (trial.user_attrs, trial.system_attrs):
        if not isinstance(attributes, dict):
            raise _invalid(trial, f"has {attributes!r:.80} for attributes")
    wrong = [name for name, value in trial.system_attrs.items() if name.startswith(NOTE) and not isinstance(value, int)]
    if wrong or not isinstance(trial.system_attrs.get(FIXED, {}), dict):
        raise _invalid(trial, f"has other attributes than a search gives: {wrong or FIXED}")
    found = trial.user_attrs.get(CANDIDATE)
    try:
        return None if found is None else convert(found, Candidate)
    except (EffsearchError, ValueError) as error:
        raise _invalid(trial, f"says nothing of a network: {error}") from None


def read_record(trial: FrozenTrial) -> Record | None:
    """The training of a trial, or None before its candidate is known; raises RunError for an invalid trial."""
    if read_candidate(trial) is None:
        return None
    evaluation = trial.user_attrs.get(EVALUATION, {})
    failure = trial.user_attrs.get(FAILURE, {})
    complete = trial.state == TrialState.COMPLETE
    # A journal that was tampered with may have several values, or none.
    values = trial.values if isinstance(trial.values, list) else []
    if not isinstance(evaluation, dict) or not isinstance(failure, dict) or (complete and len(values) != 1):
        raise _invalid(trial, "says nothing of a training")
    ended = "interrupted" if failure.get("reason") == INTERRUPTED else "failed"
    told = {name: evaluation.get(name) for name in ("accuracy", "epochs", "seconds", "test")} | {
        "number": trial.number,
        "state": STATES.get(trial.state, ended),
        "candidate": trial.user_attrs[CANDIDATE],
        "reward": values[0] if complete else None,
        "reason": failure.get("reason"),
        "failure_kind": failure.get("kind", failure.get("fault")),  # fault: as 0.1 wrote it
        "finished": trial.datetime_complete,
    }
    try:
        found = convert(told, Record)
    except ValueError as error:
        raise _invalid(trial, f"is not one of a training: {error}") from None
    if any(
        number is not None and math.isnan(number)
        for number in (found.accuracy, found.reward, found.seconds, found.test)
    ):
        raise _invalid(trial, "has no number where one belongs")
    if complete and (found.reward is None or found.accuracy is None or found.finished is None):
        raise _invalid(trial, "is complete and has no accuracy, or no time")
    return found

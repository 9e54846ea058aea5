"""The trainings of a run, as its one driver writes and knows them: trials of an Optuna study."""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from types import MappingProxyType
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.storages import BaseStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial

from effsearch.errors import RunError
from effsearch.reward import Reward
from effsearch.runs.folder import Run
from effsearch.runs.records import (
    CANDIDATE,
    EVALUATION,
    FAILURE,
    INTERRUPTED,
    Candidate,
    Failure,
    FailureKind,
    Record,
    RecordIndex,
    TrainingId,
    training_of,
)
from effsearch.runs.storage import close_storage, end_trial, open_storage
from effsearch.runs.trials import FIXED, check_decisions, fitting, read_candidate, read_record

STUDY = "effsearch"  # the name of the study in a run's own journal


class TrialStore:
    """Opens the study of a run, or begins it, and knows all that is in it from then on, since no one else writes it.

    Every change is in the storage before it is known here. Raises RunError for a storage that cannot be read, and
    OSError (or what a database raises) where one cannot be written.
    """

    def __init__(self, run: Run, distributions: Mapping[str, BaseDistribution], sampler: BaseSampler) -> None:
        self.distributions = distributions
        self.params: dict[str, Mapping[str, Any]] = {}
        """The decisions that first gave each network, by its key."""
        self.records = RecordIndex()
        """All trainings whose candidate is known, in the order of their trials."""
        self.trials = 0
        """All trials of the study."""
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
        """Lets the storage go; what is known stays known."""
        close_storage(self._storage)

    @property
    def failures(self) -> list[Failure]:
        """What is told of each training that has failed, with all its attempts."""
        groups: dict[TrainingId, list[FrozenTrial]] = {}
        for trial in self._failed:
            record = self.records.at(trial.number)
            if record is not None and record.state == "failed":
                groups.setdefault(training_of(record), []).append(trial)
        return [self._failure(group) for group in groups.values()]

    def _failure(self, group: list[FrozenTrial]) -> Failure:
        record = self._record(group[-1])
        candidate = record.candidate
        return Failure(
            key=candidate.key,
            notation=candidate.notation,
            seed=candidate.seed,
            epochs=candidate.epochs,
            reason=record.reason or "",
            kind=record.failure_kind or "error",
            attempts=len(group),
            traceback=str(group[-1].user_attrs.get(FAILURE, {}).get("traceback", "")),
        )

    def queue(
        self, candidate: Candidate, params: Mapping[str, Any], notes: Mapping[str, Any] = MappingProxyType({})
    ) -> None:
        """Queues a training ahead of what is proposed; it is there whole or not at all. `notes` are a sampler's."""
        self._queue.append(self._add(candidate, params, TrialState.WAITING, notes))

    def begin(
        self, candidate: Candidate, params: Mapping[str, Any], notes: Mapping[str, Any] = MappingProxyType({})
    ) -> FrozenTrial:
        """Begins a training."""
        return self._add(candidate, params, TrialState.RUNNING, notes)

    def begin_queued(self) -> FrozenTrial | None:
        """Begins the training that has waited longest, if one has."""
        if not self._queue:
            return None
        trial = self._queue[0]
        self._storage.set_trial_state_values(trial._trial_id, TrialState.RUNNING)
        self._queue.popleft()
        return self._reread(trial)

    def ask(self, sampler: BaseSampler, candidate_of: Callable[[Mapping[str, Any]], Candidate]) -> FrozenTrial:
        """Begins a training of what a sampler proposes whose state is in the study; raises whatever it raises."""
        self.study.sampler = sampler
        try:
            asked = self.study.ask(dict(self.distributions))
        except BaseException:
            self.recover_stale(candidate_of, None)
            raise
        self._storage.set_trial_user_attr(asked._trial_id, CANDIDATE, asdict(candidate_of(asked.params)))
        return self._note(self._storage.get_trial(asked._trial_id))

    def complete(self, trial: FrozenTrial, evaluation: Mapping[str, Any], value: float) -> Record:
        """Ends a training with what it gave."""
        notes = {EVALUATION: dict(evaluation)}
        return self._record(self._note(end_trial(self._storage, trial, notes, TrialState.COMPLETE, [value])))

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
        """Queues what has failed at every attempt again, and takes those attempts as interrupted from here on."""
        for group in self.records.failing():
            candidate = group[-1].candidate
            self.queue(candidate, self.params[candidate.key])
            for record in group:
                self.records.note(record.number, replace(record, state="interrupted"))

    def recover_stale(self, candidate_of: Callable[[Mapping[str, Any]], Candidate], score: Reward | None) -> None:
        """Interrupts all trainings that no process works on any more; what had given its accuracy is complete.

        Only the driver that holds the run may call this: whatever is marked as running is then known to be dead. It may
        itself be stopped at any point, and called again. Without `score`, only what has no candidate is ended.
        """
        for trial in self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            if CANDIDATE not in trial.user_attrs and trial.params.keys() >= self.distributions.keys():
                found = asdict(candidate_of(trial.params))
                self._storage.set_trial_user_attr(trial._trial_id, CANDIDATE, found)
                trial = self._reread(trial)
            record = read_record(trial)
            if record is not None and score is None:
                continue
            if record is not None and score is not None and record.accuracy is not None:
                value = score.of(record.accuracy, record.candidate)
                self.complete(trial, trial.user_attrs[EVALUATION], value)
            else:
                self.interrupt(trial)

    def _add(
        self, candidate: Candidate, params: Mapping[str, Any], state: TrialState, notes: Mapping[str, Any]
    ) -> FrozenTrial:
        chosen = fitting(self.distributions, params)
        trial = create_trial(
            state=state,
            params=chosen,
            distributions={name: self.distributions[name] for name in chosen},
            user_attrs={CANDIDATE: asdict(candidate)},
            # Optuna's samplers let a trial with fixed parameters alone.
            system_attrs={**notes, FIXED: dict(params)},
        )
        return self._note(self._storage.get_trial(self._storage.create_new_trial(self._study_id, trial)))

    def _reread(self, trial: FrozenTrial) -> FrozenTrial:
        return self._note(self._storage.get_trial(trial._trial_id))

    def _record(self, trial: FrozenTrial) -> Record:
        record = self.records.at(trial.number)
        assert record is not None
        return record

    def _note(self, trial: FrozenTrial) -> FrozenTrial:
        self.trials = max(self.trials, trial.number + 1)
        record = read_record(trial)
        if record is not None:
            self.records.note(trial.number, record)
            if trial.params:
                self.params.setdefault(record.candidate.key, trial.params)
        return trial

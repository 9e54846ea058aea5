"""A database with one writer, faster than Optuna's own storage, which allows for many.

Optuna reads all unfinished trials again each time, and writes each parameter in a transaction (docs/faults.md has
times). This alone uses private modules of Optuna: `tests/runs/test_single_writer.py` fails where they have changed.
"""

import copy
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any

from optuna.distributions import distribution_to_json
from optuna.storages import RDBStorage
from optuna.storages._cached_storage import _CachedStorage
from optuna.storages._rdb import models
from optuna.storages._rdb.storage import _create_scoped_session
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import select, text


class SingleWriter(_CachedStorage):
    """A database whose study this process alone writes: only trials that it has written to are read again."""

    def __init__(self, backend: RDBStorage) -> None:
        super().__init__(backend)
        self._written: set[int] = set()
        self._complete = False

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        """Writes a trial whole, in one transaction; Optuna asks the database twice for each of its parameters."""
        if template_trial is None or template_trial.state.is_finished() or template_trial.intermediate_values:
            trial_id = super().create_new_trial(study_id, template_trial)
            self._written.add(trial_id)
            return trial_id
        made = copy.deepcopy(template_trial)
        with _create_scoped_session(self._backend.scoped_session) as session:
            of_study = select(models.TrialModel.number).where(models.TrialModel.study_id == study_id)
            last = session.execute(of_study.order_by(models.TrialModel.trial_id.desc()).limit(1)).scalar()
            made.number = 0 if last is None else last + 1
            about = {"number": made.number, "state": made.state, "datetime_start": made.datetime_start}
            row = models.TrialModel(study_id=study_id, **about)
            session.add(row)
            session.flush()
            if made.state == TrialState.RUNNING and self._backend.engine.name == "postgresql":
                # Does not wait for the disk: the end of any trial does, and writes this before itself; if the server
                # dies earlier, the training is begun again.
                session.execute(text("SET LOCAL synchronous_commit TO OFF"))
            made._trial_id = int(row.trial_id)
            session.add_all(_parts(made))
        with self._lock:
            self._add_trials_to_cache(study_id, [made])
        return made._trial_id

    def end(
        self, trial: FrozenTrial, notes: Mapping[str, Any], state: TrialState, values: Sequence[float] = ()
    ) -> FrozenTrial:
        """Ends a trial that this process has begun with user attributes that it lacks yet, in one transaction."""
        ended = copy.copy(trial)
        ended.state, ended.values = state, list(values) or None
        ended.datetime_complete, ended.user_attrs = datetime.now(), {**trial.user_attrs, **notes}
        with _create_scoped_session(self._backend.scoped_session) as session:
            row = models.TrialModel.find_or_raise_by_id(trial._trial_id, session)
            self._backend.check_trial_is_updatable(trial._trial_id, row.state)  # type: ignore[arg-type]
            session.add_all(_attributes(models.TrialUserAttributeModel, trial._trial_id, notes))
            for objective, value in enumerate(values):
                kept, kind = models.TrialValueModel.value_to_stored_repr(value)
                found = {"trial_id": trial._trial_id, "objective": objective, "value": kept, "value_type": kind}
                session.add(models.TrialValueModel(**found))
            row.state, row.datetime_complete = state, ended.datetime_complete
        with self._lock:
            self._written.discard(trial._trial_id)
            self._add_trials_to_cache(self._trial_id_to_study_id_and_number[trial._trial_id][0], [ended])
        return ended

    def set_trial_param(self, trial_id: int, *args: Any, **kwargs: Any) -> None:
        super().set_trial_param(trial_id, *args, **kwargs)
        self._written.add(trial_id)

    def set_trial_state_values(self, trial_id: int, state: TrialState, values: Any = None) -> bool:
        self._written.add(trial_id)
        return super().set_trial_state_values(trial_id, state, values)

    def set_trial_user_attr(self, trial_id: int, key: str, value: Any) -> None:
        super().set_trial_user_attr(trial_id, key, value)
        self._written.add(trial_id)

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        super().set_trial_system_attr(trial_id, key, value)
        self._written.add(trial_id)

    def get_trial(self, trial_id: int) -> FrozenTrial:
        with suppress(KeyError):
            if trial_id not in self._written:
                study_id, number = self._trial_id_to_study_id_and_number[trial_id]
                return self._studies[study_id].trials[number]
        return self._backend.get_trial(trial_id)

    def _read_trials_from_remote_storage(self, study_id: int) -> None:
        if not self._complete:
            super()._read_trials_from_remote_storage(study_id)
            self._complete = True
        elif self._written:
            with self._lock:
                self._add_trials_to_cache(study_id, [self._backend.get_trial(trial) for trial in self._written])
        self._written.clear()


def _parts(trial: FrozenTrial) -> Iterator[object]:
    number = trial._trial_id
    for name, value in trial.params.items():
        kind = trial.distributions[name]
        found = {"param_value": kind.to_internal_repr(value), "distribution_json": distribution_to_json(kind)}
        yield models.TrialParamModel(trial_id=number, param_name=name, **found)
    yield from _attributes(models.TrialUserAttributeModel, number, trial.user_attrs)
    yield from _attributes(models.TrialSystemAttributeModel, number, trial.system_attrs)


def _attributes(model: Any, trial_id: int, values: Mapping[str, Any]) -> Iterator[object]:
    for key, value in values.items():
        yield model(trial_id=trial_id, key=key, value_json=json.dumps(value))

"""Where the trials of a run are: in its own journal, or in a database that Optuna knows."""

import copy
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import distribution_to_json
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages._cached_storage import _CachedStorage
from optuna.storages._rdb import models
from optuna.storages._rdb.storage import _create_scoped_session
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import select, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from effsearch.errors import RunError
from effsearch.runs.folder import Run
from effsearch.runs.journal_file import JournalFile, ReadOnlyJournal
from effsearch.runs.manifest import Database
from effsearch.text import SECRETS

VARIABLE = "EFFSEARCH_STORAGE"
"""The environment variable that gives a storage's URL where no option does."""


def without_password(url: str) -> str:
    """The URL as it may be shown and kept; raises RunError for what is none."""
    parsed = _parse(url)
    query = {name: value for name, value in parsed.query.items() if name.lower() not in SECRETS}
    return parsed.set(password=None, query=query).render_as_string(hide_password=True)


def _parse(url: str) -> URL:
    allowed = "a URL such as postgresql://user@host/database or sqlite:////folder/trials.db"
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise RunError(f"--storage (or {VARIABLE}) must be {allowed}; what was given is none") from None
    if parsed.drivername.startswith("sqlite"):
        if not parsed.database or parsed.database == ":memory:":
            raise RunError(f"--storage must be {allowed}; sqlite was given without a file")
        return parsed.set(database=str(Path(parsed.database).absolute()))
    # psycopg 3 is what effsearch[postgresql] installs; SQLAlchemy would look for the older psycopg2.
    return parsed.set(drivername="postgresql+psycopg") if parsed.drivername == "postgresql" else parsed


def choose(asked: str | None) -> str | None:
    """The URL for a new run: the option's, the environment's, or None for a journal in the run's folder."""
    return asked or os.environ.get(VARIABLE) or None


def check_free(url: str, name: str) -> None:
    """Raises RunError unless the storage can be used and has no study of that name."""
    if name in _names(url):
        raise RunError(f"{without_password(url)} already has a study {name!r}; choose another --run name")


def describe(url: str | None, name: str) -> Database | None:
    """What run.toml says of the storage."""
    return None if url is None else Database(without_password(url), name)


def stored(run: Run, database: Database | None, asked: str | None) -> Run:
    """The run with the storage that it was made with; a password comes from `asked` or the environment.

    Raises RunError where another storage is asked for, or the study is not there.
    """
    if database is None:
        if asked is not None:
            raise RunError(f"run {run.name} keeps its trials in its own folder; leave out --storage")
        return run
    url = choose(asked) or database.url
    if without_password(url) != database.url and database.study not in _names(url):
        raise RunError(f"{without_password(url)} has no study {database.study!r}; run {run.name} is in {database.url}")
    return replace(run, storage=url, study=database.study)


def open_storage(run: Run) -> BaseStorage:
    """The storage of a run that this process alone writes; raises RunError where it cannot be read."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    if run.storage is not None:
        return OneWriter(_connect(run.storage))
    file = JournalFile(run.journal)
    try:
        return JournalStorage(file)
    except OSError:
        file.close()
        raise
    except Exception as error:  # Lines that are JSON and yet no journal may fail in any way.
        file.close()
        raise RunError(
            f"{run.journal} is not a journal that effsearch wrote: {type(error).__name__}: {error}"
        ) from None


def dashboard_storage(run: Run) -> BaseStorage:
    """The storage of a run to look at while a driver may write it; raises RunError where there is none."""
    if run.storage is not None:
        return _connect(run.storage)
    if not run.journal.is_file():
        raise RunError(f"run {run.name} has no journal yet")
    return JournalStorage(ReadOnlyJournal(run.journal))


def close_storage(storage: BaseStorage) -> None:
    """Closes the journal's file, or the connections to a database."""
    backend = getattr(storage, "_backend", None)
    if isinstance(backend, JournalFile):
        backend.close()
    elif isinstance(backend, RDBStorage):
        backend.remove_session()
        backend.engine.dispose()


def _names(url: str) -> list[str]:
    storage = _connect(url)
    try:
        return [study.study_name for study in storage.get_all_studies()]
    finally:
        storage.engine.dispose()


def _connect(url: str) -> RDBStorage:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    parsed = _parse(url)
    try:
        return RDBStorage(parsed.render_as_string(hide_password=False))
    except ImportError as error:
        extra = " (python -m pip install 'effsearch[postgresql]')" if "psycopg" in str(error) else ""
        raise RunError(
            f"{without_password(url)} needs a package that is not installed: {_line(error)}{extra}"
        ) from None
    except (SQLAlchemyError, optuna.exceptions.StorageInternalError, RuntimeError) as error:
        raise RunError(f"the storage {without_password(url)} cannot be used: {scrubbed(_line(error), url)}") from None


def _line(error: BaseException) -> str:
    return next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)


def scrubbed(text: str, url: str | None) -> str:
    """A text without the password of the URL."""
    password = None if url is None else _parse(url).password
    return text.replace(str(password), "***") if password else text


def end_trial(
    storage: BaseStorage, trial: FrozenTrial, notes: Mapping[str, Any], state: TrialState, values: Sequence[float] = ()
) -> FrozenTrial:
    """Ends a trial, with what is noted on it, in one write; raises what the storage raises."""
    new = {key: value for key, value in notes.items() if trial.user_attrs.get(key) != value}
    if isinstance(storage, OneWriter):
        for key in new.keys() & trial.user_attrs.keys():
            storage.set_trial_user_attr(trial._trial_id, key, new.pop(key))
            trial = storage.get_trial(trial._trial_id)
        return storage.end(trial, new, state, values)
    backend = getattr(storage, "_backend", None)
    with backend.together() if isinstance(backend, JournalFile) else nullcontext():
        for key, value in new.items():
            storage.set_trial_user_attr(trial._trial_id, key, value)
        storage.set_trial_state_values(trial._trial_id, state, values or None)
    return storage.get_trial(trial._trial_id)


def _parts(trial: FrozenTrial) -> Iterator[object]:
    """The rows of a new trial besides its own."""
    number = trial._trial_id
    for name, value in trial.params.items():
        kind = trial.distributions[name]
        yield models.TrialParamModel(
            trial_id=number,
            param_name=name,
            param_value=kind.to_internal_repr(value),
            distribution_json=distribution_to_json(kind),
        )
    yield from _attributes(models.TrialUserAttributeModel, number, trial.user_attrs)
    yield from _attributes(models.TrialSystemAttributeModel, number, trial.system_attrs)


def _attributes(model: Any, trial_id: int, values: Mapping[str, Any]) -> Iterator[object]:
    for key, value in values.items():
        yield model(trial_id=trial_id, key=key, value_json=json.dumps(value))


class OneWriter(_CachedStorage):
    """A database whose study this process alone writes: only trials that it has written to are read again.

    Optuna reads all unfinished trials at every look, which with many workers takes longer than a training.
    """

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
            row = models.TrialModel(
                study_id=study_id, number=made.number, state=made.state, datetime_start=made.datetime_start
            )
            session.add(row)
            session.flush()
            if made.state == TrialState.RUNNING and self._backend.engine.name == "postgresql":
                # It need not wait for the disk: the end of any trial, which does, brings it there before itself, and
                # if the server dies before that, the training is begun again.
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

"""Where the trials of a run are: in its own journal, or in a database that Optuna knows."""

import os
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from effsearch.errors import RunError
from effsearch.runs.folder import Run
from effsearch.runs.journal_file import JournalFile, ReadOnlyJournal
from effsearch.runs.manifest import Database
from effsearch.runs.single_writer import SingleWriter
from effsearch.text import SECRETS

VARIABLE = "EFFSEARCH_STORAGE"  # the environment variable that gives a storage's URL where no option does


def without_password(url: str) -> str:
    """The URL as it may be shown and kept; raises RunError for an invalid one."""
    parsed = _parse(url)
    query = {name: value for name, value in parsed.query.items() if name.lower() not in SECRETS}
    return parsed.set(password=None, query=query).render_as_string(hide_password=True)


def _parse(url: str) -> URL:
    allowed = "a URL such as postgresql://user@host/database or sqlite:////folder/trials.db"
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise RunError(f"--storage (or {VARIABLE}) must be {allowed}; what was given is not such a URL") from None
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
    return None if url is None else Database(without_password(url), name)


def stored(run: Run, database: Database | None, asked: str | None) -> Run:
    """The run with its storage, whose password comes from `asked` or the environment; raises RunError for another."""
    if database is None and asked is not None:
        raise RunError(f"run {run.name} keeps its trials in its own folder; leave out --storage")
    if database is None:
        return run
    url = choose(asked) or database.url
    if without_password(url) != database.url and database.study not in _names(url):
        raise RunError(f"{without_password(url)} has no study {database.study!r}; run {run.name} is in {database.url}")
    return replace(run, storage=url, study=database.study)


def open_storage(run: Run) -> BaseStorage:
    """The storage of a run that this process alone writes; raises RunError where it cannot be read."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    if run.storage is not None:
        return SingleWriter(_connect(run.storage))
    file = JournalFile(run.journal)
    try:
        return JournalStorage(file)
    except Exception as error:
        file.close()
        if isinstance(error, OSError):
            raise
        # Lines of JSON that are no journal may raise anything.
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
        needs = f"needs a package that is not installed: {_line(error)}{extra}"
        raise RunError(f"{without_password(url)} {needs}") from None
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
    """Ends a trial and sets user attributes, `notes`, in one write; raises what the storage raises."""
    new = {key: value for key, value in notes.items() if trial.user_attrs.get(key) != value}
    if isinstance(storage, SingleWriter):
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

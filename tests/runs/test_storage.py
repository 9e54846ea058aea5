"""Runs whose trials are in a database: a file of SQLite, and a real PostgreSQL server."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage
from toys import drive, new_run, settings

from effsearch.errors import RunError
from effsearch.runs.folder import Run
from effsearch.runs.history import read_history
from effsearch.runs.storage import check_free, describe, stored, without_password
from effsearch.runs.trial_store import CANDIDATE, TrialStore

BINARIES = next(iter(sorted(Path("/usr/lib/postgresql").glob("*/bin"))), None)


@pytest.fixture(scope="module")
def postgresql() -> Iterator[str]:
    """The URL of a server of this test's own, on a free port, with a password."""
    pytest.importorskip("psycopg", reason="needs psycopg: python -m pip install 'effsearch[postgresql]'")
    if BINARIES is None:
        pytest.skip("needs a PostgreSQL server: apt-get install postgresql")
    folder = Path(tempfile.mkdtemp(dir="/tmp"))
    # A server refuses to run as root.
    user = "nobody" if os.geteuid() == 0 else None
    if user is not None:
        os.chown(folder, pwd.getpwnam(user).pw_uid, -1)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (folder / "password").write_text("secret-word")
    (folder / "password").chmod(0o644)

    def call(program: str, *arguments: str) -> None:
        command = [str(BINARIES / program), *arguments]
        done = subprocess.run(command, user=user, cwd=folder, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr

    data = str(folder / "data")
    call("initdb", "-D", data, "-U", "searcher", "-A", "scram-sha-256", "--pwfile", str(folder / "password"))
    options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off"
    call("pg_ctl", "-D", data, "-w", "-l", str(folder / "log"), "-o", options, "start")
    yield f"postgresql://searcher:secret-word@127.0.0.1:{port}/postgres"
    call("pg_ctl", "-D", data, "-m", "immediate", "stop")
    shutil.rmtree(folder, ignore_errors=True)


def url_of(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> str:
    return f"sqlite:///{tmp_path}/trials.db" if kind == "sqlite" else str(request.getfixturevalue("postgresql"))


def begun(tmp_path: Path, url: str, name: str) -> Run:
    run = new_run(tmp_path, name)
    return stored(run, describe(url, name), url)


def keys(status) -> list[tuple[str, int]]:
    return [(record.candidate.key, record.candidate.seed) for record in status.records if record.state == "complete"]


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_run_in_a_database_is_continued_as_one_in_its_folder(kind, tmp_path, request):
    url, chosen = url_of(kind, tmp_path, request), settings()
    run = begun(tmp_path, url, f"stored-{kind}")
    drive(run, chosen, 6)
    assert not run.journal.exists()
    resumed = drive(run, chosen, 12)
    assert keys(resumed) == keys(drive(new_run(tmp_path, "plain"), chosen, 12))
    with pytest.raises(RunError, match="already has a study") as error:
        check_free(url, run.name)
    assert "secret-word" not in str(error.value)


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_reports_read_the_database(kind, tmp_path, request, monkeypatch):
    url = url_of(kind, tmp_path, request)
    name = f"shown-{kind}"
    run = begun(tmp_path, url, name)
    drive(run, settings(), 5)
    text = (run.path / "run.toml").read_text()
    recorded = without_password(url)
    (run.path / "run.toml").write_text(text + f'\n[storage]\nurl = "{recorded}"\nstudy = "{name}"\n')
    monkeypatch.setenv("EFFSEARCH_STORAGE", url)
    history = read_history(replace(run, storage=None, study=None))
    assert history is not None
    assert len(history.records) == 5


def test_a_password_is_not_written_down():
    noted = describe("postgresql://searcher:secret-word@127.0.0.1:5/db?sslpassword=other-secret", "mine")
    assert "secret" not in str(noted)
    assert noted is not None
    assert noted.study == "mine"


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("nonsense", "must be a URL"),
        ("sqlite://", "sqlite was given without a file"),
        ("postgresql://searcher:secret-word@127.0.0.1:1/db", "cannot be used"),
        ("sqlite:////no/such/folder/trials.db", "cannot be used"),
    ],
)
def test_a_storage_that_cannot_be_used_is_one_line_without_its_password(url, said):
    if url.startswith("postgresql"):
        pytest.importorskip("psycopg", reason="needs psycopg: python -m pip install 'effsearch[postgresql]'")
    with pytest.raises(RunError, match=said) as error:
        check_free(url, "mine")
    assert "secret-word" not in str(error.value)
    assert "\n" not in str(error.value)


def test_a_run_stays_where_its_trials_are(tmp_path):
    run = new_run(tmp_path, "plain")
    with pytest.raises(RunError, match="keeps its trials in its own folder"):
        stored(run, run.manifest().storage, f"sqlite:///{tmp_path}/other.db")


def test_a_connection_that_is_lost_after_a_proposal_is_one_line_and_the_run_goes_on(tmp_path, monkeypatch):
    run, whole = begun(tmp_path, f"sqlite:///{tmp_path}/trials.db", "lost"), new_run(tmp_path, "whole")
    asked, read = RDBStorage.get_trial, TrialStore.ask

    def ask(store, *arguments):
        with monkeypatch.context() as lost:
            if store.trials >= 3:
                lost.setattr(RDBStorage, "get_trial", gone)
            return read(store, *arguments)

    def gone(storage, number):
        if CANDIDATE in (found := asked(storage, number)).user_attrs:
            raise StorageInternalError("the connection was lost")
        return found

    chosen = settings(sampler="tpe")
    with monkeypatch.context() as failing:
        failing.setattr(TrialStore, "ask", ask)
        with pytest.raises(RunError, match="its storage cannot be written: the connection was lost"):
            drive(run, chosen, 6)
    assert len(keys(drive(run, chosen, 6))) == len(keys(drive(whole, chosen, 6)))

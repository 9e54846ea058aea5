"""Optuna's journal in a file with one writer: no line stays half written, and damaged ones are set aside."""

import json
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import takewhile
from pathlib import Path
from typing import Any

from optuna.storages.journal import BaseJournalBackend

from effsearch.files import beside, sync_folder, write_atomically

_log = logging.getLogger(__name__)


class JournalFile(BaseJournalBackend):
    """A journal that only this process writes, which reads the file once and then what it has appended itself.

    It needs no lock besides the run's, which the system drops when its process dies, unlike Optuna's. Raises OSError
    where a line cannot be written; the file then ends with the line before.
    """

    def __init__(self, path: Path) -> None:
        repair(path)
        self._file = path.open("ab", buffering=0)
        sync_folder(path.parent)
        self._unread = _parsed(path)
        self._new: list[dict[str, Any]] = []
        self._waiting: list[str] | None = None

    def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:
        """The lines since the last call: the one reader asks for all of them in order."""
        yield from self._unread
        new, self._new = self._new, []
        yield from new

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Writes lines, within `together` at its end."""
        lines = [json.dumps(log, separators=(",", ":")) for log in logs]
        if self._waiting is None:
            # Synced at the end of any trial; a training that is lost in a power failure is begun again.
            self._write(lines, sync=False)
        else:
            self._waiting += lines
        self._new += map(json.loads, lines)

    @contextmanager
    def together(self) -> Iterator[None]:
        """Collects what is appended within it, to write and sync it to the disk once, at its end."""
        waiting: list[str] = []
        self._waiting = waiting
        try:
            yield
        finally:
            self._waiting = None
        self._write(waiting, sync=True)

    def _write(self, lines: list[str], sync: bool) -> None:
        data = memoryview("".join(f"{line}\n" for line in lines).encode())
        end = os.fstat(self._file.fileno()).st_size
        try:
            while data:
                data = data[os.write(self._file.fileno(), data) :]
            if sync:
                os.fsync(self._file.fileno())
        except OSError:
            os.ftruncate(self._file.fileno(), end)
            raise

    def close(self) -> None:
        """Syncs the file to the disk, and closes it."""
        try:
            os.fsync(self._file.fileno())
        finally:
            self._file.close()


class ReadOnlyJournal(BaseJournalBackend):
    """A journal that its driver may be writing meanwhile; Optuna's own backend would open it for writing."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read_logs(self, log_number_from: int) -> list[dict[str, Any]]:
        """The lines from a number on, without one that the driver is just writing."""
        lines = self._path.read_text(encoding="utf-8").splitlines(keepends=True)
        return [json.loads(line) for line in lines[log_number_from:] if line.endswith("\n")]

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        raise NotImplementedError("a journal that is only looked at")


def _parsed(path: Path) -> Iterator[dict[str, Any]]:
    with path.open("rb") as file:
        for line in file:
            yield json.loads(line)


def repair(path: Path) -> None:
    """Moves what follows the last sound line of a journal to JOURNAL.corrupt, with a warning; raises OSError."""
    if not path.exists():
        return
    with path.open("rb") as file:
        sound, lines = 0, 0
        for line in takewhile(is_sound, file):
            sound, lines = sound + len(line), lines + 1
        file.seek(sound)
        rest = file.read()
    if not rest:
        return
    aside = beside(path)
    write_atomically(aside, rest)
    with path.open("r+b") as file:
        file.truncate(sound)
        os.fsync(file.fileno())
    count = rest.count(b"\n")
    what = "is torn" if count <= 1 else f"is corrupt: it and the {count - 1} lines after it are not used"
    _log.warning("line %d of %s %s; quarantined as %s", lines + 1, path, what, aside.name)


def is_sound(line: bytes) -> bool:
    """Whether a line is a whole entry of a journal."""
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return False
    return line.endswith(b"\n") and isinstance(entry, dict) and "op_code" in entry

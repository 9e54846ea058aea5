"""A run on disk: a folder that can be copied and shown elsewhere.

results/nas-400M-20261124-101530/
  run.toml      command, every option with its value, versions, device, image set and its hash
  space.toml    the search space as it was
  journal.log   Optuna's journal, the only truth about trials
  ranking.csv   rewritten as trials finish; what `show` prints
  failed.json   the trainings that failed; what `show --failed` prints
  coefficients.json  alpha, beta and gamma that a grid found
  latency.json  latencies that were measured, where they count
  checkpoints/  KEY-seedN.safetensors, trainings that were stopped before their end
  weights/      KEY-seedN.safetensors, networks that a run of verify trained
"""

import json
import logging
import os
import platform
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

import tomli_w
from filelock import FileLock, Timeout

from effsearch import __version__
from effsearch.errors import RunError
from effsearch.files import building, quarantine, read_toml, write_atomically
from effsearch.runs.manifest import About, Manifest
from effsearch.runs.schema import convert, flatten, read_file
from effsearch.scaling import Coefficients
from effsearch.text import sanitize, without_passwords

S = TypeVar("S")
_log = logging.getLogger(__name__)
LATENCIES = "latency.json"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


@dataclass(frozen=True)
class Run:
    """The folder of one run; `storage` is the URL of the database that holds its trials as `study`, if one does."""

    path: Path
    storage: str | None = field(default=None, repr=False)
    study: str | None = None

    @property
    def name(self) -> str:
        return sanitize(self.path.name)

    @property
    def journal(self) -> Path:
        return self.path / "journal.log"

    @property
    def ranking(self) -> Path:
        return self.path / "ranking.csv"

    @property
    def failed(self) -> Path:
        return self.path / "failed.json"

    @property
    def space(self) -> Path:
        return self.path / "space.toml"

    def read_checkpoint(self, key: str, seed: int) -> bytes | None:
        """The state of a training that was stopped before its end, or None; raises RunError for an invalid key."""
        file = self._of_training("checkpoints", key, seed)
        return file.read_bytes() if file.is_file() else None

    def write_checkpoint(self, key: str, seed: int, state: bytes) -> None:
        """Writes the state of a training, whole or not at all; raises RunError for an invalid key."""
        _write_into_folder(self._of_training("checkpoints", key, seed), state)

    def weights(self, key: str, seed: int) -> Path:
        """The file of weights of a network that was trained, if they were kept; raises RunError for an invalid key."""
        return self._of_training("weights", key, seed)

    def write_weights(self, key: str, seed: int, contents: bytes) -> None:
        """Writes the weights of a network, whole or not at all; raises RunError for an invalid key."""
        _write_into_folder(self.weights(key, seed), contents)

    def quarantine_checkpoint(self, key: str, seed: int) -> None:
        """Renames a damaged checkpoint, with a warning, so that its training starts over; raises RunError."""
        file = self._of_training("checkpoints", key, seed)
        if file.is_file():
            _log.warning("%s is corrupt: quarantined as %s; its training begins anew", file, quarantine(file).name)

    def read_coefficients(self) -> Coefficients | None:
        """The coefficients that a grid found, or None; raises RunError for a file that holds none."""

        def parse(text: str) -> Coefficients:
            document = json.loads(text)
            return Coefficients(*(float(document[name]) for name in ("alpha", "beta", "gamma")))

        return read_file(self.path / "coefficients.json", parse, None, "holds no coefficients")

    def write_coefficients(self, document: Mapping[str, Any]) -> None:
        """Writes what a grid found: alpha, beta, gamma, and how."""
        write_atomically(self.path / "coefficients.json", json.dumps(document, indent=2) + "\n")

    def _of_training(self, folder: str, key: str, seed: int) -> Path:
        if not key.isalnum():  # A journal that was tampered with may name a file anywhere.
            raise RunError(f"{key!r:.80} is not the key of a network")
        return self.path / folder / f"{key}-seed{seed}.safetensors"

    def manifest(self) -> Manifest:
        """The contents of run.toml; raises RunError, which names the version that wrote it, if it is invalid."""
        document = self._document()
        try:
            return Manifest.from_document(document)
        except RunError as error:
            wrote = dict(flatten(document)).get("run.versions.effsearch", "")
            by = "" if wrote in ("", __version__) else f" (effsearch {wrote} wrote it, this is {__version__})"
            raise RunError(f"{self.path / 'run.toml'} is not what a run writes: {error}{by}") from None

    def settings(self, kind: type[S]) -> S:
        """Its settings, as that class; raises RunError for a run of another command."""
        found = self.manifest().settings
        if not isinstance(found, kind):
            raise RunError(f"run {self.name} is of effsearch {self.kind}, which has no {kind.__name__}")
        return found

    def about(self) -> About:
        """How and when it was made; raises RunError if run.toml does not say."""
        try:
            return convert(self._document().get("run", {}), About)
        except ValueError as error:
            raise RunError(f"{self.path / 'run.toml'} is not what a run writes: run: {error}") from None

    @property
    def kind(self) -> str:
        """The command that made it, such as nas or grid; raises RunError."""
        return self.about().kind

    def _document(self) -> dict[str, Any]:
        try:
            return read_toml(self.path / "run.toml")
        except (OSError, ValueError) as error:
            raise RunError(f"{self.path / 'run.toml'} cannot be read: {error}") from None

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Makes this process the only driver of the run, by a file lock; raises RunError that says who holds it."""
        holder, lock = self.path / ".driver", FileLock(self.path / ".lock")
        since = f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC"
        try:
            lock.acquire(timeout=0)
            write_atomically(holder, f"process {os.getpid()} on {platform.node()} since {since}\n")
        except Timeout:
            who = "another process"
            with suppress(OSError, UnicodeDecodeError):
                who = holder.read_text(encoding="utf-8").partition("\n")[0].strip() or who
            raise RunError(f"run {self.name} is being driven by {who}; wait for it or stop it") from None
        except OSError as error:
            lock.release()
            raise RunError(f"run {self.name} cannot be written: {error}") from None
        try:
            yield
        finally:
            holder.unlink(missing_ok=True)
            lock.release()


def _write_into_folder(file: Path, contents: bytes) -> None:
    file.parent.mkdir(exist_ok=True)
    write_atomically(file, contents)


def check_name(name: str) -> str:
    """Returns a run's name; raises RunError for one that could leave the results folder."""
    if not _NAME.fullmatch(name):
        allowed = "letters, digits, dots, dashes and underscores and begins with a letter or digit"
        raise RunError(f"a run's name has {allowed}, got {name!r}")
    return name


def check_names(run: str | None, resume: str | None) -> None:
    """Raises RunError where both a new name and a run to continue are given, or the name is invalid."""
    if run is not None and resume is not None:
        raise RunError("give --run or --resume, not both")
    if run is not None:
        check_name(run)


def create(
    results: Path, name: str, document: Mapping[str, Any], files: Mapping[str, str] = MappingProxyType({})
) -> Run:
    """Makes the folder of a new run: `document` as run.toml and more `files`, whole or not at all; raises RunError."""
    run = Run(results / check_name(name))
    try:
        with building(run.path) as folder:
            for file, text in {"run.toml": toml_text(document), **files}.items():
                (folder / file).write_text(text, encoding="utf-8")
    except OSError as error:
        raise RunError(f"cannot make the run folder {run.path}: {error.strerror or error}") from None
    return run


def toml_text(document: Mapping[str, Any]) -> str:
    """The text of a TOML file; raises TypeError for a value that TOML cannot hold."""
    return tomli_w.dumps(document)


def runs(results: Path) -> list[Run]:
    """All runs of a results folder, the latest last; those that cannot be read come first."""
    return sorted((Run(path.parent) for path in results.glob("*/run.toml")), key=_created)


def _created(run: Run) -> tuple[str, str]:
    try:
        return run.about().created, run.name
    except RunError:
        return "", run.name


def find(results: Path, name: str | None) -> Run:
    """The run of that name, or the folder given by its path, or the latest; raises RunError if there is none."""
    if name is None:
        found = runs(results)
        if not found:
            raise RunError(f"no runs in {results}/; make one with: effsearch nas --target-flops 400M")
        return found[-1]
    folder = Path(name) if os.sep in name else results / name
    if (os.sep in name or _NAME.fullmatch(name)) and (folder / "run.toml").is_file():
        return Run(folder)
    names = [run.name for run in runs(results)][-5:]
    known = f"the latest there are {', '.join(reversed(names))}" if names else "there are none yet"
    raise RunError(f"no run {name!r} in {results}/; {known}")


def environment(kind: str) -> About:
    """What the results of a run may depend on besides its settings."""
    packages = ("torch", "torchvision", "optuna", "numpy")
    return About(
        kind=kind,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        command=without_passwords(" ".join(["effsearch", *sys.argv[1:]])),
        python=platform.python_version(),
        platform=platform.platform(),
        versions={"effsearch": __version__} | {package: version(package) for package in packages},
    )

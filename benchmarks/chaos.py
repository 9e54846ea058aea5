"""Kills drivers and workers of a real search with SIGKILL at random moments, and counts what came of it.

    python benchmarks/chaos.py --kills 100

The search is `effsearch nas` of the space tiny on scenes: trainings of one epoch of a few images, two at a time, in a
folder that is thrown away. After every kill of a driver the run is resumed, and at the end it is driven to its end.
Linux only, since workers are found in /proc. Exit status 1 if anything was lost, repeated or hung.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from effsearch.runs.folder import Run
from effsearch.runs.history import read_history
from effsearch.runs.records import Record

SHARE = 0.5
"""Of the kills that hit the driver; the others hit one of its workers."""

Training = tuple[str, int, int | None]


@dataclass
class Outcome:
    """What kills came to: trainings that were finished and are no longer, were begun again, or did not end."""

    drivers: int = 0
    workers: int = 0
    finished: int = 0
    interrupted: int = 0
    lost: int = 0
    repeated: int = 0
    hung: int = 0
    left: int = 0
    seconds: float = 0.0

    @property
    def sound(self) -> bool:
        return not (self.lost or self.repeated or self.hung or self.left)

    def __str__(self) -> str:
        return (
            f"{self.drivers} drivers and {self.workers} workers killed in {self.seconds:.0f} s; {self.finished} "
            f"trainings finished, {self.interrupted} interrupted and begun again; {self.lost} finished ones lost, "
            f"{self.repeated} repeated, {self.hung} searches hung, {self.left} worker processes left"
        )


@dataclass
class Chaos:
    """Runs a command that makes or resumes a run, again and again; `pause` is the longest time (s) between kills.

    `patience` is that without a finished training after which a search is taken to hang.
    """

    command: Sequence[str]
    run: Run
    kills: int
    pause: float
    seed: int = 0
    patience: float = 300.0
    cwd: Path | None = None
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))

    def __call__(self) -> Outcome:
        """Kills, resumes and counts; raises RuntimeError where the command itself fails."""
        rng, outcome, began = random.Random(self.seed), Outcome(), time.monotonic()
        known: dict[Training, float | None] = {}
        ever: set[int] = set()
        driver = self._start()
        try:
            while outcome.drivers + outcome.workers < self.kills:
                at_driver = rng.random() < SHARE
                if not at_driver:
                    self._await_workers(driver)
                time.sleep(rng.uniform(0, self.pause))
                workers = workers_of(driver.pid)
                ever |= workers
                if driver.poll() is not None:
                    break
                if at_driver:
                    driver.kill()
                    driver.communicate()
                    outcome.drivers += 1
                    known |= finished(records(self.run))
                    driver = self._start()
                elif workers:
                    os.kill(rng.choice(sorted(workers)), signal.SIGKILL)
                    outcome.workers += 1
            outcome.hung += not self._ends(driver)
        finally:
            driver.kill()
            driver.communicate()
        found = records(self.run)
        outcome.finished = len(finished(found))
        outcome.interrupted = sum(record.state == "interrupted" for record in found)
        outcome.lost = sum(finished(found).get(training, "gone") != accuracy for training, accuracy in known.items())
        outcome.repeated = repeated(found)
        outcome.left = left(ever)
        outcome.seconds = time.monotonic() - began
        return outcome

    def _await_workers(self, driver: subprocess.Popen[str]) -> None:
        """Waits until there is a worker that can be killed, or the search has ended."""
        deadline = time.monotonic() + self.patience
        while driver.poll() is None and not workers_of(driver.pid) and time.monotonic() < deadline:
            time.sleep(0.05)

    def _ends(self, driver: subprocess.Popen[str]) -> bool:
        """Whether a search comes to its end; it hangs if no training ends for `patience` (s)."""
        count, since = -1, time.monotonic()
        while time.monotonic() - since < self.patience:
            try:
                _, told = driver.communicate(timeout=2.0)
            except subprocess.TimeoutExpired:
                ended = sum(record.state in ("complete", "failed") for record in records(self.run))
                if ended != count:
                    count, since = ended, time.monotonic()
                continue
            if driver.returncode:
                raise RuntimeError(f"the search ended with status {driver.returncode}: {told}")
            return True
        return False

    def _start(self) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.command,
            cwd=self.cwd,
            env=self.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )


def records(run: Run) -> list[Record]:
    """What the run's journal tells, in the order in which trainings were begun."""
    try:
        history = read_history(run)
    except Exception:
        if run.journal.is_file() and run.journal.stat().st_size:
            raise
        return []  # It was killed before its study was there.
    return [] if history is None else history.records


def finished(found: Sequence[Record]) -> dict[Training, float | None]:
    """The accuracies of the trainings that are complete."""
    return {_training(record): record.accuracy for record in found if record.state == "complete"}


def repeated(found: Sequence[Record]) -> int:
    """Trainings that were begun again after they were complete."""
    done: set[Training] = set()
    count = 0
    for record in sorted(found, key=lambda record: record.number):
        count += _training(record) in done
        if record.state == "complete":
            done.add(_training(record))
    return count


def _training(record: Record) -> Training:
    return record.candidate.key, record.candidate.seed, record.candidate.epochs


def workers_of(driver: int) -> set[int]:
    """The processes that a driver trains in."""
    try:
        children = Path(f"/proc/{driver}/task/{driver}/children").read_text().split()
    except OSError:
        return set()
    return {int(child) for child in children if b"spawn_main" in _command(int(child))}


def left(workers: set[int], patience: float = 30.0) -> int:
    """How many of the processes are still there after a while."""
    deadline = time.monotonic() + patience
    while (alive := sum(b"spawn_main" in _command(worker) for worker in workers)) and time.monotonic() < deadline:
        time.sleep(0.1)
    return alive


def _command(process: int) -> bytes:
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes()
    except OSError:
        return b""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--pause", type=float, default=8.0, help="longest time (s) between two kills")
    parser.add_argument("--trials", type=int, help="networks to finish [default: 2 a kill]")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    options = [
        "--space",
        "tiny",
        "--target-flops",
        "8M",
        "--epochs",
        "1",
        "--proxy-resolution",
        "16",
        "--proxy-images",
        "64",
        "--workers",
        "2",
    ]
    with tempfile.TemporaryDirectory() as folder:
        code = "from effsearch.cli import main; main()"
        command = [sys.executable, "-c", code, "nas", *options, "--run", "chaos", "--results", folder]
        command += ["--trials", str(arguments.trials or 2 * arguments.kills)]
        outcome = Chaos(command, Run(Path(folder) / "chaos"), arguments.kills, arguments.pause, arguments.seed)()
    print(outcome)
    sys.exit(0 if outcome.sound else 1)


if __name__ == "__main__":
    main()

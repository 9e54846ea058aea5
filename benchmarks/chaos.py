"""Kills drivers and workers of a real search with SIGKILL at random moments, and counts what came of it.

    python benchmarks/chaos.py --kills 100
    python benchmarks/chaos.py --kills 100 --ray

The search is `effsearch nas` of the space tiny on scenes: trainings of one epoch of a few images, two at a time, in a
folder that is thrown away. After every kill of a driver the run is resumed, and at the end it is driven to its end.
With --ray it trains on a Ray cluster that is begun here, of which whole nodes are killed too, and replaced after a
while. Linux only, since workers are found in /proc. Exit status 1 if anything was lost, repeated or hung.
"""

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from victims import Kind, LocalVictims, RayVictims, Victims, left

from effsearch.runs.folder import Run
from effsearch.runs.history import read_history
from effsearch.runs.records import Record

PATIENT = 0.5
"""Of the kills of a driver that wait for a training to end before: at once, they would hide that it hangs."""

Training = tuple[str, int, int | None]


@dataclass
class Outcome:
    """What kills came to: trainings that were finished and are no longer, were begun again, or did not end."""

    killed: Counter[Kind] = field(default_factory=Counter)
    finished: int = 0
    interrupted: int = 0
    failed: int = 0
    lost: int = 0
    repeated: int = 0
    hung: int = 0
    left: int = 0
    seconds: float = 0.0

    @property
    def sound(self) -> bool:
        return not (self.lost or self.repeated or self.hung or self.left)

    def __str__(self) -> str:
        killed = ", ".join(f"{count} {kind}s" for kind, count in sorted(self.killed.items()))
        return (
            f"{killed} killed in {self.seconds:.0f} s; {self.finished} trainings finished, {self.interrupted} "
            f"interrupted and begun again, {self.failed} failed and tried again; {self.lost} finished ones lost, "
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
    victims: Victims = field(default_factory=LocalVictims)

    def __call__(self) -> Outcome:
        """Kills, resumes and counts; raises RuntimeError where the command itself fails."""
        rng, outcome, began = random.Random(self.seed), Outcome(), time.monotonic()
        kinds, shares = zip(*self.victims.shares.items(), strict=True)
        known: dict[Training, float | None] = {}
        ever: set[int] = set()
        driver = self._start()
        try:
            while outcome.killed.total() < self.kills:
                (kind,) = rng.choices(kinds, shares)
                patient = kind == "driver" and rng.random() < PATIENT
                outcome.hung += not (self._goes_on(driver) if patient else self._await(kind, driver))
                self._rest(rng.uniform(0, self.pause))
                ever |= self.victims.workers(driver.pid)
                if driver.poll() is not None:
                    break
                kills = self.victims.kills(kind, driver.pid)
                if not kills:
                    continue
                rng.choice(kills)()
                outcome.killed[kind] += 1
                if kind == "driver":
                    driver.wait()
                    known |= finished(records(self.run))
                    driver = self._start()
            outcome.hung += not self._ends(driver)
        finally:
            driver.kill()
            driver.wait()
        found = records(self.run)
        outcome.finished = len(finished(found))
        outcome.interrupted = sum(record.state == "interrupted" for record in found)
        outcome.failed = sum(record.state == "failed" for record in found)
        outcome.lost = sum(finished(found).get(training, "gone") != accuracy for training, accuracy in known.items())
        outcome.repeated = repeated(found)
        outcome.left = left(ever)
        outcome.seconds = time.monotonic() - began
        return outcome

    def _await(self, kind: Kind, driver: subprocess.Popen[bytes]) -> bool:
        """Waits until one of a kind can be killed or the search has ended, and says whether that came."""
        deadline = time.monotonic() + self.patience
        while driver.poll() is None and not self.victims.kills(kind, driver.pid):
            if time.monotonic() > deadline:
                return False
            self._rest(0.05)
        return True

    def _rest(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while (rest := until - time.monotonic()) > 0:
            self.victims.tend()
            time.sleep(min(rest, 0.2))

    def _goes_on(self, driver: subprocess.Popen[bytes]) -> bool:
        """Whether another training ends, or the search; it hangs if neither comes for `patience` (s)."""
        count, deadline = self._ended(), time.monotonic() + self.patience
        while driver.poll() is None and self._ended() == count:
            if time.monotonic() > deadline:
                return False
            self._rest(1.0)
        return True

    def _ends(self, driver: subprocess.Popen[bytes]) -> bool:
        """Whether a search comes to its end."""
        while driver.poll() is None:
            if not self._goes_on(driver):
                return False
        if driver.returncode:
            raise RuntimeError(f"the search ended with status {driver.returncode}: {self._errors.read_text()}")
        return True

    def _ended(self) -> int:
        return sum(record.state in ("complete", "failed") for record in records(self.run))

    def _start(self) -> subprocess.Popen[bytes]:
        # In a file, since nobody reads a pipe while there are kills.
        with self._errors.open("wb") as errors:
            return subprocess.Popen(
                self.command, cwd=self.cwd, env=self.environment, stdout=subprocess.DEVNULL, stderr=errors
            )

    @property
    def _errors(self) -> Path:
        return self.run.path.with_suffix(".err")


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--pause", type=float, default=8.0, help="longest time (s) between two kills")
    parser.add_argument("--trials", type=int, help="networks to finish [default: 2 a kill]")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--ray", action="store_true", help="on a Ray cluster that is begun here")
    parser.add_argument("--absence", type=float, default=10.0, help="longest time (s) until a node is replaced")
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
    victims = RayVictims(arguments.absence, arguments.seed) if arguments.ray else nullcontext(LocalVictims())
    with tempfile.TemporaryDirectory() as folder, victims as victims:
        code = "from effsearch.cli import main; main()"
        command = [sys.executable, "-c", code, "nas", *options, "--run", "chaos", "--results", folder]
        command += ["--trials", str(arguments.trials or 2 * arguments.kills)]
        command += ["--ray", victims.address] if arguments.ray else []
        run = Run(Path(folder) / "chaos")
        outcome = Chaos(command, run, arguments.kills, arguments.pause, arguments.seed, victims=victims)()
    print(outcome)
    sys.exit(0 if outcome.sound else 1)


if __name__ == "__main__":
    main()

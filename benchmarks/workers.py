"""Measures how many times the trials of one worker two workers finish, on a machine with a core for each.

    python benchmarks/workers.py

The same search of the space tiny on scenes, cold, by one worker and by two in turn, several times each. The pace is
that between the ends of two trainings, so that neither the start of the processes nor the end of the search counts.
It needs cores that are idle otherwise: what they are busy with at the start is printed too.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from effsearch.executors.local import cores
from effsearch.runs.folder import Run
from effsearch.runs.history import read_history

WARM = 4
"""Trainings of each search that are not counted."""

GOAL = 1.8


def pace(workers: int, trials: int, images: int, folder: Path) -> float:
    """Trainings a second of one search."""
    name = f"workers-{workers}-{time.time_ns()}"
    options = {
        "--space": "tiny",
        "--target-flops": "8M",
        "--sampler": "random",
        "--epochs": 1,
        "--proxy-resolution": 32,
        "--proxy-images": images,
        "--trials": trials,
        "--workers": workers,
        "--run": name,
        "--results": folder,
    }
    command = [sys.executable, "-c", "from effsearch.cli import main; main()", "nas", "--cold"]
    command += [str(part) for option in options.items() for part in option]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"the search ended with status {done.returncode}: {done.stderr}")
    history = read_history(Run(folder / name))
    assert history is not None
    ends = sorted(record.finished.timestamp() for record in history.records if record.finished is not None)
    # While two workers are busy: the last of a search is trained alone.
    counted = ends[WARM - 1 : len(ends) - workers + 1]
    return (len(counted) - 1) / (counted[-1] - counted[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=30)
    parser.add_argument("--images", type=int, default=2000, help="trained on in each training")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    print(f"{cores()} cores, load {os.getloadavg()[0]:.2f} before the start", flush=True)
    paces: dict[int, list[float]] = {1: [], 2: []}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(arguments.rounds):
            for workers, found in paces.items():
                found.append(pace(workers, arguments.trials, arguments.images, Path(folder)))
                print(f"{workers} worker{'s' * (workers > 1)}: {found[-1]:.3f} trainings a second", flush=True)
    ratios = [two / one for one, two in zip(paces[1], paces[2], strict=True)]
    ratio = median(ratios)
    print(
        f"two workers finish {ratio:.2f} times the trainings of one (each round: "
        f"{', '.join(f'{each:.2f}' for each in ratios)}); wanted: {GOAL}: {'reached' if ratio >= GOAL else 'MISSED'}"
    )
    sys.exit(0 if ratio >= GOAL else 1)


if __name__ == "__main__":
    main()

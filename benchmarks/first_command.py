"""Measures the README's first command from an empty folder: time, peak memory, and what it trained.

    python benchmarks/first_command.py [any options of effsearch nas]

Memory is the proportional set size of the command and all its processes (shared pages counted once), by /proc, twice
a second: Linux only.
"""

import csv
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def main() -> None:
    options = sys.argv[1:] or ["--target-flops", "400M"]
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {"EFFSEARCH_CACHE": f"{folder}/cache", "EFFSEARCH_RESULTS": f"{folder}/results"}
        start, peak = time.monotonic(), 0
        process = subprocess.Popen(["effsearch", "nas", *options], env=environment)
        while process.poll() is None:
            peak = max(peak, sum(map(memory, family(process.pid))))
            time.sleep(0.5)
        seconds = time.monotonic() - start
        ranking = next(Path(folder).glob("results/*/ranking.csv"))
        rows = list(csv.DictReader(ranking.read_text().splitlines()))
    trained = [row for row in rows if row["state"] == "complete"]
    print(f"\nexit status {process.returncode}; {seconds:.0f} s, of which the training of one network took "
          f"{sorted(float(row['seconds']) for row in trained)[len(trained) // 2]:.1f} s in the median")  # fmt: skip
    print(f"{len(trained)} architectures, {sum(int(row['seeds']) for row in trained)} trainings")
    print(f"peak memory {peak / 2**30:.2f} GiB")


def family(pid: int) -> list[int]:
    """A process and all that descend from it."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
        except (OSError, IndexError):
            continue
        children.setdefault(parent, []).append(int(stat.parent.name))
    found = [pid]
    for each in found:
        found += children.get(each, [])
    return found


def memory(pid: int) -> int:
    """Bytes, or 0 for a process that has just ended."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        return 1024 * int(next(line.split()[1] for line in lines if line.startswith("Pss:")))
    except (OSError, StopIteration):
        return 0


if __name__ == "__main__":
    main()

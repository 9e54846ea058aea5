"""Drives a toy search to its end, in a process that can be killed: toy_driver.py RUN [ADDRESS of a Ray cluster]."""

import os
import sys
from pathlib import Path

from toys import drive, settings, slow_toy

from effsearch.executors.local import LocalExecutor
from effsearch.runs.folder import Run


def environment() -> dict[str, str]:
    """In which it imports this package, and what the tests do."""
    here = Path(__file__).parent
    paths = [str(here.parents[1]), str(here), os.environ.get("PYTHONPATH", "")]
    return os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))}


def main(path: str, address: str | None = None) -> None:
    run = Run(Path(path))
    with run.locked():
        if address is None:
            # As if pinned to two GPUs, since a worker on a CPU imports torch first, which takes longer than the test.
            executor = LocalExecutor([0, 1])
        else:
            from effsearch.executors.ray_cluster import RayExecutor

            executor = RayExecutor(address, workers=2)
        drive(run, settings(), 16, slow_toy, executor)


if __name__ == "__main__":
    main(*sys.argv[1:])

"""Measures how long commands take to start, beside the import of typer and of rich's console.

    python benchmarks/startup.py

Commands take turns, since the machine is noisy: the ratios are the median of those within a round, and that of the
shortest times.
"""

import argparse
import os
import subprocess
import sys
import time
from statistics import median

BASE = "import typer, rich.console"
RUN = "import sys; sys.argv = {}; from effsearch.cli import main; main()"
CODES = {
    "base": BASE,
    "effsearch --help": RUN.format(["effsearch", "--help"]),
    "effsearch describe b0": RUN.format(["effsearch", "describe", "b0"]),
}
WARM = 2  # rounds that are not counted, in which Python compiles its files


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20, help="turns of each command")
    rounds = parser.parse_args().rounds
    found: dict[str, list[float]] = {name: [] for name in CODES}
    for number in range(WARM + rounds):
        for name, code in CODES.items():
            seconds = started(code)
            found[name] += [seconds] * (number >= WARM)
    base = found.pop("base")
    print(f"load {os.getloadavg()[0]:.2f}; {BASE}: {1000 * min(base):.0f} ms at best of {rounds} rounds")
    for name, times in found.items():
        ratio = median(one / other for one, other in zip(times, base, strict=True))
        print(f"{name}: {ratio:.2f} times as long (of the shortest times: {min(times) / min(base):.2f})")


def started(code: str) -> float:
    # Compiled files are kept, as in an installation.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], stdout=subprocess.DEVNULL, env=environment, check=True)
    return time.perf_counter() - start


if __name__ == "__main__":
    main()

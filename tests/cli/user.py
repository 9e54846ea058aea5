"""What the tests of commands that train do as a user would: images in a folder, and a command there."""

import io
import os
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from effsearch.cli import main

EFFSEARCH = [sys.executable, "-c", "from effsearch.cli import main; main()"]
WITHOUT_TORCH = """
import sys
from effsearch.cli import main
try:
    main()
finally:
    assert not {"torch", "fvcore"} & set(sys.modules)
"""


def paint(root: Path, counts: dict[str, int]) -> Path:
    """Images of two classes, dark and light, so many of each in every split; returns the root."""
    rng = np.random.default_rng(0)
    for split, count in counts.items():
        for name, level in (("dark", 60), ("light", 190)):
            for index in range(count):
                path = root / "images" / split / name / f"{index}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                pixels = np.clip(rng.normal(level, 30, (16, 16, 3)), 0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(path)
    return root


def environment(folder: Path) -> dict[str, str]:
    # One thread, so that sums are made in one order and weights can be compared to the bit.
    return os.environ | {"EFFSEARCH_CACHE": str(folder / "cache"), "COLUMNS": "100", "OMP_NUM_THREADS": "1"}


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A command in the folder, to its end; in this process, which has imported torch already."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for name, value in environment(folder).items():
            patch.setenv(name, value)
        return run_here(*arguments)


def run_here(*arguments: str) -> subprocess.CompletedProcess[str]:
    """A command in this process, in the folder and with the environment that it has."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.setattr(sys, "argv", ["effsearch", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
    return subprocess.CompletedProcess(arguments, int(ended.value.code or 0), out.getvalue(), err.getvalue())


def without_torch(folder: Path, *arguments: str, columns: int = 100) -> subprocess.CompletedProcess[str]:
    """The same in a process of its own, which fails if it has imported torch."""
    command = [sys.executable, "-c", WITHOUT_TORCH, *arguments]
    surroundings = environment(folder) | {"COLUMNS": str(columns)}
    return subprocess.run(command, cwd=folder, env=surroundings, capture_output=True, text=True, check=False)

"""The walkthrough of the docs, on a few images and a tiny space: search, train, export, and predict a photograph."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from user import environment, paint, run

PAGE = Path(__file__).parents[2] / "docs" / "walkthrough.md"
DATA = os.environ.get("EFFSEARCH_TEST_DATA")
TINY = {
    "nas": "--space tiny --target-flops 8M --trials 2 --epochs 1 --proxy-resolution 16 --proxy-images 64 --workers 1",
    "train": "--epochs 2 --resolution 32 --batch 16",
}


def commands() -> list[list[str]]:
    block = re.findall(r"```\n(effsearch nas.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)[0]
    return [line.split()[1:] for line in block.splitlines()]


def programs() -> list[str]:
    return re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


def photographs(folder: Path) -> Path:
    """CIFAR-10's where it is at hand, or else two painted classes."""
    if DATA is None:
        return paint(folder, {"train": 40, "test": 8}) / "images"
    unpack = [sys.executable, str(Path(DATA) / "unpack.py"), "cifar10", str(folder / "images"), "--per-class", "20"]
    subprocess.run(unpack, check=True, capture_output=True)
    return folder / "images"


def test_the_walkthrough_ends_with_a_prediction(tmp_path):
    pytest.importorskip("timm", reason="needs the extra [export]")
    pytest.importorskip("onnxruntime", reason="needs the extra [export]")
    images = photographs(tmp_path)
    classes = sorted(path.name for path in (images / "train").iterdir())
    shutil.copy(next((images / "test" / classes[0]).iterdir()), tmp_path / "photo.png")
    for command in commands():
        if command[0] == "nas":
            command = [word for word in command if word not in ("--target-flops", "400M")]
        done = run(tmp_path, *command, *TINY.get(command[0], "").split())
        assert done.returncode == 0, (command, done.stderr)
    answers = []
    for program in programs():
        done = subprocess.run(
            [sys.executable, "-c", program], cwd=tmp_path, env=environment(tmp_path), capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        answers.append(done.stdout.split()[-1])
    assert len(answers) == 2
    assert set(answers) <= set(classes)

"""Real photographs: EFFSEARCH_TEST_DATA names a folder with unpack.py and the archives beside it."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from effsearch.data import info, load, load_test, prepare

FOLDER = os.environ.get("EFFSEARCH_TEST_DATA")


@pytest.mark.skipif(FOLDER is None, reason="EFFSEARCH_TEST_DATA names no folder with real images")
@pytest.mark.parametrize(
    ("name", "classes", "counts"),
    [("cifar10", 10, {"train": 100, "test": 100}), ("trashnet", 6, {"train": 60, "test": 60})],
)
def test_real_images_are_packed_whole(tmp_path, name, classes, counts):
    script = Path(str(FOLDER)) / "unpack.py"
    subprocess.run([sys.executable, str(script), name, str(tmp_path / name), "--per-class", "10"], check=True)
    folder = prepare(tmp_path / name, 32, cache=tmp_path / "cache")
    about = info(folder)
    assert about.counts == counts
    assert len(about.classes) == classes
    assert not about.skipped
    images = load(folder)
    assert np.bincount(images.validation.labels).tolist() == [2] * classes
    # Photographs, not noise and not blanks: neighbouring pixels resemble each other, images differ.
    pixels = load_test(folder).pixels.astype(float)
    assert np.abs(np.diff(pixels, axis=2)).mean() < 0.5 * pixels.std()
    assert len({image.tobytes() for image in pixels}) == len(pixels)

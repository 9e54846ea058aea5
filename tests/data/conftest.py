from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

MakeTree = Callable[..., Path]


def write_image(path: Path, size: tuple[int, int] = (24, 20), seed: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def make_tree(tmp_path: Path) -> MakeTree:
    """Writes a tree of noise images: {"train/cat": 3} gives train/cat/00.png to 02.png."""

    def make(counts: dict[str, int], name: str = "pets", size: tuple[int, int] = (24, 20)) -> Path:
        root = tmp_path / name
        root.mkdir(exist_ok=True)
        for number, (folder, count) in enumerate(counts.items()):
            for index in range(count):
                write_image(root / folder / f"{index:02d}.png", size, 1000 * number + index)
        return root

    return make


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"

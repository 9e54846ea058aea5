import subprocess
import sys
import urllib.error
from dataclasses import replace
from typing import ClassVar

import numpy as np
import pytest
from PIL import Image
from torchvision import datasets

from effsearch.data import count_images, info, load, load_test, prepare, scenes
from effsearch.data.catalog import NAMES, TORCHVISION
from effsearch.errors import DataError


class InMemory:
    """A set in torchvision's manner that holds arrays."""

    classes = ("plane", "car")
    built: ClassVar[list[dict[str, object]]] = []

    def __init__(self, root: str, train: bool = True, download: bool = False) -> None:
        self.built.append({"root": root, "train": train, "download": download})
        self.count = 20 if train else 6

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> tuple[Image.Image, int]:
        return Image.new("RGB", (32, 32), (index, 0, 0)), index % 2


@pytest.fixture
def in_memory(monkeypatch):
    monkeypatch.setattr(datasets, "CIFAR10", InMemory)
    monkeypatch.setitem(TORCHVISION, "cifar10", replace(TORCHVISION["cifar10"], classes=2))
    InMemory.built.clear()
    return InMemory.built


def test_a_torchvision_set_is_downloaded_once_and_found_again(in_memory, cache):
    folder = prepare("cifar10", 32, cache=cache)
    assert [(call["train"], call["download"]) for call in in_memory] == [(True, True), (False, True)]
    assert in_memory[0]["root"] == str(cache / "downloads" / "cifar10")
    about = info(folder)
    assert (about.name, about.source, about.classes) == ("cifar10", "torchvision CIFAR10", ("plane", "car"))
    assert about.counts == {"train": 20, "test": 6}
    assert load_test(folder).pixels[:, 0, 0, 0].tolist() == list(range(6))
    assert load_test(folder).labels.tolist() == [0, 1] * 3
    assert prepare("cifar10", 32, cache=cache) == folder
    assert info(prepare("cifar10", 16, cache=cache)).derived_from == 32
    assert len(in_memory) == 2


def test_a_set_that_hands_over_paths_is_decoded_from_files(make_tree, cache, monkeypatch):
    root = make_tree({"annual": 10, "river": 20})
    monkeypatch.setattr(datasets, "EuroSAT", lambda download, **named: datasets.ImageFolder(root))
    monkeypatch.setitem(TORCHVISION, "eurosat", replace(TORCHVISION["eurosat"], classes=2))
    folder = prepare("eurosat", 16, cache=cache)
    about = info(folder)
    assert about.classes == ("annual", "river")
    assert about.counts == {"train": 24, "test": 6}  # no official split: a fifth of each class is held out
    assert np.bincount(load_test(folder).labels).tolist() == [2, 4]


@pytest.mark.parametrize("name", sorted(TORCHVISION))
@pytest.mark.parametrize(
    "failure", [urllib.error.URLError("no route"), ConnectionResetError("reset"), RuntimeError("File not\nfound")]
)
def test_a_failed_download_is_one_line(monkeypatch, cache, name, failure):
    def fail(**named):
        raise failure

    monkeypatch.setattr(datasets, TORCHVISION[name].constructor, fail)
    with pytest.raises(DataError, match=f"^{name} could not be made ready: .*or give an image folder's path") as caught:
        prepare(name, 32, cache=cache)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["imagenet", "stanford_cars"])
def test_what_cannot_be_downloaded_says_what_to_put_where(cache, name):
    with pytest.raises(DataError, match=f"put .* into {cache / 'downloads' / name}; or give"):
        prepare(name, 32, cache=cache)


@pytest.mark.parametrize("name", sorted(TORCHVISION))
def test_every_row_fits_its_constructor(monkeypatch, cache, name):
    """Builds with the true signature and no network: what fails is the download, not the call."""
    from torchvision.datasets import utils

    def offline(*arguments, **named):
        raise urllib.error.URLError("offline")

    monkeypatch.setattr(utils, "_urlretrieve", offline)
    with pytest.raises(DataError) as caught:
        prepare(name, 32, cache=cache)
    assert not isinstance(caught.value.__cause__, TypeError), caught.value


def test_a_name_comes_before_a_folder_of_that_name(in_memory, make_tree, cache, monkeypatch):
    root = make_tree({"cat": 5, "dog": 5}, "cifar10")
    monkeypatch.chdir(root.parent)
    assert info(prepare("cifar10", 16, cache=cache)).source == "torchvision CIFAR10"
    assert info(prepare("./cifar10", 16, cache=cache)).source == str(root.resolve())


def test_what_is_neither_a_name_nor_a_path_gets_a_hint(cache):
    with pytest.raises(DataError) as caught:
        prepare("cifar-10", 32, cache=cache)
    message = str(caught.value)
    assert message.startswith("there is no image set and no folder called 'cifar-10'; did you mean cifar10 or cifar100")
    assert all(name in message for name in NAMES)
    assert "\n" not in message
    for nothing in ("", "zzz"):
        with pytest.raises(DataError, match="there is no image set"):
            prepare(nothing, 32, cache=cache)


def test_scenes_are_drawn_at_the_resolution_asked_for(cache, monkeypatch):
    monkeypatch.setattr(scenes, "TRAIN", 320)
    monkeypatch.setattr(scenes, "TEST", 32)
    folders = {size: prepare("scenes", size, cache=cache) for size in (16, 8)}
    for size, folder in folders.items():
        about = info(folder)
        assert (about.synthetic, about.derived_from, about.resolution) == (True, None, size)
        assert about.counts == {"train": 320, "test": 32}
        pixels, labels = scenes.draw("test", np.arange(32), size)
        np.testing.assert_array_equal(load_test(folder).pixels, pixels)
        np.testing.assert_array_equal(load_test(folder).labels, labels)
    pixels, _ = scenes.draw("train", np.arange(300, 320), 8)
    images = load(folders[8])
    np.testing.assert_array_equal(images.train.pixels[300:], pixels)
    assert images.synthetic
    monkeypatch.setattr(scenes, "VERSION", "other")
    assert prepare("scenes", 8, cache=cache) != folders[8]


def test_torchvision_is_imported_only_when_needed():
    code = "import sys, effsearch.data; sys.exit('torchvision' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("counts", [{"train": 50}, {"train": 30, "val": 8}, {"train": 25, "test": 5}])
def test_images_are_counted_as_a_search_will_split_them(make_tree, cache, counts):
    root = make_tree({f"{split}/{name}": count for split, count in counts.items() for name in ("one", "other")})
    images = load(prepare(root, 16, cache=cache))
    assert count_images(str(root)) == (len(images.train), len(images.validation))


def test_images_are_not_downloaded_to_be_counted(in_memory):
    assert count_images("cifar10") is None
    assert in_memory == []
    assert count_images("scenes") == (scenes.TRAIN * 4 // 5, scenes.TRAIN // 5)

"""Image sets that have a name: torchvision's, downloaded when first asked for, and the embedded scenes.

A set's official test split is the test split (of ImageNet and Imagenette: val), and validation is split off train.
"""

import difflib
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock
from PIL import Image

from effsearch.data import scenes
from effsearch.data.folder import list_folder
from effsearch.data.imageset import TEST_SEED, TEST_SHARE, VALIDATION_SHARE, hold_out
from effsearch.data.sources import TEST, TRAIN, VALIDATION, Contents, DecodedImages, Source, decode_all, file_content
from effsearch.errors import DataError

Arguments = dict[str, Any]
Calls = tuple[Arguments, ...]


@dataclass(frozen=True)
class TorchvisionCall:
    """How torchvision builds a set: one call for each entry of `train` and `test`; without `test`, train is split."""

    constructor: str
    classes: int
    train: Calls
    test: Calls
    put: str = ""  # of a set that torchvision cannot download: what has to be put into its folder


_SPLIT: tuple[Calls, Calls] = ({"split": "train"},), ({"split": "test"},)
_TRAINVAL: tuple[Calls, Calls] = ({"split": "trainval"},), ({"split": "test"},)
_POOLED: tuple[Calls, Calls] = ({"split": "train"}, {"split": "val"}), ({"split": "test"},)
_VAL: tuple[Calls, Calls] = ({"split": "train"},), ({"split": "val"},)
_FLAG: tuple[Calls, Calls] = ({"train": True},), ({"train": False},)

CARS = "stanford_cars/ with devkit/, cars_train/, cars_test/ and cars_test_annos_withlabels.mat"
IMAGENET = "ILSVRC2012_devkit_t12.tar.gz, ILSVRC2012_img_train.tar and ILSVRC2012_img_val.tar"
TORCHVISION = {
    "cifar10": TorchvisionCall("CIFAR10", 10, *_FLAG),
    "cifar100": TorchvisionCall("CIFAR100", 100, *_FLAG),
    "svhn": TorchvisionCall("SVHN", 10, *_SPLIT),
    "flowers102": TorchvisionCall("Flowers102", 102, *_POOLED),
    "oxford_iiit_pet": TorchvisionCall("OxfordIIITPet", 37, *_TRAINVAL),
    "food101": TorchvisionCall("Food101", 101, *_SPLIT),
    "stanford_cars": TorchvisionCall("StanfordCars", 196, *_SPLIT, put=CARS),
    "fgvc_aircraft": TorchvisionCall("FGVCAircraft", 100, *_TRAINVAL),
    "eurosat": TorchvisionCall("EuroSAT", 10, ({},), ()),
    "gtsrb": TorchvisionCall("GTSRB", 43, *_SPLIT),
    "stl10": TorchvisionCall("STL10", 10, *_SPLIT),
    "imagenette": TorchvisionCall("Imagenette", 10, *_VAL),
    "imagenet": TorchvisionCall("ImageNet", 1000, *_VAL, put=IMAGENET),
}
SCENES = "scenes"
NAMES = (*TORCHVISION, SCENES)


def find(source: str) -> Source:
    """The image set of a name or a path; a name of the catalog comes first, `./cifar10` is a folder of that name.

    Raises DataError for what is neither, and for a folder that is not an image set.
    """
    if source == SCENES:
        key = f"{SCENES} {scenes.VERSION} {scenes.TRAIN} {scenes.TEST} {scenes.CLASSES}"
        readers = {TRAIN: ScenesReader(TRAIN, scenes.TRAIN), TEST: ScenesReader(TEST, scenes.TEST)}
        contents = Contents(scenes.CLASSES, readers)
        return Source(SCENES, SCENES, key, lambda downloads: contents, synthetic=True, derivable=False)
    if source in TORCHVISION:
        # What torchvision provides never changes, so its name stands for the content.
        origin = f"torchvision {TORCHVISION[source].constructor}"
        return Source(source, origin, origin, partial(_open_torchvision, source))
    path = Path(source).expanduser()
    if source and path.exists():
        return list_folder(path).source
    close = difflib.get_close_matches(source.lower(), NAMES, n=3)
    meant = f"; did you mean {' or '.join(close)}?" if close else ""
    raise DataError(
        f"there is no image set and no folder called {source!r}{meant} "
        f"(give a path to a folder of class folders, or one of: {', '.join(NAMES)})"
    )


def count_images(source: str) -> tuple[int, int] | None:
    """About how many images of a set a search trains and validates on; None where only a download would tell.

    Raises DataError as `find`.
    """
    found = find(source)
    if source in TORCHVISION:
        return None
    return divided({split: len(reader) for split, reader in found.open(Path()).readers.items()})


def divided(counts: Mapping[str, int]) -> tuple[int, int]:
    """About how many images a search trains and validates on, of a set with so many in each split."""
    if VALIDATION in counts:
        return counts[TRAIN], counts[VALIDATION]
    validation = round(VALIDATION_SHARE * counts[TRAIN])
    return counts[TRAIN] - validation, validation


@dataclass(frozen=True, eq=False)
class ScenesReader:
    """Draws the synthetic scenes of one split at the resolution asked for."""

    split: str
    count: int

    def __len__(self) -> int:
        return self.count

    def read(self, start: int, stop: int, resolution: int) -> DecodedImages:
        return DecodedImages(*scenes.draw(self.split, np.arange(start, stop), resolution))

    def content(self) -> Iterator[bytes]:
        yield f"scenes\0{scenes.VERSION}\0{self.split}\0{self.count}".encode()


@dataclass(frozen=True, eq=False)
class TorchvisionReader:
    """Reads items (dataset, index) of torchvision's datasets: dataset[index] is (image or its path, label)."""

    name: str
    items: Sequence[tuple[Any, int]]

    def __len__(self) -> int:
        return len(self.items)

    def read(self, start: int, stop: int, resolution: int) -> DecodedImages:
        def fetch(number: int) -> tuple[Image.Image | Path, int]:
            dataset, index = self.items[number]
            image, label = dataset[index]
            return image, int(label)

        return decode_all(range(start, stop), lambda number: f"{self.name} {number}", fetch, resolution)

    def content(self) -> Iterator[bytes]:
        for dataset, index in self.items:
            image, label = dataset[index]
            if isinstance(image, Image.Image):
                yield f"{image.size}\0{label}\0".encode()
                yield image.tobytes()
            else:
                yield f"{Path(image).name}\0{label}\0".encode()
                yield file_content(Path(image))


def _open_torchvision(name: str, downloads: Path) -> Contents:
    row, root = TORCHVISION[name], downloads / name
    root.mkdir(parents=True, exist_ok=True)
    with FileLock(root.with_name(f"{name}.lock")):  # two processes must not download into one folder
        train, test = ([_build(name, row, root, arguments) for arguments in calls] for calls in (row.train, row.test))
    items, held = ([(dataset, index) for dataset in some for index in range(len(dataset))] for some in (train, test))
    if not row.test:
        marks = hold_out(np.concatenate([dataset.targets for dataset in train]), TEST_SHARE, TEST_SEED).tolist()
        held = list(itertools.compress(items, marks))
        items = [item for item, mark in zip(items, marks, strict=True) if not mark]
    readers = {split: TorchvisionReader(f"{name} {split}", each) for split, each in ((TRAIN, items), (TEST, held))}
    return Contents(_class_names(train[0], row.classes), readers)


def _build(name: str, row: TorchvisionCall, root: Path, arguments: Arguments) -> Any:
    from torchvision import datasets  # late: it costs a second, and most image sets do without

    if not row.put:
        arguments = {**arguments, "download": True}
    try:
        dataset = getattr(datasets, row.constructor)(root=str(root), **arguments)
    except Exception as error:  # a download fails in as many ways as there are hosts and archive formats
        what = " ".join(str(error).split()) or type(error).__name__
        remedy = f"put {row.put} into {root}" if row.put else f"torchvision downloads it to {root}"
        raise DataError(f"{name} could not be made ready: {what} ({remedy}; or give an image folder's path)") from error
    if hasattr(dataset, "loader"):
        dataset.loader = Path  # hand over paths, so that large JPEGs are decoded at the size needed
    return dataset


def _class_names(dataset: Any, count: int) -> tuple[str, ...]:
    names = [name if isinstance(name, str) else name[0] for name in getattr(dataset, "classes", ())]
    return tuple(names) if len(names) == count else tuple(str(number) for number in range(count))

"""Image sets that have a name: torchvision's, downloaded when first asked for, and the embedded scenes.

A set's official test split is the test split (of ImageNet and Imagenette: val), and validation is cut out of train.
"""

import difflib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock

from effsearch.data import scenes
from effsearch.data.folder import list_folder
from effsearch.data.imageset import TEST_SEED, TEST_SHARE, hold_out
from effsearch.data.sources import TEST, TRAIN, Contents, DatasetSource, ScenesSource, Source
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
    put: str = ""
    """Of a set that torchvision cannot download: what has to be put into its folder."""


_SPLIT: tuple[Calls, Calls] = ({"split": "train"},), ({"split": "test"},)
_TRAINVAL: tuple[Calls, Calls] = ({"split": "trainval"},), ({"split": "test"},)
_POOLED: tuple[Calls, Calls] = ({"split": "train"}, {"split": "val"}), ({"split": "test"},)
_VAL: tuple[Calls, Calls] = ({"split": "train"},), ({"split": "val"},)
_FLAG: tuple[Calls, Calls] = ({"train": True},), ({"train": False},)

TORCHVISION = {
    "cifar10": TorchvisionCall("CIFAR10", 10, *_FLAG),
    "cifar100": TorchvisionCall("CIFAR100", 100, *_FLAG),
    "svhn": TorchvisionCall("SVHN", 10, *_SPLIT),
    "flowers102": TorchvisionCall("Flowers102", 102, *_POOLED),
    "oxford_iiit_pet": TorchvisionCall("OxfordIIITPet", 37, *_TRAINVAL),
    "food101": TorchvisionCall("Food101", 101, *_SPLIT),
    "stanford_cars": TorchvisionCall(
        "StanfordCars",
        196,
        *_SPLIT,
        put="stanford_cars/ with devkit/, cars_train/, cars_test/ and cars_test_annos_withlabels.mat",
    ),
    "fgvc_aircraft": TorchvisionCall("FGVCAircraft", 100, *_TRAINVAL),
    "eurosat": TorchvisionCall("EuroSAT", 10, ({},), ()),
    "gtsrb": TorchvisionCall("GTSRB", 43, *_SPLIT),
    "stl10": TorchvisionCall("STL10", 10, *_SPLIT),
    "imagenette": TorchvisionCall("Imagenette", 10, *_VAL),
    "imagenet": TorchvisionCall(
        "ImageNet", 1000, *_VAL, put="ILSVRC2012_devkit_t12.tar.gz, ILSVRC2012_img_train.tar and ILSVRC2012_img_val.tar"
    ),
}
SCENES = "scenes"
NAMES = (*TORCHVISION, SCENES)


def find(source: str) -> Source:
    """The image set of a name or a path; a name of the catalog comes first, `./cifar10` is a folder of that name.

    Raises DataError for what is neither, and for a folder that is not an image set.
    """
    if source == SCENES:
        return Scenes()
    if source in TORCHVISION:
        return TorchvisionSet(source)
    path = Path(source).expanduser()
    if source and path.exists():
        return list_folder(path)
    close = difflib.get_close_matches(source.lower(), NAMES, n=3)
    meant = f"; did you mean {' or '.join(close)}?" if close else ""
    raise DataError(
        f"there is no image set and no folder called {source!r}{meant} "
        f"(give a path to a folder of class folders, or one of: {', '.join(NAMES)})"
    )


@dataclass(frozen=True)
class Scenes:
    """The embedded synthetic set, drawn at whatever resolution is asked for."""

    name: str = SCENES
    origin: str = SCENES
    synthetic: bool = True
    derivable: bool = False

    @property
    def key(self) -> str:
        return f"{SCENES} {scenes.VERSION} {scenes.TRAIN} {scenes.TEST} {scenes.CLASSES}"

    def open(self, downloads: Path) -> Contents:
        return Contents(
            scenes.CLASSES, {TRAIN: ScenesSource(TRAIN, scenes.TRAIN), TEST: ScenesSource(TEST, scenes.TEST)}
        )


@dataclass(frozen=True)
class TorchvisionSet:
    """A set that torchvision knows; its content never changes, so its name stands for it."""

    name: str
    synthetic: bool = False
    derivable: bool = True

    @property
    def origin(self) -> str:
        return f"torchvision {TORCHVISION[self.name].constructor}"

    @property
    def key(self) -> str:
        return self.origin

    def open(self, downloads: Path) -> Contents:
        row, root = TORCHVISION[self.name], downloads / self.name
        root.mkdir(parents=True, exist_ok=True)
        with FileLock(root.with_name(f"{self.name}.lock")):  # two processes must not download into one folder
            train = [_build(self.name, row, root, arguments) for arguments in row.train]
            test = [_build(self.name, row, root, arguments) for arguments in row.test]
        items = [(dataset, index) for dataset in train for index in range(len(dataset))]
        held = [(dataset, index) for dataset in test for index in range(len(dataset))]
        if not row.test:
            marks = hold_out(np.concatenate([dataset.targets for dataset in train]), TEST_SHARE, TEST_SEED).tolist()
            held = [item for item, mark in zip(items, marks, strict=True) if mark]
            items = [item for item, mark in zip(items, marks, strict=True) if not mark]
        return Contents(
            _class_names(train[0], row.classes),
            {TRAIN: DatasetSource(f"{self.name} train", items), TEST: DatasetSource(f"{self.name} test", held)},
        )


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

"""Transfer of a network to an image set by training all of it."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from effsearch.architecture import Architecture
from effsearch.data import ImageSet, Split, info, load, load_test, subset
from effsearch.evaluation import Evaluation
from effsearch.evaluation.devices import check_device
from effsearch.evaluation.hardware import watchdog
from effsearch.evaluation.trainings import TrainedNetwork, Whole, train_whole
from effsearch.network.weights import Start
from effsearch.training import Epoch, Recipe
from effsearch.training.batches import Batches
from effsearch.training.loop import validate


@dataclass(frozen=True)
class Transfer:
    """A network, what it begins from (None: fresh weights), and the number of the image set that it is trained on."""

    architecture: Architecture
    start: Start | None
    images: int


@dataclass(frozen=True)
class FineTuning:
    """Trains networks on the packed image sets in `folders`; a value, so that it can be sent to a worker.

    Of each set at most `train_images` are used. The gradient of a batch is accumulated from `accumulation` parts.
    """

    folders: tuple[Path, ...]
    train_images: int | None
    device: str
    recipe: Recipe
    epochs: int
    accumulation: int = 1

    def __call__(self, transfer: Transfer, seed: int) -> Evaluation:
        """Validates and tests once, at the end.

        Raises Diverged, ContextLost, WeightsError, and ExecutorError where there is no GPU to train on.
        """
        check_device(self.device)
        begun, history = time.perf_counter(), list[Epoch]()
        images, test = images_of(self.folders[transfer.images], self.train_images)
        whole = Whole(transfer.architecture, self.recipe, self.epochs, seed, self.device)
        with watchdog() as beat:
            trained = train_whole(
                whole,
                images,
                start=transfer.start,
                on_epoch=history.append,
                on_step=beat,
                accumulation=self.accumulation,
                every_epoch=False,
            )
            reached = None if test is None else _accuracy(trained, test, whole)
        accuracy = history[-1].accuracy
        assert accuracy is not None
        return Evaluation(accuracy, self.epochs, time.perf_counter() - begun, tuple(history), test=reached)

    def with_accumulation(self, count: int) -> "FineTuning":
        """The same with each batch in `count` parts, which take less memory."""
        return replace(self, accumulation=count)

    def with_folders(self, folders: Sequence[Path]) -> "FineTuning":
        """The same with the image sets in other places."""
        return replace(self, folders=tuple(folders))


def _accuracy(trained: TrainedNetwork, split: Split, whole: Whole) -> float:
    images = Batches(split, torch.device(whole.device))
    return validate(trained.network, images, whole.architecture.resolution, trained.at_once).accuracy


def images_of(folder: Path, train_images: int | None) -> tuple[ImageSet, Split | None]:
    """The images of a set to train and to validate on, and those to test on, if it has some."""
    images = load(folder)
    images = replace(images, train=subset(images.train, train_images, 0))
    return images, load_test(folder) if "test" in info(folder).counts else None

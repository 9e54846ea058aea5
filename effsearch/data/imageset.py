"""Images in memory with their labels, and how they are split into training, validation and test images."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from effsearch.errors import DataError

Pixels = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Split:
    """Some images of an image set.

    `pixels` (M, H, W, 3) is a read-only memory-mapped array that several splits may share, `rows` (N,) are the indices
    of this split's images in it, and `labels` (N,) are their classes, in the order of `rows`.
    """

    pixels: Pixels
    rows: Labels
    labels: Labels

    def __len__(self) -> int:
        return len(self.rows)

    def images(self, index: Labels) -> Pixels:
        """Copies the images at positions `index` of this split: (len(index), H, W, 3)."""
        return self.pixels[self.rows[index]]

    def take(self, index: Labels) -> "Split":
        """The images at positions `index` of this split, as a split that copies no pixels."""
        return Split(self.pixels, self.rows[index], self.labels[index])


@dataclass(frozen=True, eq=False)
class ImageSet:
    """A training and a validation split of one image set; without the test split, so that no search can see it."""

    name: str
    classes: tuple[str, ...]
    resolution: int
    digest: str
    synthetic: bool
    train: Split
    validation: Split


TEST_SHARE = VALIDATION_SHARE = 0.2
TEST_SEED = 20190528  # the day arXiv:1905.11946 appeared; never an option, so that a test image stays a test image


def hold_out(labels: Labels, share: float, seed: int) -> npt.NDArray[np.bool_]:
    """A stratified random split: marks about `share` of each class, with at least one marked and one not: (N,) bool.

    Raises DataError where a class has a single image.
    """
    counts = np.bincount(labels)
    if np.any(counts == 1):
        raise DataError(f"a class has one image, and a split needs two: class number {int(np.argmax(counts == 1))}")
    marked = np.clip(np.rint(share * counts), 1, np.maximum(counts - 1, 1))
    ranks, _ = _ranks(labels, seed)
    return np.asarray(ranks < marked[labels])


def subset(split: Split, count: int | None, seed: int) -> Split:
    """A stratified random subset of `count` images; the whole split if `count` is None or too large.

    The same seed gives the same images, and a smaller subset lies within every larger one. No class is left out
    unless there are fewer images than classes. Raises DataError for a count below 1.
    """
    if count is not None and count < 1:
        raise DataError(f"a subset of {count} images was asked for: at least 1 is needed")
    if count is None or count >= len(split):
        return split
    ranks, ties = _ranks(split.labels, seed)
    # The images of lowest rank relative to the size of their class are taken, so that each class has its share.
    relative = ranks / np.bincount(split.labels)[split.labels]
    return split.take(np.sort(np.lexsort((ties, relative))[:count]))


def epoch_order(n: int, seed: int, epoch: int) -> Labels:
    """The order in which an epoch visits `n` images: a permutation (n,) that depends on (seed, epoch) alone."""
    return np.random.default_rng([seed, epoch]).permutation(n).astype(np.int64, copy=False)


def _ranks(labels: Labels, seed: int) -> tuple[Labels, Labels]:
    """Ranks of the images, from 0, in one random order: within the class, and among all: (N,) and (N,)."""
    order = np.random.default_rng(seed).permutation(len(labels))
    places = np.empty_like(order)
    places[order] = np.arange(len(labels))
    by_class = order[np.argsort(labels[order], kind="stable")]
    counts = np.bincount(labels)
    starts = np.cumsum(counts) - counts
    ranks = np.empty_like(order)
    ranks[by_class] = np.arange(len(labels)) - starts[labels[by_class]]
    return ranks, places

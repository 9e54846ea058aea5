"""What a training sees: images in memory, shared by all workers, with their labels."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Split:
    """Some images of an image set.

    `pixels` (M, H, W, 3) is a read-only memory-mapped array that several splits may share, `rows` (N,) says which of
    its images belong to this split, and `labels` (N,) are their classes, in the order of `rows`.
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
    """A training and a validation split of one image set; the test split is not here, so that no search can see it."""

    name: str
    classes: tuple[str, ...]
    resolution: int
    digest: str
    synthetic: bool
    train: Split
    validation: Split

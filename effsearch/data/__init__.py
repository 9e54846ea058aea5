"""A name or a folder -> images in memory: packed once as uint8 squares, then memory-mapped by every training.

`prepare` packs, `load` opens training and validation, and `load_test` opens the test split, which no search may see.
"""

from effsearch.data.augmentation import Augmentation
from effsearch.data.cache import prepare
from effsearch.data.catalog import count_images, divided
from effsearch.data.imageset import ImageSet, Split, epoch_order, subset
from effsearch.data.packed import held_out, info, load, load_test

__all__ = [
    "Augmentation",
    "ImageSet",
    "Split",
    "count_images",
    "divided",
    "epoch_order",
    "held_out",
    "info",
    "load",
    "load_test",
    "prepare",
    "subset",
]

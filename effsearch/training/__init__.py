"""One plain training loop and the recipe it follows."""

from effsearch.training.loop import Diverged, Epoch, accuracy, train
from effsearch.training.recipe import Recipe

__all__ = ["Diverged", "Epoch", "Recipe", "accuracy", "train"]

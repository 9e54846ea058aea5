"""One plain training loop (`loop`) and the recipe it follows."""

from effsearch.training.epoch import Diverged, Epoch
from effsearch.training.recipe import Recipe

__all__ = ["Diverged", "Epoch", "Recipe"]

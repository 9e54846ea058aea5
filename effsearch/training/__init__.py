"""One plain training loop (`loop`), the recipe it follows, and what it gives for each epoch."""

from collections.abc import Sequence
from dataclasses import dataclass

from effsearch.training.recipe import Recipe

__all__ = ["CorruptCheckpoint", "Diverged", "Epoch", "Recipe", "best_epoch"]


class CorruptCheckpoint(Exception):
    """A checkpoint that is damaged, of another network, or of a later epoch than the last one wanted."""


class Diverged(Exception):
    """The loss is no longer finite."""


@dataclass(frozen=True, slots=True)
class Epoch:
    """One epoch: mean training loss (nats), validation accuracy (a fraction), seconds, validation cross-entropy (nats).

    Those of the validation are None after an epoch that was not validated.
    """

    epoch: int
    loss: float
    accuracy: float | None
    seconds: float
    validation_loss: float | None = None


def best_epoch(accuracies: Sequence[float | None]) -> int:
    """The number (from 1) of the epoch with the highest accuracy, the first of equals; 0 if none was validated."""
    known = [-1.0 if accuracy is None else accuracy for accuracy in accuracies]
    return known.index(max(known)) + 1 if known and max(known) >= 0 else 0

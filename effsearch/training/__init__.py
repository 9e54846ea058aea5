"""One plain training loop (`loop`), the recipe it follows, and what it gives for each epoch."""

from dataclasses import dataclass

from effsearch.training.recipe import Recipe

__all__ = ["CorruptCheckpoint", "Diverged", "Epoch", "Recipe"]


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

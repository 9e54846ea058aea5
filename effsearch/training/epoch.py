"""The result of an epoch, and the error of a training that diverged."""

from dataclasses import dataclass


class CorruptCheckpoint(Exception):
    """The state of a training that is not whole, is of another network, or has come further than is asked for."""


class Diverged(Exception):
    """The loss is no longer finite."""


@dataclass(frozen=True, slots=True)
class Epoch:
    """One epoch: mean training loss (nats), validation accuracy (a fraction, or None), seconds."""

    epoch: int
    loss: float
    accuracy: float | None
    seconds: float

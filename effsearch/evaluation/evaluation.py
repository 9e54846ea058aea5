"""What an evaluation tells of an architecture."""

from dataclasses import asdict, dataclass, field
from typing import Any

from effsearch.training import Epoch


@dataclass(frozen=True)
class Evaluation:
    """Validation accuracy (a fraction), the epochs and seconds it took, and the course of the training.

    `checkpoint` is what a training that was stopped before its end can be continued from.
    """

    accuracy: float
    epochs: int
    seconds: float
    history: tuple[Epoch, ...] = ()
    checkpoint: bytes | None = field(default=None, repr=False, compare=False)

    def to_dict(self) -> dict[str, Any]:
        """For a journal: all but the checkpoint."""
        return {name: value for name, value in asdict(self).items() if name != "checkpoint"}

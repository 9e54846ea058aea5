"""From an architecture to its accuracy and its speed; here, its evaluation, and evaluators that train nothing."""

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from effsearch.architecture import Architecture
from effsearch.errors import QuantityError, SpaceError
from effsearch.evaluation.proxy import AUTO, PROXIES, QUICK, STANDARD, Proxy, find_proxy
from effsearch.prior import predict
from effsearch.training import Epoch

__all__ = [
    "AUTO",
    "PROXIES",
    "QUICK",
    "STANDARD",
    "Evaluation",
    "FunctionEvaluator",
    "Proxy",
    "find_proxy",
    "predicted",
]


@dataclass(frozen=True)
class Evaluation:
    """Validation accuracy (a fraction), the epochs and seconds it took, and the history of the training.

    A training that was stopped before its end can be continued from `checkpoint`. `test` is the accuracy on images
    that no training and no choice has seen, where it was looked at. `weights` are the contents of a file of weights,
    where they are wanted.
    """

    accuracy: float
    epochs: int
    seconds: float
    history: tuple[Epoch, ...] = ()
    checkpoint: bytes | None = field(default=None, repr=False, compare=False)
    test: float | None = None
    weights: bytes | None = field(default=None, repr=False, compare=False)

    def to_dict(self) -> dict[str, Any]:
        """For a journal: all but the checkpoint and the weights, and the test where there was none."""
        left_out = {"checkpoint", "weights"} | ({"test"} if self.test is None else set())
        return {name: value for name, value in asdict(self).items() if name not in left_out}


@dataclass(frozen=True)
class FunctionEvaluator:
    """Evaluates by a function from an architecture to its accuracy (a fraction).

    Raises what the function does, and QuantityError where it returns no number.
    """

    function: Callable[[Architecture], float]

    def __call__(self, architecture: Architecture, seed: int) -> Evaluation:
        start = time.perf_counter()
        accuracy = float(self.function(architecture))
        if not math.isfinite(accuracy):
            raise QuantityError(f"evaluate must give a number from 0 to 1, got {accuracy} for {architecture.notation}")
        return Evaluation(accuracy, epochs=0, seconds=time.perf_counter() - start)


def predicted(architecture: Architecture, seed: int) -> Evaluation:
    """The predicted accuracy, whatever the seed; raises SpaceError for what is not in EfficientNet-B0's skeleton."""
    if (found := predict(architecture)) is None:
        raise SpaceError(f"the prior knows nothing of {architecture.notation}")
    return Evaluation(found.accuracy, epochs=0, seconds=0.0)

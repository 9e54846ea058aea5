"""Evaluates an architecture by what the prior predicts of it: in microseconds, without images."""

from effsearch.architecture import Architecture
from effsearch.errors import SpaceError
from effsearch.evaluation.evaluation import Evaluation
from effsearch.prior import predict


def predicted(architecture: Architecture, seed: int) -> Evaluation:
    """The predicted accuracy, whatever the seed; raises SpaceError for what is not in EfficientNet-B0's skeleton."""
    found = predict(architecture)
    if found is None:
        raise SpaceError(f"the prior knows nothing of {architecture.notation}")
    return Evaluation(found.accuracy, epochs=0, seconds=0.0)

"""What a short training on ImageNet would give, predicted from a network's stages in EfficientNet-B0's skeleton.

A linear model of the choices of each stage and of all pairs of choices, fitted to the 5,138 trainings of Accel-NASBench
(A. Ahmad et al., 2024; Apache-2.0) by `scripts/fit_prior.py`, which writes the coefficients and how far off they were
on networks that were left out. It knows nothing of other channels, strides, operators or resolutions.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from effsearch.architecture import Architecture, Stage
from effsearch.families import EFFICIENTNET_B0

FILE = Path(__file__).parent / "prior.json"
CHOICES = {"expansion": (1, 4, 6), "kernel": (3, 5), "layers": (1, 2, 3, 4), "se_ratio": (0.0, 0.25)}
MOST_LAYERS = (3, 3, 3, 3, 3, 4, 3)


@dataclass(frozen=True, slots=True)
class Prediction:
    """ImageNet top-1 of a short training (a fraction), and the error of such predictions on networks left out."""

    accuracy: float
    error: float


@dataclass(frozen=True)
class Prior:
    """The fitted model: `coefficients` of features as `features` names them, and how well it predicted."""

    intercept: float
    coefficients: dict[str, float]
    rmse: float
    kendall_tau: float
    spearman: float
    trainings: int
    source: str


@cache
def load() -> Prior:
    """The coefficients that come with the package."""
    return Prior(**json.loads(FILE.read_text(encoding="utf-8")))


def predict(architecture: Architecture) -> Prediction | None:
    """The accuracy of an architecture, or None where it does not lie in B0's skeleton."""
    if not lies_in_skeleton(architecture):
        return None
    prior = load()
    names = features([_row(stage) for stage in architecture.stages])
    return Prediction(prior.intercept + sum(prior.coefficients.get(name, 0.0) for name in names), prior.rmse)


def lies_in_skeleton(architecture: Architecture) -> bool:
    """Whether only expansions, kernels, layers and squeeze-and-excitation differ from B0's, within the choices."""
    b0 = EFFICIENTNET_B0
    same = ("stem", "head", "resolution", "activation")
    if any(getattr(architecture, name) != getattr(b0, name) for name in same):
        return False
    if len(architecture.stages) != len(b0.stages):
        return False
    return all(
        stage.op in ("mbconv", "separable")
        and (stage.stride, stage.channels) == (known.stride, known.channels)
        and all(getattr(stage, name) in values for name, values in CHOICES.items())
        and stage.layers <= most
        for stage, known, most in zip(architecture.stages, b0.stages, MOST_LAYERS, strict=True)
    )


def features(rows: list[tuple[str, ...]]) -> Iterator[str]:
    """Names of all that holds of a network: each choice of each stage, and each pair of choices."""
    held = [f"{number}{choice}" for number, row in enumerate(rows, 1) for choice in row]
    yield from held
    for index, one in enumerate(held):
        yield from (f"{one} {other}" for other in held[index + 1 :])


def choices(expansion: int, kernel: int, layers: int, se_ratio: float) -> tuple[str, ...]:
    """A stage's choices as features name them."""
    return f"e{expansion}", f"k{kernel}", f"r{layers}", "se" if se_ratio else "no"


def _row(stage: Stage) -> tuple[str, ...]:
    return choices(stage.expansion, stage.kernel, stage.layers, stage.se_ratio)

"""The accuracy of a short training on ImageNet, predicted from a network's stages in EfficientNet-B0's skeleton.

A linear model of the choices of each stage and of all pairs of choices, fitted to the 5,138 trainings of Accel-NASBench
(A. Ahmad et al., 2024; Apache-2.0) by `scripts/fit_prior.py`, for B0's channels, strides and resolution alone.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from itertools import combinations, product, starmap
from pathlib import Path

from effsearch.architecture import Architecture
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
    return Prediction(accuracy(architecture), load().rmse) if lies_in_skeleton(architecture) else None


def accuracy(architecture: Architecture) -> float:
    """The accuracy of an architecture that lies in B0's skeleton (which is not checked), within ten microseconds."""
    stages = [
        _of_stage(number, stage.expansion, stage.kernel, stage.layers, stage.se_ratio)
        for number, stage in enumerate(architecture.stages, 1)
    ]
    return load().intercept + sum(map(_alone, stages)) + sum(starmap(_together, combinations(stages, 2)))


def lies_in_skeleton(architecture: Architecture) -> bool:
    """Whether only expansions, kernels, layers and squeeze-and-excitation differ from B0's, within the choices."""
    b0 = EFFICIENTNET_B0
    if replace(architecture, stages=b0.stages) != b0 or len(architecture.stages) != len(b0.stages):
        return False
    return all(
        stage.op in ("mbconv", "separable")
        and (stage.stride, stage.channels) == (known.stride, known.channels)
        and all(getattr(stage, name) in values for name, values in CHOICES.items())
        and stage.layers <= most
        for stage, known, most in zip(architecture.stages, b0.stages, MOST_LAYERS, strict=True)
    )


def features(rows: list[tuple[str, ...]]) -> Iterator[str]:
    """The names of a network's features: each choice of each stage, and each pair of choices."""
    single = [f"{number}{choice}" for number, row in enumerate(rows, 1) for choice in row]
    yield from (*single, *map(" ".join, combinations(single, 2)))


def choices(expansion: int, kernel: int, layers: int, se_ratio: float) -> tuple[str, ...]:
    """A stage's choices as features name them."""
    return f"e{expansion}", f"k{kernel}", f"r{layers}", "se" if se_ratio else "no"


# A search asks for thousands of networks, each of which has one of 48 stages in each place.
@cache
def _of_stage(number: int, expansion: int, kernel: int, layers: int, se_ratio: float) -> tuple[str, ...]:
    return tuple(f"{number}{choice}" for choice in choices(expansion, kernel, layers, se_ratio))


@cache
def _alone(names: tuple[str, ...]) -> float:
    """The sum of the coefficients of a stage's choices and of their pairs."""
    return sum(load().coefficients.get(name, 0.0) for name in (*names, *map(" ".join, combinations(names, 2))))


@cache
def _together(one: tuple[str, ...], other: tuple[str, ...]) -> float:
    """The sum of the coefficients of all pairs of a choice of one stage and a choice of the other."""
    return sum(load().coefficients.get(name, 0.0) for name in map(" ".join, product(one, other)))

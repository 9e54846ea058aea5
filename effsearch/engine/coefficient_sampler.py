"""Samplers of alpha, beta and gamma that meet the constraint of compound scaling."""

import math
import random
from dataclasses import asdict
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, FloatDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial

from effsearch.architecture import Architecture
from effsearch.coefficient_grid import CoefficientGrid, solve_gamma
from effsearch.engine.space_sampler import SpaceExhausted
from effsearch.errors import QuantityError
from effsearch.runs.trial_store import CANDIDATE, FIXED
from effsearch.scaling import Coefficients, grow

ASKS, TRIES = 8, 400  # proposals of the inner sampler, then random ones, before no new network is taken to be left


def coefficient_distributions(grid: CoefficientGrid) -> dict[str, BaseDistribution]:
    """alpha, beta and gamma as Optuna's distributions, from 1.

    They reach above the target, since rounding to whole pixels may take a little more of gamma than the formula.
    """
    top = max(2.0, grid.target)
    limits = {"alpha": top, "beta": top**0.5, "gamma": top**0.5}
    return {name: FloatDistribution(1, 1.25 * most) for name, most in limits.items()}


class CoefficientSampler(BaseSampler):
    """TPE or NSGA-II ("evolution"), whose proposals are projected onto the constraint of a grid.

    Under `formula` the logarithms are scaled until alpha * beta^2 * gamma^2 is the target; under `flops` gamma is
    solved for. No network is proposed twice. Raises SpaceExhausted when none is left.
    """

    def __init__(
        self, method: str, baseline: Architecture, grid: CoefficientGrid, classes: int = 1000, seed: int | None = None
    ) -> None:
        self.baseline, self.grid, self.classes = baseline, grid, classes
        self.rng = random.Random(seed)
        self.inner: BaseSampler = (
            optuna.samplers.TPESampler(multivariate=True, n_startup_trials=8, seed=seed)
            if method == "tpe"
            else optuna.samplers.NSGAIISampler(population_size=8, seed=seed)
        )

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        self.inner.before_trial(study, trial)

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return coefficient_distributions(self.grid)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        if FIXED in trial.system_attrs:
            return {}
        others = [other for other in study.get_trials(deepcopy=False) if other.number != trial.number]
        known = {other.user_attrs[CANDIDATE]["key"] for other in others if CANDIDATE in other.user_attrs}
        for attempt in range(ASKS + TRIES):
            proposed = self.inner.sample_relative(study, trial, search_space) if attempt < ASKS else {}
            found = self._project(self._logs(proposed))
            if found is not None and found[1].key not in known:
                return asdict(found[0])
        raise SpaceExhausted(f"no further network was found on the constraint in {TRIES} proposals")

    def sample_independent(self, *args: Any, **kwargs: Any) -> float:
        return 1.0

    def _logs(self, proposed: dict[str, Any]) -> list[float]:
        """Logarithms of alpha, beta^2 and gamma^2, random where not proposed (NSGA-II leaves out what it mutates)."""
        # Exponential variables, scaled to one sum, are uniform on the simplex.
        whole = math.log(self.grid.target)
        return [
            power * math.log(proposed[name]) if name in proposed else -whole * math.log(1 - self.rng.random()) / 3
            for name, power in (("alpha", 1), ("beta", 2), ("gamma", 2))
        ]

    def _project(self, logs: list[float]) -> tuple[Coefficients, Architecture] | None:
        if (total := sum(logs)) <= 0:
            return None
        scale = math.log(self.grid.target) / total
        alpha, beta, gamma = (math.exp(value * scale / power) for value, power in zip(logs, (1, 2, 2), strict=True))
        if self.grid.constraint == "flops":
            return solve_gamma(self.baseline, alpha, beta, self.grid, self.classes)
        found = Coefficients(alpha, beta, gamma)
        try:
            return found, grow(self.baseline, found.at(self.grid.phi), self.grid.rounding)
        except QuantityError:
            return None

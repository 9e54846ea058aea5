"""What defines a search for coefficients, as a value."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any, Literal, get_args

from effsearch.architecture import Architecture, parse
from effsearch.candidates import Cell, CoefficientGrid, cells
from effsearch.cost import cost
from effsearch.errors import EffsearchError, QuantityError, RunError, listed
from effsearch.evaluation.proxy import Proxy
from effsearch.reward import Reward
from effsearch.scaling import Rounding
from effsearch.search.settings import differences, read_proxy

Method = Literal["grid", "halving", "tpe", "evolution"]
METHODS: tuple[Method, ...] = get_args(Method)


@dataclass(frozen=True)
class GridSettings:
    """Everything that gives a trial its meaning: a run is continued only under equal settings.

    `baseline` is a notation and `name` what it is called. With `grid` every network is trained under `repeats` seeds;
    with the other methods that is so for the best `finalists` and for the references. Raises QuantityError.
    """

    baseline: str
    name: str
    grid: CoefficientGrid
    data: str
    proxy: Proxy
    method: Method = "halving"
    repeats: int = 3
    finalists: int = 5
    exponent: float = -0.07
    classes: int = 1000
    seed: int = 0

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise QuantityError(f"--method must be one of {listed(METHODS)}, got {self.method!r}")
        if not 1 <= self.repeats <= 100:
            raise QuantityError(f"--repeats must be from 1 to 100, got {self.repeats}")
        if not 0 <= self.seed < 2**31:
            raise QuantityError(f"the seed must be a whole number from 0 to {2**31 - 1}, got {self.seed}")

    @cached_property
    def architecture(self) -> Architecture:
        """The baseline."""
        return parse(self.baseline)

    @property
    def target_flops(self) -> float:
        """T: target^phi times the baseline's FLOPs."""
        return float(self.grid.target**self.grid.phi * self.base_flops)

    @property
    def base_flops(self) -> int:
        """FLOPs of the baseline."""
        return cost(self.architecture, classes=self.classes).flops

    @property
    def score(self) -> Reward:
        """Accuracy at equal FLOPs, the reward that is maximised."""
        return Reward(self.target_flops, "soft", self.exponent)

    @property
    def seeds(self) -> range:
        """The training seeds, the same for all networks."""
        return range(self.seed, self.seed + self.repeats)

    @property
    def rungs(self) -> tuple[int, ...]:
        """The epochs at which halving looks: a quarter, a half and all of them."""
        epochs = self.proxy.epochs
        return tuple(sorted({max(1, epochs // 4), max(1, epochs // 2), epochs}))

    def cells(self) -> list[Cell]:
        """The networks of the grid, or with a sampler only the references."""
        found = cells(self.architecture, self.grid, self.classes)
        if self.method in ("grid", "halving"):
            return found
        # The paper's coefficients may lie on the grid, which is not searched here; they are a reference all the same.
        return [replace(cell, role="reference") for cell in found if cell.name]

    def to_dict(self) -> dict[str, Any]:
        """For run.toml; the reward and what it aims at stand there too, for whoever reads it."""
        about = {"target": self.target_flops, "reward": "soft", "resolution": self.architecture.resolution}
        return asdict(self) | about

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "GridSettings":
        """Reads what `to_dict` wrote; raises RunError for anything else."""
        try:
            known = {name: value for name, value in values.items() if name in cls.__dataclass_fields__}
            grid = dict(known["grid"])
            grid["rounding"] = Rounding(**grid["rounding"])
            return cls(**{**known, "grid": CoefficientGrid(**grid), "proxy": read_proxy(known["proxy"])})
        except (KeyError, TypeError, ValueError, EffsearchError) as error:
            raise RunError(f"the settings in run.toml cannot be read: {error}") from None

    def differences(self, other: "GridSettings") -> list[str]:
        """What differs, as 'name is A, not B'."""
        return differences(self.to_dict(), other.to_dict())

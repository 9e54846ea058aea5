"""What a search maximises: accuracy against what a network costs."""

from dataclasses import dataclass
from typing import Literal, Protocol, get_args

from effsearch.errors import QuantityError, listed
from effsearch.text import format_count, format_latency

Kind = Literal["soft", "hard", "absolute"]
KINDS: tuple[Kind, ...] = get_args(Kind)

# What a network costs: FLOPs (multiply-adds), parameters, or seconds from a batch to its logits.
Measure = Literal["flops", "params", "latency"]
SYMBOLS: dict[Measure, str] = {"flops": "F", "params": "P", "latency": "LAT"}
RATIOS: dict[Measure, str] = {measure: f"{symbol}/T" for measure, symbol in SYMBOLS.items()}  # cost over target
MEASURE_NAMES: dict[Measure, str] = {"flops": "FLOPs", "params": "parameters", "latency": "latency"}


class Costed(Protocol):
    """A network with its cost in each measure; a latency of None was not measured."""

    @property
    def flops(self) -> float: ...

    @property
    def params(self) -> float: ...

    @property
    def latency(self) -> float | None: ...


def format_cost(value: float, measure: Measure) -> str:
    """A cost with its unit: 385.8M FLOPs, 5.289M parameters, 20.3 ms."""
    if measure == "latency":
        return format_latency(value)
    return f"{format_count(value)} {MEASURE_NAMES[measure]}"


@dataclass(frozen=True, slots=True)
class Reward:
    """Accuracy (a fraction) and cost F weighed against a target T, both in FLOPs or another `measure`.

    soft: ACC x (F/T)^w, with w = `exponent` = -0.07 (1905.11946, section 4);
    hard: ACC x (F/T)^w with w = 0 up to T and -1 above it (1807.11626, section 3);
    absolute: ACC + beta |F/T - 1|, with beta = `exponent` (2008.06120, section 3).
    Raises QuantityError for a target, an exponent or a measure out of range.
    """

    target: float
    kind: Kind = "soft"
    exponent: float = -0.07
    measure: Measure = "flops"

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise QuantityError(f"reward must be one of {listed(KINDS)}, got {self.kind!r}")
        if self.measure not in SYMBOLS:
            raise QuantityError(f"the measure of a target must be one of {listed(SYMBOLS)}, got {self.measure!r}")
        if not 0 < self.target < float("inf"):
            raise QuantityError(f"the target must be above 0, got {self.target!r}")
        if not -100 <= self.exponent < 0:
            raise QuantityError(f"the exponent must be from -100 to below 0 such as -0.07, got {self.exponent!r}")

    def __call__(self, accuracy: float, cost: float) -> float:
        ratio = cost / self.target
        if self.kind == "soft":
            return float(accuracy * ratio**self.exponent)
        if self.kind == "hard":
            return accuracy if ratio <= 1 else accuracy / ratio
        return accuracy + self.exponent * abs(ratio - 1)

    def of(self, accuracy: float, network: Costed) -> float:
        return self(accuracy, self.cost(network))

    def cost(self, network: Costed) -> float:
        """The cost of a network in the measure of the target; raises QuantityError where there is none above 0."""
        found: float | None = getattr(network, self.measure)
        if found is None or not found > 0:
            known = "not known" if found is None else f"{found!r:.40}"
            raise QuantityError(f"the {self.measure} of a network is {known}, so it has no reward")
        return found

    def within(self, window: tuple[float, float] | None, cost: float) -> bool:
        """Whether a cost is within a window of factors of the target; every cost is within None."""
        return window is None or window[0] <= cost / self.target <= window[1]

    def weights(self, cost: float) -> tuple[float, float]:
        """Slope and intercept of the reward at a cost, as a linear function of accuracy."""
        if self.kind == "absolute":
            return 1.0, self(0.0, cost)
        return self(1.0, cost), 0.0

    def span(self, window: tuple[float, float] | None) -> str:
        """The costs of a window of factors of the target, with their unit."""
        if window is None:
            return f"any {MEASURE_NAMES[self.measure]}"
        low, high = (format_cost(factor * self.target, self.measure) for factor in window)
        return f"{low.removesuffix(' ' + high.partition(' ')[2])} to {high}"

    @property
    def aim(self) -> str:
        """The target with its unit."""
        return format_cost(self.target, self.measure)

    @property
    def formula(self) -> str:
        """The reward as a table names it, for accuracies as fractions."""
        ratio = RATIOS[self.measure]
        return {
            "soft": f"ACC x ({ratio})^{self.exponent:g}",
            "hard": f"ACC up to T, ACC x T/{SYMBOLS[self.measure]} above",
            "absolute": f"ACC {self.exponent:+g} x |{ratio} - 1|",
        }[self.kind]

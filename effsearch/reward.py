"""What a search maximises: accuracy against compute."""

from dataclasses import dataclass
from typing import Literal, get_args

from effsearch.errors import QuantityError, listed

Kind = Literal["soft", "hard", "absolute"]
KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True, slots=True)
class Reward:
    """Accuracy (a fraction) and FLOPs weighed against a target T.

    soft: ACC x (F/T)^w, with w = `exponent` = -0.07 (1905.11946, section 4);
    hard: ACC x (F/T)^w with w = 0 up to T and -1 above it (1807.11626, section 3);
    absolute: ACC + beta |F/T - 1|, with beta = `exponent` (2008.06120, section 3).
    Raises QuantityError for a target or an exponent out of range.
    """

    target: float
    kind: Kind = "soft"
    exponent: float = -0.07

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise QuantityError(f"reward must be one of {listed(KINDS)}, got {self.kind!r}")
        if not 0 < self.target < float("inf"):
            raise QuantityError(f"the target must be above 0, got {self.target!r}")
        if not -100 <= self.exponent < 0:
            raise QuantityError(f"the exponent must be from -100 to below 0 such as -0.07, got {self.exponent!r}")

    def __call__(self, accuracy: float, flops: float) -> float:
        ratio = flops / self.target
        if self.kind == "soft":
            return float(accuracy * ratio**self.exponent)
        if self.kind == "hard":
            return accuracy if ratio <= 1 else accuracy / ratio
        return accuracy + self.exponent * abs(ratio - 1)

    def within(self, window: tuple[float, float] | None, flops: float) -> bool:
        """Whether FLOPs are within a window of factors of the target; None holds all."""
        return window is None or window[0] <= flops / self.target <= window[1]

    def weights(self, flops: float) -> tuple[float, float]:
        """The reward is linear in accuracy at any FLOPs: its slope, and what is added."""
        if self.kind == "absolute":
            return 1.0, self(0.0, flops)
        return self(1.0, flops), 0.0

    @property
    def formula(self) -> str:
        """The reward as a table names it, for accuracies as fractions."""
        return {
            "soft": f"ACC x (F/T)^{self.exponent:g}",
            "hard": "ACC up to T, ACC x T/F above",
            "absolute": f"ACC {self.exponent:+g} x |F/T - 1|",
        }[self.kind]

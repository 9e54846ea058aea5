"""What defines an architecture search, as values."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

from effsearch.conditions import LatencyConditions
from effsearch.data.augmentation import Augmentation
from effsearch.errors import QuantityError, RunError, listed
from effsearch.evaluation.proxy import Proxy
from effsearch.reward import NAMES, Costed, Kind, Measure, Reward, format_cost
from effsearch.runs.forms import check_fields
from effsearch.training.recipe import Recipe

EVALUATORS = ("training", "prior")


@dataclass(frozen=True)
class NasSettings:
    """Everything that gives a trial its meaning: a run is continued only under equal settings.

    `target` is in the units of `measure`: FLOPs and parameters at `resolution` px and `classes` classes, or
    seconds; the window is of factors of it, or None. No network may cost more than `max_flops`, `max_params` or
    `max_latency` (seconds); where latency counts, `latency` says how it is measured. The best `finalists` and the
    baseline are trained under `repeats` seeds in all. With `rungs` (epochs, the last of them the proxy's) only the
    best go on from one to the next. With the evaluator `prior` nothing is trained: accuracies are predicted.
    `prior` lets the auto sampler begin from such predictions. `start` are notations that are trained first. Raises
    QuantityError.
    """

    space: str
    target: float
    resolution: int
    data: str
    proxy: Proxy
    classes: int = 1000
    reward: Kind = "soft"
    exponent: float = -0.07
    window: tuple[float, float] | None = (0.5, 1.25)
    sampler: str = "auto"
    seed: int = 0
    warm_start: bool = True
    finalists: int = 3
    repeats: int = 3
    evaluator: str = "training"
    rungs: tuple[int, ...] = ()
    start: tuple[str, ...] = ()
    measure: Measure = "flops"
    max_flops: float | None = None
    max_params: float | None = None
    max_latency: float | None = None
    latency: LatencyConditions | None = None
    prior: bool = False

    def __post_init__(self) -> None:
        if self.evaluator not in EVALUATORS:
            raise QuantityError(f"--evaluator must be one of {listed(EVALUATORS)}, got {self.evaluator!r}")
        if self.prior and (self.evaluator, self.sampler) != ("training", "auto"):
            got = f"sampler {self.sampler}" if self.sampler != "auto" else f"evaluator {self.evaluator}"
            raise QuantityError(f"--prior is what the auto sampler learns trainings from, got {got}")
        if not 0 <= self.seed < 2**31:
            raise QuantityError(f"the seed must be a whole number from 0 to {2**31 - 1}, got {self.seed}")
        if self.classes < 2:
            raise QuantityError(f"classes must be at least 2, got {self.classes}")
        if self.rungs:
            check_rungs(self.rungs)
            if self.rungs[-1] != self.proxy.epochs:
                raise QuantityError(f"--rungs must end with the epochs, {self.proxy.epochs}, got {self.rungs[-1]}")
        self.score  # noqa: B018 - checks target and exponent

    @property
    def score(self) -> Reward:
        """The reward that is maximised."""
        return Reward(self.target, self.reward, self.exponent, self.measure)

    @property
    def limits(self) -> dict[Measure, float]:
        """What no network may exceed, of the measures that have a limit."""
        return {measure: limit for measure in NAMES if (limit := getattr(self, f"max_{measure}")) is not None}

    @property
    def allowance(self) -> str:
        """What a network may cost, in words."""
        limits = [f"at most {format_cost(limit, measure)}" for measure, limit in self.limits.items()]
        return ", ".join([self.score.span(self.window), *limits])

    @property
    def timed(self) -> bool:
        """Whether latency counts."""
        return self.measure == "latency" or self.max_latency is not None

    def allows(self, network: Costed) -> bool:
        """Whether a network costs no more and no less than it may; what is not known is allowed."""
        costs = {measure: getattr(network, measure) for measure in (self.measure, *self.limits)}
        if costs[self.measure] is not None and not self.score.within(self.window, costs[self.measure]):
            return False
        return all(costs[measure] is None or costs[measure] <= limit for measure, limit in self.limits.items())

    def to_dict(self) -> dict[str, Any]:
        """For run.toml: no None, tuples as lists."""
        window = "none" if self.window is None else list(self.window)
        values = asdict(self) | {"window": window, "rungs": list(self.rungs), "start": list(self.start)}
        return {name: value for name, value in values.items() if value is not None}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "NasSettings":
        """Reads what `to_dict` wrote; raises RunError for anything else."""
        try:
            window = None if values["window"] == "none" else tuple(values["window"])
            lists = {name: tuple(values.get(name, ())) for name in ("rungs", "start")}
            latency = LatencyConditions(**values["latency"]) if "latency" in values else None
            read = {"proxy": read_proxy(values["proxy"]), "window": window, "latency": latency}
            made = cls(**{**values, **lists, **read})
            check_fields(made)
            return made
        except (KeyError, TypeError, ValueError) as error:
            raise RunError(f"the settings in run.toml cannot be read: {error}") from None

    def differences(self, other: "NasSettings") -> list[str]:
        """What differs, as 'name is A, not B'."""
        return differences(self.to_dict(), other.to_dict())


@dataclass(frozen=True)
class Limits:
    """How much and how fast: `trials` finished architectures, `seconds` of this call (None: no limit)."""

    trials: int
    seconds: float | None = None


def check_rungs(rungs: tuple[int, ...]) -> None:
    """Raises QuantityError unless rungs are at least two numbers of epochs that rise."""
    rising = all(low < high for low, high in pairwise(rungs))
    if len(rungs) < 2 or not rising or rungs[0] < 1:
        shown = ",".join(map(str, rungs))
        raise QuantityError(f"--rungs must be at least two numbers of epochs that rise, such as 1,3,9, got {shown}")


def read_proxy(values: Mapping[str, Any]) -> Proxy:
    """A proxy from its dict form; raises KeyError, TypeError or ValueError for anything else."""
    return Proxy(**{**values, "recipe": read_recipe_dict(values["recipe"])})


def read_recipe_dict(values: Mapping[str, Any]) -> Recipe:
    """A recipe from its dict form; raises KeyError, TypeError or ValueError for anything else."""
    # What is None (the dropout that follows from the size) cannot be written and is left out.
    unset = {"dropout": None} if "dropout" not in values else {}
    values = {"bn_momentum" if name == "norm_momentum" else name: value for name, value in values.items()}
    return Recipe(**{**values, **unset, "augmentation": Augmentation(**values["augmentation"])})


def differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """What differs between two dict forms, as 'name is A, not B'."""
    mine, theirs = _flat(one), _flat(other)
    names = [name for name in {**mine, **theirs} if mine.get(name) != theirs.get(name)]
    return [f"{name} is {mine.get(name, 'not set')}, not {theirs.get(name, 'unset')}" for name in names]


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in values.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {prefix + name: value}
    return flat

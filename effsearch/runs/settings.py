"""The settings of each kind of run; a run continues only with equal ones. Values out of range raise QuantityError."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain, pairwise
from typing import Any, Literal, get_args

from effsearch.architecture import RESOLUTIONS, Architecture, parse
from effsearch.benchmark_table import Entry
from effsearch.coefficient_grid import Cell, CoefficientGrid, cells
from effsearch.costs import cost
from effsearch.errors import EffsearchError, QuantityError, RunError, listed
from effsearch.evaluation.proxy import Proxy
from effsearch.limits import SEEDS, check_options, check_range
from effsearch.reward import MEASURE_NAMES, Costed, Kind as RewardKind, Measure, Reward, format_cost
from effsearch.runs.schema import convert, to_plain
from effsearch.runs.transfer_settings import TransferSettings
from effsearch.scaling import AS_PUBLISHED, AXES, POINTS, Curve, Multipliers, axis_curves, grow, width_curves
from effsearch.training.recipe import Recipe

DEVICES = ("cpu", "cuda")
WINDOW = (0.9, 1.1)  # factors of the target that the cost of a network may have by default; B0 has 0.96 of 400M
EVALUATORS = ("training", "prior")  # of the command line; from Python a run may also have "function"
Method = Literal["surface", "halving", "grid", "tpe", "evolution"]  # how `effsearch grid` searches
METHODS: tuple[Method, ...] = get_args(Method)
SAMPLED: tuple[Method, ...] = ("tpe", "evolution")  # those that propose networks which are not known beforehand


@dataclass(frozen=True)
class LatencyConditions:
    """How latency is measured: in batches of `batch` images, on the GPU called `name` or with `threads` CPU threads."""

    device: str = "cpu"
    name: str = ""
    batch: int = 1
    threads: int = 1

    def __post_init__(self) -> None:
        check_conditions(self.device, self.batch, self.threads, "--latency-")


def check_conditions(device: str, batch: int, threads: int, option: str) -> None:
    """Raises QuantityError for conditions out of range; `option` is the prefix of their options, such as --latency-."""
    if device not in DEVICES:
        raise QuantityError(f"{option}device must be one of {listed(DEVICES)}, got {device!r}")
    check_range(f"{option}batch", batch, 1, 4096)
    check_range(f"{option}threads", threads, 1, 256)


@dataclass(frozen=True)
class NasSettings:
    """An architecture search.

    `target` is in the units of `measure`: FLOPs or parameters at `resolution` px and `classes` classes, or seconds of
    latency. Only networks whose cost is within `window` (factors of the target; None: any) and at most `max_flops`,
    `max_params` and `max_latency` (seconds) are trained. The best `finalists` and the baseline are trained under
    `repeats` seeds. `rungs` are the epochs of successive halving. The `evaluator` is `training`, `prior` (predicts) or
    `function` (the caller's). With `prior` the auto sampler starts from predictions. `start` are trained first.
    """

    space: str
    target: float
    resolution: int
    data: str
    proxy: Proxy
    classes: int = 1000
    reward: RewardKind = "soft"
    exponent: float = -0.07
    window: tuple[float, float] | None = WINDOW
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
        if self.evaluator not in (*EVALUATORS, "function"):
            raise QuantityError(f"--evaluator must be one of {listed(EVALUATORS)}, got {self.evaluator!r}")
        if self.prior and (self.evaluator, self.sampler) != ("training", "auto"):
            got = f"sampler {self.sampler}" if self.sampler != "auto" else f"evaluator {self.evaluator}"
            raise QuantityError(f"--prior is what the auto sampler learns trainings from, got {got}")
        check_range("--seed", self.seed, *SEEDS)
        if self.classes < 2:
            raise QuantityError(f"classes must be at least 2, got {self.classes}")
        rungs, shown = self.rungs, ",".join(map(str, self.rungs))
        if rungs and (len(rungs) < 2 or rungs[0] < 1 or any(low >= high for low, high in pairwise(rungs))):
            raise QuantityError(f"--rungs must be at least two numbers of epochs that rise, such as 1,3,9, got {shown}")
        if rungs and rungs[-1] != self.proxy.epochs:
            raise QuantityError(f"--rungs must end with the epochs, {self.proxy.epochs}, got {rungs[-1]}")
        self.score  # noqa: B018 - checks target and exponent

    @property
    def score(self) -> Reward:
        return Reward(self.target, self.reward, self.exponent, self.measure)

    @property
    def limits(self) -> dict[Measure, float]:
        """The largest cost allowed, by measure, where there is a limit."""
        return {measure: limit for measure in MEASURE_NAMES if (limit := getattr(self, f"max_{measure}")) is not None}

    @property
    def constraints(self) -> str:
        """The window and the limits, in words."""
        limits = [f"at most {format_cost(limit, measure)}" for measure, limit in self.limits.items()]
        return ", ".join([self.score.span(self.window), *limits])

    @property
    def timed(self) -> bool:
        """Whether the search needs latencies."""
        return self.measure == "latency" or self.max_latency is not None

    def allows(self, network: Costed) -> bool:
        """Whether the known costs of a network are within the window and the limits; a latency may not be known yet."""
        costs = {measure: getattr(network, measure) for measure in (self.measure, *self.limits)}
        if costs[self.measure] is not None and not self.score.within(self.window, costs[self.measure]):
            return False
        return all(costs[measure] is None or costs[measure] <= limit for measure, limit in self.limits.items())


class _BaselineSettings:
    """What `GridSettings` and `CurvesSettings` share: a `baseline` to scale up, a notation that tables call `name`."""

    baseline: str
    classes: int
    repeats: int
    seed: int

    def __post_init__(self) -> None:
        check_range("--repeats", self.repeats, 1, 100)
        check_range("--seed", self.seed, *SEEDS)
        self.architecture  # noqa: B018 - checks it

    @cached_property
    def architecture(self) -> Architecture:
        return parse(self.baseline)

    @property
    def resolution(self) -> int:
        """The px of the baseline, at which a proxy has its own px."""
        return self.architecture.resolution

    @property
    def base_flops(self) -> int:
        return cost(self.architecture, classes=self.classes).flops

    @property
    def seeds(self) -> range:
        return range(self.seed, self.seed + self.repeats)


@dataclass(frozen=True)
class GridSettings(_BaselineSettings):
    """A search for alpha, beta and gamma.

    With the `method` grid all networks are trained under `repeats` seeds; with surface the baseline, the paper's and
    the best, and others as often as they tell where the optimum is; else the best `finalists` and the references.
    """

    baseline: str
    name: str
    grid: CoefficientGrid
    data: str
    proxy: Proxy
    method: Method = "surface"
    repeats: int = 3
    finalists: int = 5
    exponent: float = -0.07
    classes: int = 1000
    seed: int = 0

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise QuantityError(f"--method must be one of {listed(METHODS)}, got {self.method!r}")
        super().__post_init__()

    @property
    def score(self) -> Reward:
        """Its T is the baseline's FLOPs times the grid's target^phi (2^phi by default)."""
        return Reward(float(self.grid.target**self.grid.phi * self.base_flops), "soft", self.exponent)

    @property
    def rungs(self) -> tuple[int, ...]:
        """The epochs after which halving drops networks (a quarter and a half of all), and all epochs."""
        epochs = self.proxy.epochs
        return tuple(sorted({max(1, epochs // 4), max(1, epochs // 2), epochs}))

    def cells(self) -> list[Cell]:
        """The networks of the grid and the references; for TPE and evolution, which propose others, the references."""
        found = cells(self.architecture, self.grid, self.classes)
        if self.method not in SAMPLED:
            return found
        # A reference that lies on the grid, as the paper's coefficients may, is a candidate there, but not here.
        return [replace(cell, role="reference") for cell in found if cell.name]


@dataclass(frozen=True)
class CurvesSettings(_BaselineSettings):
    """Scaling each of `axes` alone by `points`, factors of FLOPs; with `under` also width at other depths and px."""

    baseline: str
    name: str
    data: str
    proxy: Proxy
    axes: tuple[str, ...] = AXES
    under: bool = True
    points: tuple[float, ...] = POINTS
    repeats: int = 2
    exponent: float = -0.07
    classes: int = 1000
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        self.curves  # noqa: B018 - checks axes and points

    @property
    def curves(self) -> list[Curve]:
        return axis_curves(self.axes, self.points) + (width_curves(self.points) if self.under else [])

    @property
    def score(self) -> Reward:
        return Reward(self.base_flops, "soft", self.exponent)

    def networks(self) -> dict[str, tuple[Architecture, Multipliers]]:
        """The distinct networks of all curves with their multipliers, by key."""
        found: dict[str, tuple[Architecture, Multipliers]] = {}
        for multipliers in chain.from_iterable(curve.points for curve in self.curves):
            network = grow(self.architecture, multipliers, AS_PUBLISHED)
            found.setdefault(network.key, (network, multipliers))
        return found


@dataclass(frozen=True)
class TableSettings:
    """A search of a benchmark `table`, whose rows have the hash `digest`; other fields are as in `NasSettings`.

    With `pool` only its rows are searched; else all combinations are, with predicted accuracies of missing rows.
    """

    table: str
    digest: str
    target: float
    pool: bool = False
    reward: RewardKind = "soft"
    exponent: float = -0.07
    window: tuple[float, float] | None = WINDOW
    sampler: str = "auto"
    seed: int = 0
    measure: Measure = "flops"

    def __post_init__(self) -> None:
        check_range("--seed", self.seed, *SEEDS)
        if self.measure == "latency":
            raise QuantityError("a table holds no latency to aim at: use --target-flops or --target-params")
        self.score  # noqa: B018 - checks target and exponent

    @property
    def score(self) -> Reward:
        return Reward(self.target, self.reward, self.exponent, self.measure)

    def feasible(self, entry: Entry) -> bool:
        return self.score.within(self.window, self.cost(entry))

    def cost(self, entry: Entry) -> float:
        return entry.params if self.measure == "params" else entry.flops


@dataclass(frozen=True)
class TrainSettings:
    """The full training of one network; `weights` is imagenet or the hash of a file that it starts from, or empty.

    With `partial` it takes those of them that fit; with `patience` the training ends that many epochs after the best.
    """

    notation: str
    name: str
    data: str
    resolution: int
    epochs: int
    recipe: Recipe
    seed: int = 0
    weights: str = ""
    partial: bool = False
    patience: int | None = None

    def __post_init__(self) -> None:
        check_range("--resolution", self.resolution, 8, 2048)
        check_options(patience=(self.patience, 1, 100_000))
        check_range("--epochs", self.epochs, 1, 100_000)
        check_range("--seed", self.seed, *SEEDS)
        self.architecture  # noqa: B018 - checks it

    @cached_property
    def architecture(self) -> Architecture:
        """The network at the resolution it is trained at."""
        return replace(parse(self.notation), resolution=self.resolution)


@dataclass(frozen=True)
class VerifiedNetwork:
    """A network that is verified: its role, and its accuracy (a fraction) in the run, if it was trained to the end."""

    notation: str
    role: str
    accuracy: float | None = None

    def __post_init__(self) -> None:
        if self.accuracy is not None and not 0 <= self.accuracy <= 1:
            raise QuantityError(f"an accuracy must be from 0 to 1, got {self.accuracy!r}")
        self.architecture  # noqa: B018 - checks it

    @cached_property
    def architecture(self) -> Architecture:
        return parse(self.notation)


@dataclass(frozen=True)
class VerifySettings:
    """Long trainings of the first `top` networks of a run, and of those that they are compared with, as in `against`.

    The proxy's px are those of a network of `resolution` px, and in proportion those of others. `run_epochs` of
    `run_images` (0: unknown) are those of the run's own proxy. Trainings are under `seed` and the seeds after it, none
    of which the run used. `split` (validation or test) has the images that accuracy is on.
    """

    run: str
    networks: tuple[VerifiedNetwork, ...]
    data: str
    proxy: Proxy
    resolution: int
    run_epochs: int
    top: int = 1
    against: tuple[str, ...] = ()
    classes: int = 1000
    seed: int = 0
    split: str = "validation"
    run_images: int = 0

    def __post_init__(self) -> None:
        if self.split not in ("validation", "test"):
            raise QuantityError(f"the split must be validation or test, got {self.split!r:.80}")
        check_range("--top", self.top, 1, 1000)
        check_range("--seed", self.seed, *SEEDS)
        check_range("the resolution of a run", self.resolution, *RESOLUTIONS)
        if self.classes < 2:
            raise QuantityError(f"classes must be at least 2, got {self.classes}")
        if len({network.architecture.key for network in self.networks}) < max(2, len(self.networks)):
            raise QuantityError("it takes two networks at least to verify one, all of them different")

    @property
    def score(self) -> Reward:
        """Accuracy alone: no network costs more than its T."""
        return Reward(max(cost(each.architecture, classes=self.classes).flops for each in self.networks), "hard")

    @property
    def names(self) -> list[str]:
        """What tables call the networks, in their order: the role, with a number where several have it."""
        roles = [network.role for network in self.networks]
        numbered = enumerate(roles, 1)
        return [f"{role} {roles[:at].count(role)}" if roles.count(role) > 1 else role for at, role in numbered]


Settings = (
    NasSettings | TableSettings | GridSettings | CurvesSettings | TrainSettings | VerifySettings | TransferSettings
)
SETTINGS_TYPES: dict[str, type[Settings]] = {
    "nas": NasSettings,
    "grid": GridSettings,
    "curves": CurvesSettings,
    "train": TrainSettings,
    "verify": VerifySettings,
    "transfer": TransferSettings,
}
"""By kind of run, which is the command that makes it; `nas --table` has TableSettings instead."""


def to_document(settings: Settings) -> dict[str, Any]:
    """The table `settings` of run.toml. A window of None is written as "none": without a value the default applies."""
    no_window = {"window": "none"} if getattr(settings, "window", ()) is None else {}
    return to_plain(settings) | no_window  # type: ignore[no-any-return]


def from_document(kind: str, values: Mapping[str, Any]) -> Settings:
    """Reads what `to_document` wrote, here or in version 0.1; raises RunError for anything else."""
    if kind not in SETTINGS_TYPES:
        raise RunError(f"its kind must be one of {listed(SETTINGS_TYPES)}, got {kind!r:.40}")
    settings: type[Settings] = TableSettings if "table" in values and kind == "nas" else SETTINGS_TYPES[kind]
    read = _complete_recipe(values)
    if read.get("window") == "none":
        read["window"] = None
    if isinstance(read.get("proxy"), dict):
        read["proxy"] = _complete_recipe(read["proxy"])
    try:
        return convert(read, settings)
    except (ValueError, EffsearchError) as error:
        raise RunError(f"its settings cannot be read: {error}") from None


def _complete_recipe(values: Mapping[str, Any]) -> dict[str, Any]:
    """A copy whose recipe, if any, has a dropout (TOML cannot hold None) and today's name of 0.1's norm_momentum."""
    if not isinstance(values.get("recipe"), dict):
        return dict(values)
    recipe = {"dropout": None, **values["recipe"]}
    if "norm_momentum" in recipe:
        recipe["bn_momentum"] = recipe.pop("norm_momentum")
    return {**values, "recipe": recipe}

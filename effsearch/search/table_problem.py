"""The search of a benchmark table, as a problem for the driver: accuracies are looked up, not trained."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from optuna.distributions import BaseDistribution

from effsearch.benchmark_table import Entry, Table
from effsearch.errors import QuantityError, RunError
from effsearch.evaluation import Evaluation
from effsearch.executors.local import Executor
from effsearch.reward import Kind, Measure, Reward
from effsearch.runs.folder import Run
from effsearch.runs.records import PREDICTED, Candidate, Record
from effsearch.runs.settings import Limits, differences
from effsearch.search.driver import Status, drive, proposal_seed
from effsearch.search.samplers import Known, Memory, SpaceSampler, distributions, make_sampler
from effsearch.search.steps import Clock, Done, Outlook, Propose, Step, Wait


@dataclass(frozen=True)
class TableSettings:
    """Everything that gives a trial on a table its meaning.

    `table` is its name and `digest` that of its rows; with `pool` only they are searched, else what is missing is
    predicted. FLOPs and parameters are the table's; the target is of either, by `measure`; `window` are factors of it,
    or None. Raises QuantityError.
    """

    table: str
    digest: str
    target: float
    pool: bool = False
    reward: Kind = "soft"
    exponent: float = -0.07
    window: tuple[float, float] | None = (0.5, 1.25)
    sampler: str = "auto"
    seed: int = 0
    measure: Measure = "flops"

    def __post_init__(self) -> None:
        if not 0 <= self.seed < 2**31:
            raise QuantityError(f"the seed must be a whole number from 0 to {2**31 - 1}, got {self.seed}")
        if self.measure == "latency":
            raise QuantityError("a table holds no latency to aim at: use --target-flops or --target-params")
        self.score  # noqa: B018 - checks target and exponent

    @property
    def score(self) -> Reward:
        """The reward that is maximised."""
        return Reward(self.target, self.reward, self.exponent, self.measure)

    def feasible(self, entry: Entry) -> bool:
        """Whether a network's cost is within the window."""
        return self.score.within(self.window, self.cost(entry))

    def cost(self, entry: Entry) -> float:
        """What the reward weighs."""
        return entry.params if self.measure == "params" else entry.flops

    def to_dict(self) -> dict[str, Any]:
        """For run.toml: no None, tuples as lists."""
        return asdict(self) | {"window": "none" if self.window is None else list(self.window)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "TableSettings":
        """Reads what `to_dict` wrote; raises RunError for anything else."""
        try:
            window = None if values["window"] == "none" else tuple(values["window"])
            return cls(**{**values, "window": window})
        except (KeyError, TypeError, ValueError) as error:
            raise RunError(f"the settings in run.toml cannot be read: {error}") from None

    def differences(self, other: "TableSettings") -> list[str]:
        """What differs, as 'name is A, not B'."""
        return differences(self.to_dict(), other.to_dict())


def look_up(entry: Entry, seed: int) -> Evaluation:
    """What a table says of a network: its accuracy after no epoch of training."""
    return Evaluation(entry.accuracy, epochs=0, seconds=0.0)


def search_table(
    run: Run, table: Table, settings: TableSettings, limits: Limits, executor: Executor, stopping: Any = lambda: False
) -> Iterator[Status]:
    """Searches a table; see `driver.drive`."""
    problem = TableProblem(table, settings, limits.trials)
    return drive(run, problem, look_up, executor, limits.seconds, stopping, table.parse)


@dataclass
class TableProblem:
    """What the sampler proposes, until `trials` are looked up."""

    table: Table
    settings: TableSettings
    trials: int
    memory: Memory = field(default_factory=Memory)

    def __post_init__(self) -> None:
        self.distributions: Mapping[str, BaseDistribution] = distributions(self.table)

    @property
    def score(self) -> Reward:
        return self.settings.score

    @property
    def proposer(self) -> str:
        return self.settings.sampler

    def first(self) -> Iterable[Candidate]:
        return ()

    def sampler(self, proposals: int) -> SpaceSampler:
        settings = self.settings
        seed, known = proposal_seed(settings.seed, proposals), Known(settings.score, settings.cost)
        return make_sampler(settings.sampler, self.table, settings.feasible, seed, self.memory, known)

    def next_step(self, records: Sequence[Record], clock: Clock) -> Step:
        done = sum(record.state in ("complete", "running", "queued") for record in records)
        if done < self.trials or any(record.state == "queued" for record in records):
            return Propose()
        return Wait() if clock.pending else Done()

    def params(self, candidate: Candidate) -> dict[str, Any]:
        return dict(self.table.encode(candidate.notation))

    def candidate(self, params: Mapping[str, Any]) -> Candidate:
        entry, settings = self.table.decode(dict(params)), self.settings
        source = settings.sampler + (PREDICTED if entry.predicted else "")
        flops, params_ = round(entry.flops), round(entry.params)
        return Candidate(entry.key, entry.notation, flops, params_, settings.seed, source)

    def outlook(self, records: Sequence[Record], workers: int) -> Outlook:
        finished = sum(record.state == "complete" for record in records)
        return Outlook(f"{finished}/{self.trials} networks", None)

"""What run.toml says of a run: how it was made, its settings, its limits, its images or table, and its storage."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from effsearch.benchmark_table import Quality
from effsearch.errors import EffsearchError, RunError
from effsearch.reward import Reward
from effsearch.runs.schema import convert, to_plain
from effsearch.runs.settings import Settings, TableSettings, TrainSettings, from_document, to_document

Device = Literal["", "cpu", "cuda"]


@dataclass(frozen=True)
class About:
    """How a run was made, with empty strings for what is not known."""

    kind: str = ""
    created: str = ""
    command: str = ""
    python: str = ""
    platform: str = ""
    device: str = ""  # names of the processors
    trained_on: Device = ""
    precision: str = ""  # in which trainings compute
    versions: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Limits:
    """How much and how fast: `trials` finished architectures, `seconds` of this call (None: no limit).

    With the method surface of a grid `trials` are trainings, those at its end included. `seeds` are those of each
    network that is verified.
    """

    trials: int = 0
    seconds: float | None = None
    seeds: int = 0


@dataclass(frozen=True)
class Data:
    """An image set, of which a proxy uses `train` and `validation` images, or a table of `rows` of all `combinations`.

    Other rows are `predicted`; `accuracy_std` is the median deviation between trainings of one network (a fraction).
    """

    name: str = ""
    source: str = ""
    digest: str = ""
    synthetic: bool = False
    classes: tuple[str, ...] = ()
    counts: dict[str, int] = field(default_factory=dict)
    train: int = 0
    validation: int = 0
    rows: int = 0
    combinations: int = 0
    predicted: tuple[Quality, ...] = ()
    accuracy_std: float | None = None


@dataclass(frozen=True)
class Database:
    """The database that holds the trials of a run in place of its journal: its URL without the password, the study."""

    url: str
    study: str


@dataclass(frozen=True)
class Manifest:
    """The contents of run.toml."""

    run: About
    settings: Settings
    data: Data
    limits: Limits = field(default_factory=Limits)
    storage: Database | None = None

    @property
    def score(self) -> Reward:
        """The reward that a search maximises; raises RunError for a run that is one training."""
        if isinstance(self.settings, TrainSettings):
            raise RunError("a run of effsearch train maximises no reward")
        return self.settings.score

    @property
    def on_table(self) -> bool:
        return isinstance(self.settings, TableSettings)

    @property
    def trains(self) -> bool:
        """Whether networks are trained, rather than looked up, predicted, or given by a function."""
        return not self.on_table and getattr(self.settings, "evaluator", "training") == "training"

    @property
    def by_function(self) -> bool:
        """Whether a function of the caller gives accuracies."""
        return getattr(self.settings, "evaluator", "") == "function"

    def to_document(self) -> dict[str, Any]:
        """The tables of run.toml, without what is empty."""
        document = {"run": _filled(self.run), "settings": to_document(self.settings)}
        others = {"limits": _filled(self.limits), "data": _filled(self.data), "storage": _filled(self.storage)}
        return document | _filled(others)

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> "Manifest":
        """Reads what `to_document` of this version or of 0.1 wrote; raises RunError for anything else."""
        try:
            about = convert(document.get("run", {}), About)
            kinds = {"limits": Limits, "data": Data, "storage": Database}
            read: dict[str, Any] = {name: convert(document[name], kinds[name]) for name in kinds if name in document}
            settings = document.get("settings")
            if not isinstance(settings, Mapping):
                raise ValueError("there is no table of settings")
            return cls(about, from_document(about.kind, settings), **{"data": Data(), **read})
        except (ValueError, EffsearchError) as error:
            raise RunError(str(error)) from None


def _filled(table: Any) -> dict[str, Any]:
    """A table without its empty texts, lists and tables, zeros and False, which are what a reader takes by default."""
    return {name: value for name, value in (to_plain(table) or {}).items() if value}

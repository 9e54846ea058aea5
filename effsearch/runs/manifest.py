"""What run.toml says of a run: how it was made, its settings, its limits, its images or table, and its storage."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from effsearch.benchmark_table import Quality
from effsearch.errors import EffsearchError, RunError
from effsearch.reward import Reward
from effsearch.runs.schema import convert, to_plain
from effsearch.runs.settings import (
    FUNCTION,
    NasSettings,
    Settings,
    TableSettings,
    TrainSettings,
    from_document,
    to_document,
)

Device = Literal["", "cpu", "cuda"]


@dataclass(frozen=True)
class About:
    """The command that made a run, when, where, and with which versions.

    `device` names the machine's processors, `trained_on` is their kind, `precision` what they compute in; empty for
    what is not known.
    """

    kind: str = ""
    created: str = ""
    command: str = ""
    python: str = ""
    platform: str = ""
    device: str = ""
    trained_on: Device = ""
    precision: str = ""
    versions: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Limits:
    """How much and how fast: `trials` finished architectures, `seconds` of this call (None: no limit)."""

    trials: int = 0
    seconds: float | None = None


@dataclass(frozen=True)
class Data:
    """An image set, with how many of its images a proxy uses, or a benchmark table.

    Of a table `rows` of `combinations` are there, `predicted` says how well the others are predicted, and
    `accuracy_std` is the median deviation between trainings of one network (a fraction), where the table has it.
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
    """Where the trials of a run are that its own journal does not hold: a URL without its password, and a name."""

    url: str
    study: str


@dataclass(frozen=True)
class Manifest:
    """All of run.toml."""

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
        """Whether networks are looked up in a benchmark table."""
        return isinstance(self.settings, TableSettings)

    @property
    def trains(self) -> bool:
        """Whether networks are trained, rather than looked up, predicted, or given by a function."""
        asked = isinstance(self.settings, NasSettings) and self.settings.evaluator != "training"
        return not self.on_table and not asked

    @property
    def by_function(self) -> bool:
        """Whether a function of one's own gives accuracies."""
        return isinstance(self.settings, NasSettings) and self.settings.evaluator == FUNCTION

    def to_document(self) -> dict[str, Any]:
        """The tables of run.toml, without what is empty."""
        plain = {"run": self.run, "limits": self.limits, "data": self.data, "storage": self.storage}
        tables = {name: _filled(to_plain(value)) for name, value in plain.items() if value is not None}
        return {"run": tables.pop("run"), "settings": to_document(self.settings)} | {
            k: v for k, v in tables.items() if v
        }

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> "Manifest":
        """Reads what `to_document` of this version or of 0.1 wrote; raises RunError for anything else."""
        try:
            about = convert(document.get("run", {}), About)
            tables = {"limits": Limits, "data": Data, "storage": Database}
            read: dict[str, Any] = {
                name: convert(document[name], kind) for name, kind in tables.items() if name in document
            }
            if "settings" not in document or not isinstance(document["settings"], Mapping):
                raise ValueError("there is no table of settings")
            return cls(about, from_document(about.kind, document["settings"]), **{"data": Data(), **read})
        except (ValueError, EffsearchError) as error:
            raise RunError(str(error)) from None


def _filled(table: dict[str, Any]) -> dict[str, Any]:
    """Without empty texts, lists and tables, zeros and False: what is so is not written, and read back as it was."""
    return {name: value for name, value in table.items() if value}

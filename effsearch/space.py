"""Which architectures may be searched: choices for a stem, each stage and a head, read from a TOML file."""

import itertools
import math
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import Any

from effsearch.architecture import ALLOWED, STAGE_FIELDS, STEM_FIELDS, Architecture, Stage, Stem
from effsearch.errors import SpaceError, listed
from effsearch.files import read_toml

Value = int | float | str
Values = dict[str, Value]
FieldValues = tuple[Value, ...]  # a value for each decision, or for each field of a stage in the order of STAGE_FIELDS

HEAD_FIELDS = ("channels",)


@dataclass(frozen=True, slots=True)
class Decision:
    """One named choice, such as stage3_kernel from (3, 5)."""

    name: str
    choices: tuple[Value, ...]


@dataclass(frozen=True)
class Space:
    """All architectures that take one choice for each of the `fields`; those with several choices are the decisions.

    Names are resolution, activation, stem_kernel, ..., stage1_op, stage1_kernel, ..., head_channels.
    """

    name: str
    fields: tuple[Decision, ...]
    depth: int
    description: str = ""

    @cached_property
    def decisions(self) -> tuple[Decision, ...]:
        """The fields that have more than one choice."""
        return tuple(field for field in self.fields if len(field.choices) > 1)

    @cached_property
    def _fixed(self) -> Values:
        return {field.name: field.choices[0] for field in self.fields if len(field.choices) == 1}

    @cached_property
    def choices(self) -> dict[str, tuple[Any, ...]]:
        """The choices of every field, fixed or not, by its name."""
        return {field.name: field.choices for field in self.fields}

    def at(self, resolution: int) -> "Space":
        """The same space with the input resolution fixed; raises SpaceError for one out of range."""
        chosen = Decision("resolution", _choices(resolution, "resolution", f"space {self.name}"))
        return replace(self, fields=tuple(chosen if field.name == "resolution" else field for field in self.fields))

    def decode(self, values: Mapping[str, Value]) -> Architecture:
        """The architecture that takes these values; raises SpaceError for a decision that is missing or unknown."""
        for decision in self.decisions:
            if values.get(decision.name) not in decision.choices:
                got = values.get(decision.name, "nothing")
                allowed = listed(decision.choices)
                raise SpaceError(f"space {self.name}: {decision.name} must be one of {allowed}, got {got!r}")
        if len(values) > len(self.decisions):
            unknown = values.keys() - {decision.name for decision in self.decisions}
            raise SpaceError(f"space {self.name} has no decision {min(unknown)}")
        return self._build({**self._fixed, **values})

    def decode_all(self, points: Sequence[Mapping[str, Value]]) -> list[Architecture | None]:
        return [self.decode(point) for point in points]

    def _build(self, values: Mapping[str, Any]) -> Architecture:
        stem = Stem(values["stem_channels"], values["stem_kernel"], values["stem_stride"])
        rows = (tuple(values[name] for name in names) for names in self._stage_names)
        stages = tuple(by_row[row] for by_row, row in zip(self._stages, rows, strict=True))
        return Architecture(stem, stages, values["head_channels"], values["resolution"], values["activation"])

    @cached_property
    def _stage_names(self) -> tuple[tuple[str, ...], ...]:
        return tuple(tuple(f"stage{index}_{field}" for field in STAGE_FIELDS) for index in range(1, self.depth + 1))

    @cached_property
    def _stages(self) -> tuple[dict[FieldValues, Stage], ...]:
        """For each stage, the canonical stage of each combination of its values."""
        return tuple(
            {row: Stage(*row).canonical() for row in itertools.product(*(self.choices[name] for name in names))}
            for names in self._stage_names
        )

    @cached_property
    def stage_options(self) -> tuple[dict[Stage, FieldValues], ...]:
        """For each stage, the distinct stages that it may be, with the first values that spell each."""
        return tuple({stage: row for row, stage in reversed(by_row.items())} for by_row in self._stages)

    def encode(self, architecture: Architecture) -> Values:
        """The values that spell an architecture, as decode reads them; raises SpaceError if it lies outside."""
        stem, outside = architecture.stem, f"space {self.name} does not hold this architecture"
        values: Values = {
            "resolution": architecture.resolution,
            "activation": architecture.activation,
            "stem_channels": stem.channels,
            "stem_kernel": stem.kernel,
            "stem_stride": stem.stride,
            "head_channels": architecture.head,
        }
        for name, value in values.items():
            if value not in self.choices[name]:
                raise SpaceError(f"{outside}: {name} is {value}")
        if stem.pool or architecture.lite:
            what = "its stem has a max pool" if stem.pool else "it is an EfficientNet-Lite"
            raise SpaceError(f"{outside}: {what}")
        if len(architecture.stages) != self.depth:
            raise SpaceError(f"space {self.name} has {self.depth} stages, the architecture {len(architecture.stages)}")
        for index, (stage, options) in enumerate(zip(architecture.stages, self.stage_options, strict=True)):
            if stage not in options:
                raise SpaceError(f"{outside}: stage {index + 1} is {stage}")
            values |= zip(self._stage_names[index], options[stage], strict=True)
        return {decision.name: values[decision.name] for decision in self.decisions}

    def contains(self, architecture: Architecture) -> bool:
        try:
            self.encode(architecture)
        except SpaceError:
            return False
        return True

    @cached_property
    def size(self) -> int:
        """How many architectures there are, exactly: values that spell the same one count once.

        Two that differ only in how a run of equal layers is divided into stages count as two, and share a key.
        """
        others = [field.choices for field in self.fields if not field.name.startswith("stage")]
        return math.prod(map(len, others)) * math.prod(map(len, self.stage_options))

    def sample(self, rng: random.Random) -> Values:
        return {decision.name: rng.choice(decision.choices) for decision in self.decisions}

    def mutate(self, values: Mapping[str, Value], changes: int, rng: random.Random) -> Values:
        """The values with `changes` of the decisions, drawn at random, taken otherwise."""
        return mutated(self.decisions, values, changes, rng)

    def neighbours(self, values: Mapping[str, Value]) -> Iterator[Values]:
        """All values that differ in one decision and give another architecture."""
        here = self.decode(values)
        for decision in self.decisions:
            for choice in decision.choices:
                there = {**values, decision.name: choice}
                if choice != values[decision.name] and self.decode(there) != here:
                    yield there

    def walk(self) -> Iterator[Values]:
        """All values, one after another; several may spell the same architecture."""
        names = [decision.name for decision in self.decisions]
        for row in itertools.product(*(decision.choices for decision in self.decisions)):
            yield dict(zip(names, row, strict=True))

    def to_document(self) -> dict[str, Any]:
        """The space as its TOML file has it; `read` reads it back."""

        def table(prefix: str, names: tuple[str, ...]) -> dict[str, Any]:
            return {name: list(self.choices[f"{prefix}{name}"]) for name in names}

        return {
            "description": self.description,
            **table("", ("resolution", "activation")),
            "stem": table("stem_", STEM_FIELDS),
            "stages": [table(f"stage{index}_", STAGE_FIELDS) for index in range(1, self.depth + 1)],
            "head": table("head_", HEAD_FIELDS),
        }


def mutated(decisions: Sequence[Decision], values: Mapping[str, Value], changes: int, rng: random.Random) -> Values:
    """The values with other random choices for `changes` of the decisions, which are drawn at random too."""
    child = dict(values)
    for decision in rng.sample(decisions, min(changes, len(decisions))):
        child[decision.name] = rng.choice([choice for choice in decision.choices if choice != child[decision.name]])
    return child


def folder() -> Path:
    """Where the spaces that ship lie: inside the installed package, or beside it in a checkout."""
    packaged = Path(__file__).parent / "search_spaces"
    return packaged if packaged.is_dir() else Path(__file__).parent.parent / "search_spaces"


def shipped() -> tuple[str, ...]:
    return tuple(sorted(path.stem for path in folder().glob("*.toml")))


def locate(name_or_path: str) -> Path:
    """The file of a space that ships, by name, or any file by its path; raises SpaceError if there is none."""
    if name_or_path in shipped():
        return folder() / f"{name_or_path}.toml"
    try:
        there = Path(name_or_path).is_file()
    except OSError:  # such as a name that is too long
        there = False
    if not there:
        close = get_close_matches(name_or_path, shipped(), 1)
        hint = f" (did you mean {close[0]}?)" if close else ""
        raise SpaceError(f"no space {name_or_path!r}{hint}; there are {listed(shipped())}, or give a .toml file")
    return Path(name_or_path)


def load(name_or_path: str) -> Space:
    """Reads a space that ships, by name, or any TOML file; raises SpaceError that names file, stage and key."""
    path = locate(name_or_path)
    try:
        document = read_toml(path)
    except (ValueError, OSError) as error:
        raise SpaceError(f"{path}: not a TOML file: {error}") from None
    return read(document, path.stem, str(path))


_USUAL = {"resolution": 224, "activation": "silu"}


def read(document: Mapping[str, Any], name: str, file: str = "space") -> Space:
    """Makes a space of a parsed TOML document; raises SpaceError that names file, stage and key."""
    known = ("description", "resolution", "activation", "stem", "head", "stages")
    _check_keys(document, known, file)
    stages = document.get("stages")
    if not isinstance(stages, list) or not stages or not all(isinstance(stage, dict) for stage in stages):
        raise SpaceError(f"{file}: stages must be one or more [[stages]] tables")
    if not isinstance(description := document.get("description", ""), str):
        raise SpaceError(f"{file}: description must be a string, got {description!r}")
    fields = [
        *(Decision(key, _choices(document.get(key, usual), key, file)) for key, usual in _USUAL.items()),
        *_table(document.get("stem"), STEM_FIELDS, {"kernel": 3, "stride": 2}, "stem", f"{file}: stem"),
    ]
    for index, stage in enumerate(stages, 1):
        fields += _table(stage, STAGE_FIELDS, {"se_ratio": 0}, f"stage{index}", f"{file}: stage {index}")
    fields += _table(document.get("head"), HEAD_FIELDS, {}, "head", f"{file}: head")
    return Space(name, tuple(fields), len(stages), description)


def _table(
    table: object, names: tuple[str, ...], defaults: Mapping[str, Value], prefix: str, where: str
) -> list[Decision]:
    if not isinstance(table, dict):
        raise SpaceError(f"{where}: must be a table with {listed(names)}, got {table!r}")
    _check_keys(table, names, where)
    values = {**defaults, **table}
    if missing := [name for name in names if name not in values]:
        raise SpaceError(f"{where}: {missing[0]} is missing")
    return [Decision(f"{prefix}_{name}", _choices(values[name], name, where)) for name in names]


def _check_keys(table: Mapping[str, Any], known: tuple[str, ...], where: str) -> None:
    for key in table:
        if key not in known:
            raise SpaceError(f"{where}: unknown key {key!r}; known are {listed(known)}")


def _choices(given: object, key: str, where: str) -> tuple[Value, ...]:
    values = given if isinstance(given, list) else [given]
    if not values:
        raise SpaceError(f"{where}: {key} needs at least one choice, got an empty list")
    for index, value in enumerate(values):
        ALLOWED[key].check(f"{where}: {key}", value, SpaceError)
        if value in values[:index]:
            raise SpaceError(f"{where}: {key} lists {value!r} twice")
    return tuple(values)

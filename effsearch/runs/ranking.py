"""Trials -> architectures, ranked, with the noise between training seeds."""

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from operator import attrgetter
from pathlib import Path
from statistics import mean, median, stdev
from types import MappingProxyType
from typing import Any, get_args, get_type_hints

from effsearch.errors import QuantityError, RunError
from effsearch.reward import Measure, Reward
from effsearch.runs.records import Record
from effsearch.runs.schema import check_numbers, convert, read_file
from effsearch.scaling import Coefficients
from effsearch.text import sanitize

TIE = 2.0  # standard errors of a difference within which two accuracies are a tie
PRIOR_SD = 0.01  # standard deviation between seeds that is expected where no network was trained twice
PRIOR_FREEDOM = 2.0  # degrees of freedom that this expectation counts for


@dataclass(frozen=True)
class Row:
    """One architecture of a ranking.

    `accuracy` (a fraction) and `accuracy_sd` are mean and standard deviation over `seeds` trainings of `epochs` epochs;
    `reward` is that of the mean, `target_ratio` the cost over its target. Among networks trained for as long, `pareto`
    marks those on the front and `tie` those within the noise of the first. `seconds` is the median of a training;
    `alpha`, `beta` and `gamma` are what a baseline was grown by; `latency` is in seconds. By all trainings together,
    `expected` is the expected accuracy, and `probability_best` that of having the highest reward of the run.
    """

    rank: int | None
    key: str
    notation: str
    state: str
    accuracy: float | None
    accuracy_sd: float | None
    seeds: int
    reward: float | None
    flops: int
    target_ratio: float
    params: int
    epochs: int | None
    seconds: float | None
    pareto: bool
    tie: bool
    source: str
    reason: str | None
    alpha: float | None = None
    beta: float | None = None
    gamma: float | None = None
    latency: float | None = None
    expected: float | None = None
    probability_best: float | None = None


@dataclass(frozen=True)
class Judged:
    """What all trainings of a run say of a network: its expected accuracy and reward, and how likely it is the best."""

    accuracy: float
    reward: float
    probability_best: float


@dataclass(frozen=True)
class Noise:
    """The standard deviation of accuracy (a fraction) between seeds, pooled over `networks` trained more than once."""

    sd: float
    networks: int
    freedom: int


NOT_JUDGED: Mapping[str, Judged] = MappingProxyType({})


def ranking(records: Sequence[Record], reward: Reward, judged: Mapping[str, Judged] = NOT_JUDGED) -> list[Row]:
    """All architectures of a run: the longest trained first, then by reward; those without an accuracy at the end.

    The networks that were `judged` come first among those trained for as long, by their expected reward.
    """
    groups: dict[str, list[Record]] = {}
    for record in records:
        groups.setdefault(record.candidate.key, []).append(record)
    rows = [_row(group, reward, judged.get(key)) for key, group in groups.items()]
    done = [row for row in rows if row.reward is not None]
    done.sort(key=lambda row: (-(row.epochs or 0), *_order(row, judged.get(row.key)), row.flops))
    longest = [row for row in done if row.epochs == done[0].epochs]
    on_front = {row.key for row in front(longest, reward.measure)}
    noise = measure_noise(rows)
    ranked = [
        replace(row, rank=rank, pareto=row.key in on_front, tie=rank == 1 or is_tie(done[0], row, noise))
        for rank, row in enumerate(done, 1)
    ]
    return ranked + [row for row in rows if row.reward is None]


def _order(row: Row, judged: Judged | None) -> tuple[bool, float]:
    return judged is None, -(_number(row.reward) if judged is None else judged.reward)


def _row(group: Sequence[Record], reward: Reward, judged: Judged | None) -> Row:
    reached = [record for record in group if record.accuracy is not None]
    epochs = max((record.epochs or 0 for record in reached), default=0)
    done = [record for record in reached if (record.epochs or 0) == epochs]
    spent: dict[int, float] = {}  # by seed, over all parts of its training
    for record in reached:
        spent[record.candidate.seed] = spent.get(record.candidate.seed, 0.0) + (record.seconds or 0.0)
    first = group[0].candidate
    accuracies = [_number(record.accuracy) for record in done]
    # Most networks have one accuracy, and statistics.mean is exact but slow.
    accuracy = (mean(accuracies) if len(accuracies) > 1 else accuracies[0]) if accuracies else None
    return Row(
        rank=None,
        state="complete" if done else group[-1].state,
        accuracy=accuracy,
        accuracy_sd=stdev(accuracies) if len(accuracies) > 1 else None,
        seeds=len(done),
        reward=None if accuracy is None else reward.of(accuracy, first),
        target_ratio=reward.cost(first) / reward.target,
        epochs=done[0].epochs if done else None,
        seconds=median(spent[record.candidate.seed] for record in done) if done else None,
        pareto=False,
        tie=False,
        reason=None if done else group[-1].reason,
        expected=None if judged is None else judged.accuracy,
        probability_best=None if judged is None else judged.probability_best,
        **{name: getattr(first, name) for name in ("key", "notation", "flops", "params", "source", "latency")},
        **({} if first.coefficients is None else asdict(first.coefficients)),
    )


def _number(value: float | None) -> float:
    assert value is not None
    return value


def front(rows: Iterable[Row], measure: Measure = "flops") -> list[Row]:
    """The Pareto front of rows that have an accuracy, the cheapest first."""
    found: list[Row] = []
    for row in sorted(rows, key=lambda row: (getattr(row, measure), -_number(row.accuracy))):
        if not found or _number(row.accuracy) > _number(found[-1].accuracy):
            found.append(row)
    return found


def measure_noise(rows: Sequence[Row]) -> Noise | None:
    """The pooled standard deviation between seeds, or None where no network was trained twice."""
    repeated = [(row.accuracy_sd, row.seeds - 1) for row in rows if row.accuracy_sd is not None]
    freedom = sum(dof for _, dof in repeated)
    if not freedom:
        return None
    return Noise(math.sqrt(sum(sd**2 * dof for sd, dof in repeated) / freedom), len(repeated), freedom)


def is_tie(first: Row, row: Row, noise: Noise | None) -> bool:
    """Whether a row, trained as long as the first, is below it by at most TIE standard errors between seeds."""
    if noise is None or not row.accuracy or row.epochs != first.epochs:
        return False
    lead = (_number(first.reward) - _number(row.reward)) * row.accuracy / max(_number(row.reward), 1e-9)
    return lead <= TIE * noise.sd * math.sqrt(1 / first.seeds + 1 / row.seeds)


COLUMNS = tuple(field.name for field in fields(Row))


def to_csv(rows: Sequence[Row]) -> str:
    """The ranking as CSV; an empty cell is a value that is not known."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(map(attrgetter(*COLUMNS), rows))
    return text.getvalue()


def read_ranking(file: Path) -> list[Row]:
    """The ranking that a run keeps in a file, empty where there is none yet; raises RunError for an invalid one."""
    return read_file(file, from_csv, [])


def from_csv(text: str) -> list[Row]:
    """Reads what `to_csv` wrote; raises RunError for anything else."""
    reader = csv.DictReader(io.StringIO(text))
    try:
        return [_parse_row(cells) for cells in reader]
    except (KeyError, ValueError, TypeError, AttributeError, csv.Error, QuantityError) as error:
        raise RunError(f"not a ranking as a run writes it: line {reader.line_num}: {error!r}") from None


def _parse_row(cells: dict[str, str]) -> Row:
    filled = {name: sanitize(cell) for name, cell in cells.items() if cell or name not in _UNKNOWN}
    row = convert({**_UNKNOWN, **filled}, Row, strict=False)
    check_numbers([getattr(row, name) for name in COLUMNS])
    if len({row.rank is None, row.accuracy is None, row.reward is None}) > 1:
        raise ValueError("a row has all of rank, accuracy and reward, or none")
    if row.accuracy is not None and row.seeds < 1:
        raise ValueError("a row with an accuracy has one seed at least")
    grown: Any = (row.alpha, row.beta, row.gamma)
    if grown != (None, None, None):
        Coefficients(*grown)
    return row


_UNKNOWN = {name: None for name, kind in get_type_hints(Row).items() if get_args(kind)}  # columns that may be empty

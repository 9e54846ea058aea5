"""The course of a search, training by training, and that of each training, epoch by epoch."""

from collections.abc import Sequence
from dataclasses import dataclass

from effsearch.runs.history import History, Training, longest
from effsearch.runs.records import Record


@dataclass(frozen=True)
class Step:
    """A finished training, the `number`-th of a search to end, with the best reward until then."""

    number: int
    key: str
    reward: float
    best: float


def best_so_far(history: History) -> list[Step]:
    """The whole trainings of a search in the order in which they ended; those stopped early have another reward."""
    most = longest(history.records)
    steps: list[Step] = []
    for record in sorted(filter(_ended, history.records), key=_end):
        if record.epochs == most and record.reward is not None:
            best = max(record.reward, steps[-1].best) if steps else record.reward
            steps.append(Step(len(steps) + 1, record.candidate.key, record.reward, best))
    return steps


def _ended(record: Record) -> bool:
    return record.finished is not None


def _end(record: Record) -> tuple[float, int]:
    assert record.finished is not None
    return record.finished.timestamp(), record.number


@dataclass(frozen=True)
class Course:
    """A training with all its parts as one: the loss (nats) of each epoch, and (epoch, accuracy) where it was measured.

    `parts` is how many it was trained in.
    """

    key: str
    seed: int
    losses: tuple[float, ...]
    accuracies: tuple[tuple[int, float], ...]
    parts: int


def courses(history: History, keys: Sequence[str]) -> list[Course]:
    """The trainings of these networks, in their order, each from its longest part, which holds those before it."""
    groups: dict[tuple[str, int], list[Training]] = {}
    for training in history.trainings:
        record = training.record
        if record.accuracy is not None:
            groups.setdefault((record.candidate.key, record.candidate.seed), []).append(training)
    rank = {key: index for index, key in enumerate(keys)}
    found = [_course(group) for (key, _), group in groups.items() if key in rank]
    return sorted(found, key=lambda course: (rank[course.key], course.seed))


def _course(group: Sequence[Training]) -> Course:
    last = max(group, key=lambda training: training.record.epochs or 0)
    reached = {t.record.epochs or 0: t.record.accuracy for t in group if t.record.accuracy is not None}
    accuracies = reached | dict(last.accuracies)
    candidate = last.record.candidate
    return Course(candidate.key, candidate.seed, last.losses, tuple(sorted(accuracies.items())), len(reached))

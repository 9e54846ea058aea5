"""Trainings that are known beforehand: which is due."""

from collections.abc import Sequence
from dataclasses import replace

from effsearch.runs.records import Candidate, Record
from effsearch.runs.trainings import Trainings
from effsearch.search.faults import attempt, is_due
from effsearch.search.steps import Done, Step, Train, Wait


def train_all(chosen: Sequence[Candidate], records: Sequence[Record], seeds: Sequence[int], epochs: int) -> Step:
    """Train every candidate under every seed to `epochs`."""
    due = next_due(chosen, records, seeds, epochs)
    if due is not None:
        return Train(due)
    return Wait() if is_running(records) else Done()


def next_due(
    chosen: Sequence[Candidate], records: Sequence[Record], seeds: Sequence[int], epochs: int
) -> Candidate | None:
    """The first training that is still to be begun, or tried again, seed by seed, so that a stop leaves pairs."""
    known = Trainings.of(records)
    for seed in seeds:
        for candidate in chosen:
            group = known.attempts((candidate.key, seed, epochs))
            if is_due(group):
                return replace(attempt(candidate, group), seed=seed, epochs=epochs)
    return None


def is_running(records: Sequence[Record]) -> bool:
    """Whether a training is under way."""
    return any(record.state == "running" for record in records)

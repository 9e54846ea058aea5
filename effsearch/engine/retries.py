"""How a training may fail, which training is due or tried again, and when to give up a search."""

from collections.abc import Sequence
from dataclasses import replace

from effsearch.engine.problem import Done, Propose, Step, Train, Wait
from effsearch.errors import ExecutorError
from effsearch.evaluation.hardware import ContextLost, first_line, out_of_memory
from effsearch.executors.local import WorkerLost
from effsearch.runs.records import Candidate, FailureKind, Record, RecordIndex, training_of
from effsearch.text import sanitize
from effsearch.training import Diverged

ATTEMPTS = 3  # attempts of a training whose worker or node is lost each time
MEMORY_ATTEMPTS = 2  # those of one that runs out of memory; the second accumulates each batch from two halves
FAILURES = 5  # failed attempts, with no training finished, after which a search gives up
HOPELESS = 2  # trainings that must have used up their attempts, with none finished, before a search gives up
STREAK = 12  # failed attempts in a row after which a search gives up, whatever was finished before


def failure_of(error: BaseException) -> tuple[FailureKind, str]:
    """The kind of a failure, and one line that says why."""
    text = sanitize(first_line(error))
    if isinstance(error, Diverged):
        return "diverged", f"diverged: {text}"
    if isinstance(error, WorkerLost | ContextLost):
        return "lost", f"its worker died ({text})"
    if isinstance(error, TimeoutError):
        return "hung", "took far longer than the others and was stopped"
    if out_of_memory(error):
        return "memory", f"out of memory: {text}"
    if isinstance(error, ExecutorError):  # Of this worker's machine: another one may do.
        return "lost", text
    return "error", f"{type(error).__name__}: {text}"


def is_due(group: Sequence[Record]) -> bool:
    """Whether a training of which `group` are all attempts is to be begun or to be tried again."""
    if not group:
        return True
    if any(record.state != "failed" for record in group):
        return False
    last = group[-1].failure_kind
    most = {"lost": ATTEMPTS, "memory": MEMORY_ATTEMPTS}.get(last or "", 1)
    return sum(record.failure_kind == last for record in group) < most


def attempt(candidate: Candidate, group: Sequence[Record]) -> Candidate:
    """The candidate as it is to be trained after the attempts of `group`."""
    return replace(candidate, accumulation=2) if any(r.failure_kind == "memory" for r in group) else candidate


def due_again(records: RecordIndex) -> Candidate | None:
    """The first training that has failed and is to be tried again."""
    group = next(filter(is_due, records.failing()), None)
    return None if group is None else attempt(group[-1].candidate, group)


def given_up(records: RecordIndex, planned: int = 0, seed: int | None = None) -> str | None:
    """Why to give up a search in which trainings only fail, or as many networks as are `planned`; else None.

    A training that will be tried again has not failed: workers lost together say nothing about what they trained.
    With `seed` only trainings under it are counted.
    """
    failed = [record for record in records.in_state("failed") if seed in (None, record.candidate.seed)]
    if len(failed) < FAILURES:
        return None
    over = {training_of(group[0]) for group in records.failing() if not is_due(group)}
    final = [record for record in failed if training_of(record) in over]
    if (done := records.last_complete(seed)) is None:
        # Where two trainings have failed at every attempt, the others need not be tried as often.
        return _said(failed) if len({training_of(record) for record in final}) >= HOPELESS else None
    row = [record for record in final if record.number > done]
    if len(row) >= STREAK:
        return _said(row, " in a row")
    networks = len({record.candidate.key for record in final})
    if planned and networks >= planned:
        return f"{networks} networks failed, the last: {final[-1].reason}"
    return None


def queued_or_given_up(records: RecordIndex, planned: int = 0, seed: int | None = None) -> Step | None:
    """Propose where a training is queued, Done where `given_up`, but only when no training runs; else None."""
    if records.count("queued"):
        return Propose()
    if (broken := given_up(records, planned, seed)) is None:
        return None
    return Wait() if records.count("running") else Done(broken)


def _said(failed: Sequence[Record], row: str = "") -> str:
    trainings = len({training_of(record) for record in failed})
    count = f"{trainings} trainings" if trainings == len(failed) else f"{len(failed)} attempts of {trainings} trainings"
    return f"{count}{row} failed, the last: {failed[-1].reason}"


def train_all(chosen: Sequence[Candidate], records: RecordIndex, seeds: Sequence[int], epochs: int | None) -> Step:
    """Train every candidate under every seed to the last of all epochs (None: a training never pauses)."""
    if (due := next_due(chosen, records, seeds, epochs)) is not None:
        return Train(due)
    return Wait() if records.count("running") else Done()


def next_due(
    chosen: Sequence[Candidate], records: RecordIndex, seeds: Sequence[int], epochs: int | None
) -> Candidate | None:
    """The first training to be begun or tried again, seed by seed: a search that is stopped then has paired seeds."""
    for seed in seeds:
        for candidate in chosen:
            group = records.attempts((candidate.key, seed, epochs))
            if is_due(group):
                return replace(attempt(candidate, group), seed=seed, epochs=epochs)
    return None

"""Drives any search: ask, train, tell. One process writes the journal; workers hold no state."""

import hashlib
import math
import time
import traceback
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any, Protocol

from optuna.distributions import BaseDistribution
from optuna.exceptions import StorageInternalError
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, TrialState, create_trial
from sqlalchemy.exc import SQLAlchemyError

from effsearch.architecture import parse
from effsearch.engine.retries import failure_of
from effsearch.engine.samplers import SpaceExhausted
from effsearch.engine.space_sampler import AGAIN
from effsearch.engine.steps import Clock, Done, Outlook, Propose, Step, Train, Wait
from effsearch.errors import RunError
from effsearch.evaluation import Evaluation
from effsearch.executors.local import Executor
from effsearch.files import write_atomically
from effsearch.reward import Reward
from effsearch.runs.folder import Run
from effsearch.runs.ranking import ranking, to_csv
from effsearch.runs.records import Candidate, Record, RecordIndex, to_json
from effsearch.runs.storage import scrubbed
from effsearch.runs.trial_store import TrialStore, read_candidate
from effsearch.training import CorruptCheckpoint

Evaluator = Callable[..., Evaluation]
"""(architecture, seed), or (architecture, seed, epochs, checkpoint) for a training in parts; picklable.

One with a method `with_accumulation(count)` gives by it an evaluator that trains a batch in so many parts.
"""

POLL = 0.25
"""Seconds between two looks at the clock and at the wish to stop."""

SLOW = 20
"""Times the median seconds of a training after which one is taken to hang; never under MINUTES_AT_LEAST minutes."""

MINUTES_AT_LEAST = 10

HOURS_AT_FIRST = 24
"""After which a training is taken to hang while none has ended yet; its worker looks sooner whether steps are made."""


def proposal_seed(seed: int, proposals: int) -> int:
    """The seed of proposal number `proposals` of a search, so that a resumed one goes on alike."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{proposals}".encode()).digest()[:4], "big")


class Problem(Protocol):
    """What is searched: which trainings, in which order, and how they stand in the study."""

    @property
    def score(self) -> Reward: ...

    @property
    def distributions(self) -> Mapping[str, BaseDistribution]: ...

    @property
    def proposer(self) -> str:
        """The source of the candidates that the sampler proposes."""
        ...

    def first(self) -> Iterable[Candidate]:
        """What a new run trains before anything is proposed."""
        ...

    def sampler(self, proposals: int) -> BaseSampler:
        """A sampler whose chance is that of proposal number `proposals`, so that a resumed run goes on alike."""
        ...

    def next_step(self, records: Sequence[Record], clock: Clock) -> Step:
        """What to do, from nothing but what was done."""
        ...

    def params(self, candidate: Candidate) -> dict[str, Any]:
        """The decisions that give a candidate."""
        ...

    def candidate(self, params: Mapping[str, Any]) -> Candidate:
        """The candidate that decisions give."""
        ...

    def outlook(self, records: Sequence[Record], workers: int) -> Outlook:
        """How far it has come."""
        ...


@dataclass(frozen=True)
class Status:
    """Where a search stands: its records, which of them has just ended, and the seconds since this call began."""

    records: Sequence[Record]
    ended: Record | None
    seconds: float
    looking: Callable[[], Outlook] = field(repr=False)
    problem: str | None = None

    @cached_property
    def outlook(self) -> Outlook:
        """How far the search has come; it walks all records, so that it is worked out where it is asked for."""
        return self.looking()


def drive(
    run: Run,
    problem: Problem,
    evaluator: Evaluator,
    executor: Executor,
    seconds: float | None = None,
    stopping: Callable[[], bool] = lambda: False,
    read: Callable[[str], Any] = parse,
) -> Iterator[Status]:
    """Drives a run until it is done, stopped or out of `seconds`, and yields its status four times a second.

    The caller holds the run. However this ends, the executor is stopped, what was running is queued for the next
    call, and the ranking is written. `read` makes of a candidate's notation what the evaluator is given. Raises
    RunError where the run cannot be read, or no longer be written, such as on a full disk; what was finished is kept.
    """
    try:
        driver = _Driver(run, problem, evaluator, executor, seconds, read)
        try:
            trouble = yield from driver.drive(stopping)
        finally:
            driver.close()
    except RunError:
        executor.stop()
        raise
    except (OSError, SQLAlchemyError, StorageInternalError) as error:
        executor.stop()
        raise RunError(_unwritten(run, error)) from error
    yield driver.status(trouble=trouble)


def _unwritten(run: Run, error: Exception) -> str:
    """One line on what can no longer be written, and how to go on."""
    where = "its storage" if run.storage is not None else str(run.path)
    cause = error.strerror if isinstance(error, OSError) and error.strerror else str(error).partition("\n")[0]
    return (
        f"run {run.name} was stopped, since {where} cannot be written: {scrubbed(cause, run.storage)}; what was "
        f"finished is kept; when that is mended, go on with: effsearch {run.kind or 'nas'} --resume {run.path}"
    )


class _Driver:
    """The one process that writes the trials of a run."""

    def __init__(
        self,
        run: Run,
        problem: Problem,
        evaluator: Evaluator,
        executor: Executor,
        seconds: float | None,
        read: Callable[[str], Any],
    ) -> None:
        self.run, self.problem, self.evaluator, self.executor = run, problem, evaluator, executor
        self.seconds, self.read = seconds, read
        self.began = time.monotonic()
        self.changed, self.written, self.writing, self.failures = False, self.began, 0.0, -1
        self.pending: dict[Future[Evaluation], FrozenTrial] = {}
        self.alone: FrozenTrial | None = None
        """A trial that ran out of memory before: it waits for the others to end, and the next ones wait for its end."""
        self.store = TrialStore(run, problem.distributions, problem.sampler(0))

    def drive(self, stopping: Callable[[], bool]) -> Generator[Status, None, str | None]:
        """Yields the status as it changes, and returns what went wrong, if anything."""
        self.store.recover_stale(self.problem.candidate, self.problem.score)
        self._queue_first()
        found = self.problem.next_step(self.store.records, self._clock())
        if isinstance(found, Done) and found.problem is not None:
            # It was given up, and whoever goes on with it has mended what was wrong.
            self.store.requeue_failed()
        step: Step = Wait()
        while True:
            while len(self.pending) < self.executor.workers and not stopping():
                step = self._begin_next()
                if isinstance(step, Wait | Done):
                    break
            if not self.pending or stopping() or self._seconds_left() <= 0:
                break
            yield self.status()
            for future in wait(self.pending, timeout=POLL, return_when=FIRST_COMPLETED).done:
                yield self.status(self._end(self.pending.pop(future), future))
            self._write_ranking_if_due()
        return step.problem if isinstance(step, Done) else None

    def status(self, ended: Record | None = None, trouble: str | None = None) -> Status:
        records = self.store.records
        looking = partial(self.problem.outlook, records, self.executor.workers)
        return Status(records, ended, self._elapsed(), looking, trouble)

    def close(self) -> None:
        try:
            self.executor.stop()
            try:
                self.store.recover_stale(self.problem.candidate, self.problem.score)
            finally:
                self.write_ranking()
        finally:
            self.store.close()

    def _queue_first(self) -> None:
        """Queues what a new run begins with, or the rest of it where the driver died over that."""
        first = {candidate.key: candidate for candidate in self.problem.first()}
        there = {record.candidate.key for record in self.store.records}
        if there <= first.keys():
            for key in (key for key in first if key not in there):
                self.store.queue(first[key], self.problem.params(first[key]))

    def _write_ranking_if_due(self) -> None:
        """Spends no more than a fiftieth of the time on it, however long the ranking has become."""
        since = time.monotonic() - self.written
        if self.changed and since >= 50 * self.writing:
            self.write_ranking()

    def write_ranking(self) -> None:
        start = time.monotonic()
        write_atomically(self.run.ranking, to_csv(ranking(self.store.records, self.problem.score)))
        failures = self.store.failures
        count = sum(failure.attempts for failure in failures)
        if count != self.failures:
            write_atomically(self.run.failed, to_json(failures))
            self.failures = count
        self.changed, self.written = False, time.monotonic()
        self.writing = self.written - start

    def _begin_next(self) -> Step:
        """Begins what the problem and the clock allow, and returns what that was."""
        known, clock = self.store.records, self._clock()
        if self.alone is not None:
            if not self.pending and clock.left >= clock.expected:
                self._submit(self.alone, clock.expected)
            return Wait()
        step = self.problem.next_step(known, clock)
        if isinstance(step, Wait | Done):
            return step
        if clock.left < clock.expected:
            return Wait()
        try:
            trial = self._begin(step, known)
        except SpaceExhausted as error:
            return Wait() if self.pending else Done(str(error))
        self._submit(trial, clock.expected)
        return step if self.alone is None else Wait()

    def _clock(self) -> Clock:
        return Clock(self._seconds_left(), self.store.records.typical, self.executor.workers, bool(self.pending))

    def _begin(self, step: Propose | Train, known: RecordIndex) -> FrozenTrial:
        """The trial of a known candidate, of what is queued, or else of what the sampler proposes."""
        problem, store = self.problem, self.store
        if isinstance(step, Train):
            # As it was proposed: a network may have several spellings, and a sampler learns from what it sees.
            params = store.params.get(step.candidate.key) or problem.params(step.candidate)
            return store.begin(step.candidate, params, {AGAIN: True} if step.again else {})
        queued = store.begin_queued()
        if queued is not None:
            return queued
        sampler = problem.sampler(known.proposed(problem.proposer))
        if getattr(sampler, "needs_trial", True):
            return store.ask(sampler, problem.candidate)
        unsaved = create_trial(state=TrialState.WAITING)
        unsaved.number = store.trials
        params = sampler.sample_relative(store.study, unsaved, dict(problem.distributions))
        return store.begin(problem.candidate(params), params, unsaved.system_attrs)

    def _submit(self, trial: FrozenTrial, expected: float) -> None:
        """Gives a trial to the executor, or keeps one for itself alone until nothing else runs.

        What ran out of memory is alone, since the others may have taken the memory that it lacked.
        """
        candidate = read_candidate(trial)
        assert candidate is not None
        if candidate.accumulation > 1 and self.executor.shared:
            self.alone = trial
            if self.pending:
                return
        timeout = max(60.0 * MINUTES_AT_LEAST, SLOW * expected) if expected else 3600.0 * HOURS_AT_FIRST
        task: list[Any] = [self.read(candidate.notation), candidate.seed]
        if candidate.epochs is not None:
            task += [candidate.epochs, self.run.read_checkpoint(candidate.key, candidate.seed)]
        evaluator = self.evaluator
        if candidate.accumulation > 1 and hasattr(evaluator, "with_accumulation"):
            evaluator = evaluator.with_accumulation(candidate.accumulation)
        self.pending[self.executor.submit(evaluator, *task, timeout=timeout)] = trial

    def _end(self, trial: FrozenTrial, future: Future[Evaluation]) -> Record | None:
        """Writes down what a training gave, or why it failed."""
        self.changed = True
        if trial is self.alone:
            self.alone = None
        candidate = read_candidate(trial)
        assert candidate is not None
        error = future.exception()
        if isinstance(error, CorruptCheckpoint):
            self.run.quarantine_checkpoint(candidate.key, candidate.seed)
            self.store.interrupt(trial)
            return None
        if error is not None:
            kind, reason = failure_of(error)
            return self.store.fail(trial, reason, kind, "".join(traceback.format_exception(error)))
        evaluation = future.result()
        if evaluation.checkpoint is not None:
            self.run.write_checkpoint(candidate.key, candidate.seed, evaluation.checkpoint)
        value = self.problem.score.of(evaluation.accuracy, candidate)
        if not math.isfinite(value):
            return self.store.fail(trial, f"diverged: an accuracy of {evaluation.accuracy}", "diverged")
        return self.store.complete(trial, evaluation.to_dict(), value)

    def _elapsed(self) -> float:
        return time.monotonic() - self.began

    def _seconds_left(self) -> float:
        return math.inf if self.seconds is None else self.seconds - self._elapsed()

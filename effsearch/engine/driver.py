"""Drives any search: ask, train, tell. One process writes the journal; workers hold no state."""

import math
import time
import traceback
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any

from optuna.exceptions import StorageInternalError
from optuna.trial import FrozenTrial, TrialState, create_trial
from sqlalchemy.exc import SQLAlchemyError

from effsearch.engine.problem import Clock, Done, Outlook, Problem, Propose, Step, Train, Wait
from effsearch.engine.retries import failure_of
from effsearch.engine.space_sampler import AGAIN, SpaceExhausted
from effsearch.errors import RunError
from effsearch.evaluation import Evaluation
from effsearch.executors.local import Executor
from effsearch.files import write_atomically
from effsearch.runs.folder import Run
from effsearch.runs.ranking import ranking, to_csv
from effsearch.runs.records import Record, RecordIndex, to_json
from effsearch.runs.storage import scrubbed
from effsearch.runs.trial_store import TrialStore, read_candidate
from effsearch.training import CorruptCheckpoint

Evaluator = Callable[..., Evaluation]
"""(task, seed), or (task, seed, epochs, checkpoint) for a training in parts; picklable. See `Problem.task`.

Its method `with_accumulation(count)`, if any, gives an evaluator that accumulates the gradient of a batch in parts.
"""

POLL = 0.25  # seconds between two checks of the clock and of `stopping`

SLOW = 20  # a training times out after this many times the median of the others,
MINUTES_AT_LEAST = 10  # but not before these minutes,
HOURS_AT_FIRST = 24  # and after these while none has ended; the watchdog of a worker notices sooner that it hangs


@dataclass(frozen=True)
class Status:
    """The state of a search: its records, which of them has just ended, and the seconds since `drive` was called."""

    records: RecordIndex
    ended: Record | None
    seconds: float
    looking: Callable[[], Outlook] = field(repr=False)
    problem: str | None = None

    @cached_property
    def outlook(self) -> Outlook:
        """How far the search has come; computed only when asked for, since it takes a walk over all records."""
        return self.looking()


def drive(
    run: Run,
    problem: Problem,
    evaluator: Evaluator,
    executor: Executor,
    seconds: float | None = None,
    stopping: Callable[[], bool] = lambda: False,
) -> Iterator[Status]:
    """Drives a run until it is done, stopped or out of `seconds`, and yields its status four times a second.

    The caller holds the lock of the run. However this ends, the executor is stopped, running trials are queued for the
    next call, and the ranking is written. Raises RunError where the run cannot be read, or no longer be written, such
    as on a full disk; what was finished is kept.
    """
    try:
        driver = _Driver(run, problem, evaluator, executor, seconds)
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
    where = "its storage" if run.storage is not None else str(run.path)
    cause = error.strerror if isinstance(error, OSError) and error.strerror else str(error).partition("\n")[0]
    return (
        f"run {run.name} was stopped, since {where} cannot be written: {scrubbed(cause, run.storage)}; what was "
        f"finished is kept; when that is mended, go on with: effsearch {run.kind or 'nas'} --resume {run.path}"
    )


@dataclass
class _Driver:
    """The only writer of the trials of a run."""

    run: Run
    problem: Problem
    evaluator: Evaluator
    executor: Executor
    seconds: float | None

    def __post_init__(self) -> None:
        self.began = self.written = time.monotonic()
        self.changed, self.writing, self.failures = False, 0.0, -1
        self.pending: dict[Future[Evaluation], FrozenTrial] = {}
        self.alone: FrozenTrial | None = None  # ran out of memory before: it is trained with no other beside it
        self.store = TrialStore(self.run, self.problem.distributions, self.problem.sampler(0))

    def drive(self, stopping: Callable[[], bool]) -> Generator[Status, None, str | None]:
        """Yields the status as it changes, and returns what went wrong, if anything."""
        self.store.recover_stale(self.problem.candidate, self.problem.score)
        self._queue_first()
        found = self.problem.next_step(self.store.records, self._clock())
        if isinstance(found, Done) and found.problem is not None:
            # The search was given up; whoever resumes it has fixed the cause.
            self.store.requeue_failed()
        step: Step = Wait()
        while True:
            while len(self.pending) < self.executor.workers and not stopping():
                step = self._begin_next()
                if isinstance(step, Wait | Done):
                    break
            if not self.pending or stopping() or self._clock().left <= 0:
                break
            yield self.status()
            for future in wait(self.pending, timeout=POLL, return_when=FIRST_COMPLETED).done:
                yield self.status(self._end(self.pending.pop(future), future))
            # No more than a fiftieth of the time is spent on it, however long the ranking has become.
            if self.changed and time.monotonic() - self.written >= 50 * self.writing:
                self.write_ranking()
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
        """Queues what a new run trains first, or the rest of it where the driver died meanwhile."""
        first = {candidate.key: candidate for candidate in self.problem.first()}
        there = {record.candidate.key for record in self.store.records}
        if there <= first.keys():
            for candidate in (candidate for key, candidate in first.items() if key not in there):
                self.store.queue(candidate, self.problem.params(candidate))

    def write_ranking(self) -> None:
        start, records = time.monotonic(), self.store.records
        rows = ranking(records, self.problem.score, self.problem.judge(records))
        write_atomically(self.run.ranking, to_csv(rows))
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
        left = math.inf if self.seconds is None else self.seconds - self._elapsed()
        return Clock(left, self.store.records.typical, self.executor.workers, bool(self.pending))

    def _begin(self, step: Propose | Train, known: RecordIndex) -> FrozenTrial:
        """A trial of a known candidate, of a queued one, or else of what the sampler proposes."""
        problem, store = self.problem, self.store
        if isinstance(step, Train):
            # As it was proposed: a network may have several spellings, and a sampler learns from what it sees.
            params = store.params.get(step.candidate.key) or problem.params(step.candidate)
            return store.begin(step.candidate, params, {AGAIN: True} if step.again else {})
        if (queued := store.begin_queued()) is not None:
            return queued
        sampler = problem.sampler(known.proposed(problem.proposer))
        if getattr(sampler, "needs_trial", True):
            return store.ask(sampler, problem.candidate)
        unsaved = create_trial(state=TrialState.WAITING)
        unsaved.number = store.trials
        params = sampler.sample_relative(store.study, unsaved, dict(problem.distributions))
        return store.begin(problem.candidate(params), params, unsaved.system_attrs)

    def _submit(self, trial: FrozenTrial, expected: float) -> None:
        """Gives a trial to the executor, unless it ran out of memory before and others, which need some too, run."""
        candidate = read_candidate(trial)
        assert candidate is not None
        if candidate.accumulation > 1 and self.executor.shared:
            self.alone = trial
            if self.pending:
                return
        timeout = max(60.0 * MINUTES_AT_LEAST, SLOW * expected) if expected else 3600.0 * HOURS_AT_FIRST
        task: list[Any] = [self.problem.task(candidate), candidate.seed]
        if candidate.epochs is not None:
            task += [candidate.epochs, self.run.read_checkpoint(candidate.key, candidate.seed)]
        evaluator = self.evaluator
        if candidate.accumulation > 1 and hasattr(evaluator, "with_accumulation"):
            evaluator = evaluator.with_accumulation(candidate.accumulation)
        self.pending[self.executor.submit(evaluator, *task, timeout=timeout)] = trial

    def _end(self, trial: FrozenTrial, future: Future[Evaluation]) -> Record | None:
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
        if evaluation.weights is not None:
            self.run.write_weights(candidate.key, candidate.seed, evaluation.weights)
        value = self.problem.score.of(evaluation.accuracy, candidate)
        if not math.isfinite(value):
            return self.store.fail(trial, f"diverged: an accuracy of {evaluation.accuracy}", "diverged")
        return self.store.complete(trial, evaluation.to_dict(), value)

    def _elapsed(self) -> float:
        return time.monotonic() - self.began

"""Drives any search: ask, train, tell. One process writes the journal; workers hold no state."""

import hashlib
import math
import time
import traceback
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any, Protocol

from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.trial import Trial
from pebble import ProcessExpired

from effsearch.architecture import parse
from effsearch.evaluation import Evaluation
from effsearch.reward import Reward
from effsearch.runs.executor import Executor
from effsearch.runs.files import write_atomically
from effsearch.runs.folder import Run
from effsearch.runs.journal import drop_unborn, enqueue, fail, open_study, read_record, requeue_running
from effsearch.runs.ranking import ranking, to_csv
from effsearch.runs.records import CANDIDATE, DIVERGED, EVALUATION, PREDICTED, Candidate, Record
from effsearch.search.samplers import SpaceExhausted
from effsearch.search.steps import Clock, Done, Outlook, Step, Train, Wait
from effsearch.training import Diverged

Evaluator = Callable[..., Evaluation]
"""(architecture, seed), or (architecture, seed, epochs, checkpoint) for a training in parts; picklable."""

POLL = 0.25
"""Seconds between two looks at the clock and at the wish to stop."""

SLOW = 20
"""Times the median seconds of a training after which one is taken to hang; never under MINUTES_AT_LEAST minutes."""

MINUTES_AT_LEAST = 10


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

    records: list[Record]
    ended: Record | None
    seconds: float
    outlook: Outlook
    problem: str | None = None


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
    call, and the ranking is written. `read` makes of a candidate's notation what the evaluator is given.
    """
    driver = _Driver(run, problem, evaluator, executor, seconds, read)
    try:
        trouble = yield from driver.drive(stopping)
    finally:
        driver.close()
    yield driver.status(trouble=trouble)


class _Driver:
    """The one process that writes the journal."""

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
        self.changed, self.written, self.writing = False, self.began, 0.0
        self.finished: dict[int, Record] = {}
        self.pending: dict[Future[Evaluation], Trial] = {}
        self.study = open_study(run.journal, problem.sampler(0))

    def drive(self, stopping: Callable[[], bool]) -> Generator[Status, None, str | None]:
        """Yields the status as it changes, and returns what went wrong, if anything."""
        requeue_running(self.study)
        if not self.study.get_trials(deepcopy=False):
            for candidate in self.problem.first():
                self._enqueue(candidate)
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
        records = self.records()
        return Status(records, ended, self._elapsed(), self.problem.outlook(records, self.executor.workers), trouble)

    def close(self) -> None:
        self.executor.stop()
        requeue_running(self.study)
        self.write_ranking()

    def records(self) -> list[Record]:
        """All records; those of trials that have ended are read only once."""
        found = []
        for trial in self.study.get_trials(deepcopy=False):
            record = self.finished.get(trial.number) or read_record(trial)
            if record is not None:
                found.append(record)
                if trial.state.is_finished():
                    self.finished[trial.number] = record
        return found

    def _write_ranking_if_due(self) -> None:
        """Spends no more than a tenth of the time on it, however long the ranking has become."""
        since = time.monotonic() - self.written
        if self.changed and since >= 10 * self.writing:
            self.write_ranking()

    def write_ranking(self) -> None:
        start = time.monotonic()
        write_atomically(self.run.ranking, to_csv(ranking(self.records(), self.problem.score)))
        self.changed, self.written = False, time.monotonic()
        self.writing = self.written - start

    def _begin_next(self) -> Step:
        """Begins what the problem and the clock allow, and returns what that was."""
        known = self.records()
        clock = Clock(self._seconds_left(), _typical(known), self.executor.workers, bool(self.pending))
        step = self.problem.next_step(known, clock)
        if isinstance(step, Wait | Done):
            return step
        if clock.left < clock.expected:
            return Wait()
        if isinstance(step, Train):
            self._enqueue(step.candidate)
        self.study.sampler = self.problem.sampler(self._proposals(known))
        try:
            trial = self.study.ask(dict(self.problem.distributions))
        except SpaceExhausted as error:
            drop_unborn(self.study)
            return Wait() if self.pending else Done(str(error))
        self._submit(trial, clock.expected)
        return step

    def _submit(self, trial: Trial, expected: float) -> None:
        if CANDIDATE not in trial.user_attrs:
            trial.set_user_attr(CANDIDATE, asdict(self.problem.candidate(trial.params)))
        candidate = Candidate.from_dict(trial.user_attrs[CANDIDATE])
        timeout = max(60.0 * MINUTES_AT_LEAST, SLOW * expected) if expected else None
        task: list[Any] = [self.read(candidate.notation), candidate.seed]
        if candidate.epochs is not None:
            task += [candidate.epochs, self.run.read_checkpoint(candidate.key, candidate.seed)]
        self.pending[self.executor.submit(self.evaluator, *task, timeout=timeout)] = trial

    def _end(self, trial: Trial, future: Future[Evaluation]) -> Record | None:
        """Tells the study what a training gave, or why it failed."""
        self.changed = True
        frozen = self.study._storage.get_trial(trial._trial_id)
        error = future.exception()
        if error is not None:
            fail(self.study, frozen, failure_reason(error), "".join(traceback.format_exception(error)))
        else:
            evaluation = future.result()
            candidate = Candidate.from_dict(trial.user_attrs[CANDIDATE])
            if evaluation.checkpoint is not None:
                self.run.write_checkpoint(candidate.key, candidate.seed, evaluation.checkpoint)
            trial.set_user_attr(EVALUATION, evaluation.to_dict())
            self.study.tell(trial, self.problem.score(evaluation.accuracy, candidate.flops))
        return read_record(self.study._storage.get_trial(trial._trial_id))

    def _enqueue(self, candidate: Candidate) -> None:
        enqueue(self.study, self.problem.params(candidate), candidate)

    def _proposals(self, known: list[Record]) -> int:
        """How many candidates the sampler has proposed; one that was interrupted is in the queue again."""
        return sum(
            record.candidate.source.removesuffix(PREDICTED) == self.problem.proposer and record.state != "interrupted"
            for record in known
        )

    def _elapsed(self) -> float:
        return time.monotonic() - self.began

    def _seconds_left(self) -> float:
        return math.inf if self.seconds is None else self.seconds - self._elapsed()


def _typical(known: Sequence[Record]) -> float:
    """Median seconds of a training, or 0 before the first has ended."""
    times = [record.seconds for record in known if record.seconds is not None]
    return median(times) if times else 0.0


def failure_reason(error: BaseException) -> str:
    """One line that says why a training failed."""
    text = str(error).strip().partition("\n")[0]
    if isinstance(error, Diverged):
        return f"{DIVERGED}: {text}"
    if isinstance(error, ProcessExpired):
        cause = f"signal {-error.exitcode}; perhaps out of memory" if error.exitcode < 0 else f"exit {error.exitcode}"
        return f"its worker died ({cause})"
    if isinstance(error, TimeoutError):
        return "took far longer than the others and was stopped"
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError" or "allocate memory" in text:
        return f"out of memory: {text}"
    return f"{type(error).__name__}: {text}"

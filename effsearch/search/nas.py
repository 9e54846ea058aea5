"""The architecture search: ask, train, tell."""

import hashlib
import math
import time
import traceback
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import asdict, dataclass, replace
from statistics import median

from optuna.trial import Trial
from pebble import ProcessExpired

from effsearch.architecture import Architecture, parse
from effsearch.cost import cost
from effsearch.evaluation import Evaluation
from effsearch.families import FAMILIES
from effsearch.runs.executor import Executor
from effsearch.runs.files import write_atomically
from effsearch.runs.folder import Run
from effsearch.runs.journal import drop_unborn, enqueue, fail, open_study, read_record, requeue_running
from effsearch.runs.ranking import ranking, to_csv
from effsearch.runs.records import CANDIDATE, EVALUATION, Candidate, Record
from effsearch.search.plan import Done, Propose, Repeat, Step, Wait, finish, next_step
from effsearch.search.samplers import SpaceExhausted, SpaceSampler, distributions, make_sampler
from effsearch.search.settings import Limits, NasSettings
from effsearch.space import Space
from effsearch.training import Diverged

Evaluator = Callable[[Architecture, int], Evaluation]
"""Trains an architecture under a seed, in a worker: it must be picklable."""

POLL = 0.25
"""Seconds between two looks at the clock and at the wish to stop."""

SLOW = 20
"""Times the median seconds of a training after which one is taken to hang; never under MINUTES_AT_LEAST minutes."""

MINUTES_AT_LEAST = 10


@dataclass(frozen=True)
class Status:
    """Where a search stands: its records, which of them has just ended, and the seconds since this call began."""

    records: list[Record]
    ended: Record | None
    seconds: float
    problem: str | None = None


def known_architectures(space: Space, settings: NasSettings) -> dict[str, Architecture]:
    """The families that lie in the space at its resolution and within the FLOPs window, by name."""
    at_resolution = {name: replace(known, resolution=settings.resolution) for name, known in FAMILIES.items()}
    return {name: known for name, known in at_resolution.items() if space.contains(known) and settings.feasible(known)}


def search(
    run: Run,
    space: Space,
    settings: NasSettings,
    limits: Limits,
    evaluator: Evaluator,
    executor: Executor,
    stopping: Callable[[], bool] = lambda: False,
) -> Iterator[Status]:
    """Drives a run until it is done, stopped or out of time, and yields its status four times a second.

    The caller holds the run. However this ends, the executor is stopped, what was running is queued for the next
    call, and the ranking is written.
    """
    driver = _Driver(run, space, settings, limits, evaluator, executor)
    try:
        problem = yield from driver.drive(stopping)
    finally:
        driver.close()
    yield driver.status(problem=problem)


class _Driver:
    """The one process that writes the journal."""

    def __init__(
        self, run: Run, space: Space, settings: NasSettings, limits: Limits, evaluator: Evaluator, executor: Executor
    ) -> None:
        self.run, self.space, self.settings, self.limits = run, space, settings, limits
        self.evaluator, self.executor = evaluator, executor
        self.began = time.monotonic()
        self.changed, self.written, self.writing = False, self.began, 0.0
        self.keys: dict[int, str] = {}
        self.finished: dict[int, Record] = {}
        self.pending: dict[Future[Evaluation], Trial] = {}
        self.known = {
            name: self._candidate(known, name) for name, known in known_architectures(space, settings).items()
        }
        self.study = open_study(run.journal, self._sampler(0))

    def drive(self, stopping: Callable[[], bool]) -> Generator[Status, None, str | None]:
        """Yields the status as it changes, and returns what went wrong, if anything."""
        requeue_running(self.study)
        if self.settings.warm_start and not self.study.get_trials(deepcopy=False):
            for candidate in self.known.values():
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

    def status(self, ended: Record | None = None, problem: str | None = None) -> Status:
        return Status(self.records(), ended, self._elapsed(), problem)

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
        write_atomically(self.run.ranking, to_csv(ranking(self.records(), self.settings.score)))
        self.changed, self.written = False, time.monotonic()
        self.writing = self.written - start

    def _begin_next(self) -> Step:
        """Begins what the plan and the clock allow, and returns what that was."""
        known = self.records()
        baseline = self.known.get("b0")
        step = next_step(known, self.settings, self.limits.trials, baseline)
        expected = self._expected_seconds(known)
        if isinstance(step, Propose) and self._seconds_left() < expected * (1 + self._rounds_of_repeats()):
            step = finish(known, self.settings, baseline, waiting=bool(self.pending))
        if isinstance(step, Propose | Repeat) and self._seconds_left() < expected:
            return Wait()
        if isinstance(step, Repeat):
            self._enqueue(replace(step.candidate, seed=step.seed))
        if isinstance(step, Propose | Repeat):
            self.study.sampler = self._sampler(self._proposals(known))
            try:
                trial = self.study.ask(distributions(self.space))
            except SpaceExhausted as error:
                drop_unborn(self.study)
                return Wait() if self.pending else Done(str(error))
            self._submit(trial, expected)
        return step

    def _submit(self, trial: Trial, expected: float) -> None:
        if CANDIDATE not in trial.user_attrs:
            architecture = self.space.decode(trial.params)
            trial.set_user_attr(CANDIDATE, asdict(self._candidate(architecture, self.settings.sampler)))
        candidate = Candidate(**trial.user_attrs[CANDIDATE])
        timeout = max(60.0 * MINUTES_AT_LEAST, SLOW * expected) if expected else None
        future = self.executor.submit(self.evaluator, parse(candidate.notation), candidate.seed, timeout=timeout)
        self.pending[future] = trial

    def _end(self, trial: Trial, future: Future[Evaluation]) -> Record | None:
        """Tells the study what a training gave, or why it failed."""
        self.changed = True
        frozen = self.study._storage.get_trial(trial._trial_id)
        error = future.exception()
        if error is not None:
            fail(self.study, frozen, failure_reason(error), "".join(traceback.format_exception(error)))
        else:
            evaluation = future.result()
            candidate = Candidate(**trial.user_attrs[CANDIDATE])
            trial.set_user_attr(EVALUATION, asdict(evaluation))
            self.study.tell(trial, self.settings.score(evaluation.accuracy, candidate.flops))
        return read_record(self.study._storage.get_trial(trial._trial_id))

    def _candidate(self, architecture: Architecture, source: str) -> Candidate:
        total = cost(architecture, classes=self.settings.classes)
        return Candidate(architecture.key, architecture.notation, total.flops, total.params, self.settings.seed, source)

    def _enqueue(self, candidate: Candidate) -> None:
        enqueue(self.study, self.space.encode(parse(candidate.notation)), candidate)

    def _sampler(self, index: int) -> SpaceSampler:
        """A sampler whose chance is that of the index-th proposal of the run, so that a resumed run goes on alike."""
        digest = hashlib.sha256(f"{self.settings.seed}:{index}".encode()).digest()
        seed = int.from_bytes(digest[:4], "big")
        return make_sampler(self.settings.sampler, self.space, self.settings.feasible, seed, self.keys)

    def _proposals(self, known: list[Record]) -> int:
        """How many architectures the sampler has proposed; one that was interrupted is in the queue again."""
        return sum(
            record.candidate.source == self.settings.sampler and record.state != "interrupted" for record in known
        )

    def _expected_seconds(self, known: list[Record]) -> float:
        times = [record.seconds for record in known if record.seconds is not None]
        return median(times) if times else 0.0

    def _rounds_of_repeats(self) -> int:
        trainings = (self.settings.finalists + len(self.known)) * (self.settings.repeats - 1)
        return math.ceil(trainings / self.executor.workers)

    def _elapsed(self) -> float:
        return time.monotonic() - self.began

    def _seconds_left(self) -> float:
        return math.inf if self.limits.seconds is None else self.limits.seconds - self._elapsed()


def failure_reason(error: BaseException) -> str:
    """One line that says why a training failed."""
    text = str(error).strip().partition("\n")[0]
    if isinstance(error, Diverged):
        return f"diverged: {text}"
    if isinstance(error, ProcessExpired):
        cause = f"signal {-error.exitcode}; perhaps out of memory" if error.exitcode < 0 else f"exit {error.exitcode}"
        return f"its worker died ({cause})"
    if isinstance(error, TimeoutError):
        return "took far longer than the others and was stopped"
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError" or "allocate memory" in text:
        return f"out of memory: {text}"
    return f"{type(error).__name__}: {text}"

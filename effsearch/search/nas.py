"""The architecture search, as a problem for the driver."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import median
from typing import Any

from optuna.distributions import BaseDistribution

from effsearch.architecture import Architecture, parse
from effsearch.cost import cost
from effsearch.families import FAMILIES
from effsearch.reward import Reward
from effsearch.runs.executor import Executor
from effsearch.runs.folder import Run
from effsearch.runs.records import Candidate, Record
from effsearch.search.driver import Evaluator, Status, drive, proposal_seed
from effsearch.search.plan import finish, next_step
from effsearch.search.samplers import Known, Memory, SpaceSampler, distributions, make_sampler
from effsearch.search.settings import Limits, NasSettings
from effsearch.search.steps import Clock, Outlook, Propose, Step
from effsearch.space import Space


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
    """Searches a space; see `driver.drive`."""
    return drive(run, NasProblem(space, settings, limits.trials), evaluator, executor, limits.seconds, stopping)


@dataclass
class NasProblem:
    """Warm starts, then what the sampler proposes until `trials` are finished, then repeats of the finalists."""

    space: Space
    settings: NasSettings
    trials: int
    memory: Memory = field(default_factory=Memory)

    def __post_init__(self) -> None:
        self.known = {
            name: self._candidate(known, name) for name, known in known_architectures(self.space, self.settings).items()
        }
        self.distributions: Mapping[str, BaseDistribution] = distributions(self.space)

    @property
    def score(self) -> Reward:
        return self.settings.score

    @property
    def proposer(self) -> str:
        return self.settings.sampler

    def first(self) -> Iterable[Candidate]:
        return self.known.values() if self.settings.warm_start else ()

    def sampler(self, proposals: int) -> SpaceSampler:
        seed = proposal_seed(self.settings.seed, proposals)
        known = Known(self.settings.score, self.settings.flops)
        return make_sampler(self.settings.sampler, self.space, self.settings.feasible, seed, self.memory, known)

    def next_step(self, records: Sequence[Record], clock: Clock) -> Step:
        baseline = self.known.get("b0")
        step = next_step(records, self.settings, self.trials, baseline)
        rounds = math.ceil(self._repeats() / clock.workers)
        if isinstance(step, Propose) and clock.left < clock.expected * (1 + rounds):
            return finish(records, self.settings, baseline, waiting=clock.pending)
        return step

    def params(self, candidate: Candidate) -> dict[str, Any]:
        return self.space.encode(parse(candidate.notation))

    def candidate(self, params: Mapping[str, Any]) -> Candidate:
        return self._candidate(self.space.decode(dict(params)), self.settings.sampler)

    def outlook(self, records: Sequence[Record], workers: int) -> Outlook:
        """Trainings that are still to come, at the median of those seen, shared by the workers."""
        complete = [record for record in records if record.state == "complete"]
        finished = len({record.candidate.key for record in complete})
        times = [record.seconds for record in complete if record.seconds is not None]
        repeats = sum(record.candidate.seed != self.settings.seed for record in complete)
        left = max(0, self.trials - finished) + max(0, self._repeats() - repeats)
        return Outlook(f"{finished}/{self.trials} architectures", left * median(times) / workers if times else None)

    def _repeats(self) -> int:
        """Trainings under further seeds, if no finalist is a known architecture."""
        return (self.settings.finalists + len(self.known)) * (self.settings.repeats - 1)

    def _candidate(self, architecture: Architecture, source: str) -> Candidate:
        total = cost(architecture, classes=self.settings.classes)
        return Candidate(architecture.key, architecture.notation, total.flops, total.params, self.settings.seed, source)

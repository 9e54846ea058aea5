"""The searches of a space and of a benchmark table, as problems for the driver."""

import math
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from statistics import median
from typing import Any, NamedTuple

import numpy as np

from effsearch.architecture import Architecture, parse
from effsearch.benchmark_table import Entry, Table
from effsearch.costs import cost
from effsearch.engine.auto import Features
from effsearch.engine.gaussian_process import Points
from effsearch.engine.plan import finish, most_further, next_step
from effsearch.engine.posterior import Judgement, judge
from effsearch.engine.problem import Clock, Done, Outlook, Problem, Propose, Step, Train, Wait, proposal_seed
from effsearch.engine.rungs import planned_epochs
from effsearch.engine.samplers import make_sampler
from effsearch.engine.space_sampler import Objective, SamplerContext, SpaceSampler, distributions
from effsearch.evaluation import Evaluation
from effsearch.evaluation.proxy import OVERHEAD
from effsearch.executors.latency_profiler import LatencyProfiler
from effsearch.families import FAMILIES
from effsearch.prior import accuracy as predicted_accuracy
from effsearch.runs.ranking import Judged
from effsearch.runs.records import PREDICTED, Candidate, Record, RecordIndex, epochs_alone
from effsearch.runs.settings import NasSettings, TableSettings
from effsearch.space import Space


class Costs(NamedTuple):
    """FLOPs (multiply-adds), parameters, and the latency in seconds, where it counts."""

    flops: int
    params: int
    latency: float | None


@dataclass(frozen=True)
class Budget:
    """Costs of architectures by the settings of a search; latency needs a profiler.

    FLOPs and parameters are exact. Measuring the latency of all that a sampler considers would take too long: it is
    predicted, and measured for what is about to be proposed.
    """

    settings: NasSettings
    profiler: LatencyProfiler | None = None

    def cost(self, architecture: Architecture) -> float:
        """The cost in the reward; a latency as predicted, so that proposals do not depend on what was measured when."""
        return self.settings.score.cost(self._predicted(architecture))

    def measured_cost(self, architecture: Architecture) -> float:
        """The cost in the reward of a network that was trained."""
        return self.settings.score.cost(self.measured(architecture))

    def feasible(self, architecture: Architecture) -> bool:
        """Whether an architecture is within the window and the limits, its latency as predicted."""
        return self.settings.allows(self._predicted(architecture))

    def confirmed(self, architecture: Architecture) -> bool:
        """The same by the latency as measured."""
        return self.profiler is None or self.settings.allows(self.measured(architecture))

    def measured(self, architecture: Architecture) -> Costs:
        """All costs; the latency is measured unless it was before."""
        return self._costs(architecture, None if self.profiler is None else self.profiler.measure(architecture))

    def _predicted(self, architecture: Architecture) -> Costs:
        return self._costs(architecture, None if self.profiler is None else self.profiler.expect(architecture))

    def _costs(self, architecture: Architecture, latency: float | None) -> Costs:
        total = cost(architecture, classes=self.settings.classes)
        return Costs(total.flops, total.params, latency)


def drawn_architectures(space: Space, budget: Budget, draws: int) -> Iterator[Architecture]:
    """Those of a random sequence of `draws` architectures that are within the window and the limits."""
    rng = random.Random(budget.settings.seed)
    for _ in range(draws):
        network = space.decode(space.sample(rng))
        if budget.feasible(network):
            yield network


def known_architectures(space: Space, budget: Budget) -> dict[str, Architecture]:
    """The families that lie in the space at its resolution and within the window and the limits, by name."""
    side = budget.settings.resolution
    at_resolution = {name: replace(known, resolution=side) for name, known in FAMILIES.items()}
    return {
        name: known
        for name, known in at_resolution.items()
        if space.contains(known) and budget.feasible(known) and budget.confirmed(known)
    }


@dataclass
class NasProblem(Problem):
    """Warm starts, then what the sampler proposes until `trials` are finished, then repeats of the finalists.

    With rungs, the best go on in between, and the finalists reach the last one.
    """

    space: Space
    settings: NasSettings
    trials: int
    profiler: LatencyProfiler | None = None

    def __post_init__(self) -> None:
        self.score, self.proposer = self.settings.score, self.settings.sampler
        budget = self.budget = Budget(self.settings, self.profiler)
        known = known_architectures(self.space, budget)
        self.known = {name: self._candidate(network, name) for name, network in known.items()}
        self.distributions = distributions(self.space)
        prior = predicted_accuracy if self.settings.prior else None
        objective = Objective(self.score, budget.cost, budget.confirmed, prior, budget.measured_cost)
        self.context = SamplerContext(self.space, budget.feasible, objective=objective)
        self._judged: tuple[int, Judgement | None] | None = None  # by the number of complete trainings

    @cached_property
    def features(self) -> Features:
        return Features(self.context)

    def first(self) -> Iterable[Candidate]:
        given = [self._candidate(parse(notation), "start") for notation in self.settings.start]
        known = self.known.values() if self.settings.warm_start else ()
        return {candidate.key: candidate for candidate in [*given, *known]}.values()

    def sampler(self, proposals: int) -> SpaceSampler:
        return make_sampler(self.proposer, self.context, proposal_seed(self.settings.seed, proposals))

    def next_step(self, records: RecordIndex, clock: Clock) -> Step:
        baseline = self.known.get("b0")
        step = next_step(records, self.settings, self.trials, baseline, self.judgement)
        begins = isinstance(step, Propose) or (isinstance(step, Train) and step.again)
        # The closing seconds take a walk over all records, so they are computed only under a time limit.
        limited = begins and math.isfinite(clock.left)
        if limited and clock.left < clock.expected + self._closing_seconds(records, clock, step):
            return finish(records, self.settings, baseline, self.judgement, waiting=clock.pending)
        return step

    def judgement(self, records: RecordIndex) -> Judgement | None:
        """What all trainings say together; None where accuracies are predicted, and nothing is left to chance."""
        if self.settings.evaluator == "prior":
            return None
        done = records.count("complete")
        if self._judged is None or self._judged[0] != done:
            found = judge(records.in_state("complete"), self.score, self.features.encoding, self._points)
            self._judged = done, found
        return self._judged[1]

    def judge(self, records: RecordIndex) -> Mapping[str, Judged]:
        found = self.judgement(records)
        return {} if found is None else found.by_key

    def _points(self, candidates: Sequence[Candidate]) -> Points:
        costs = np.array([self.score.cost(candidate) for candidate in candidates])
        networks = [parse(candidate.notation) for candidate in candidates]
        return self.features.points(list(map(self.params, candidates)), networks, costs)

    def params(self, candidate: Candidate) -> dict[str, Any]:
        return self.space.encode(parse(candidate.notation))

    def candidate(self, params: Mapping[str, Any]) -> Candidate:
        return self._candidate(self.space.decode(dict(params)), self.proposer)

    def outlook(self, records: RecordIndex, workers: int) -> Outlook:
        complete = [record for record in records if record.state == "complete"]
        finished = len({record.candidate.key for record in complete})
        total, done = self._planned(max(finished, self.trials)), sum(map(self._size, complete))
        text = f"{finished}/{self.trials} architectures"
        return Outlook.of(text, max(0, total - done), self._paces(complete), workers)

    def sample(self, count: int) -> list[Candidate]:
        """Networks that may be trained: known ones first, then random ones."""
        drawn = drawn_architectures(self.space, self.budget, 1000 * count)
        found = {candidate.key: candidate for candidate in self.first()}
        while len(found) < count and (network := next(drawn, None)) is not None:
            found.setdefault(network.key, self._candidate(network, "random"))
        return list(found.values())[:count]

    def planned_seconds(self, train: float, validate: float, workers: int) -> float:
        """Seconds of all trainings on that many workers, from seconds an image in training and in validation."""
        proxy = self.settings.proxy
        epochs = self._planned(self.trials) * (1 if self.settings.rungs else proxy.epochs)
        trainings = self.trials + self._repeats(self.trials)
        once = proxy.validation_images * validate + OVERHEAD
        return (epochs * proxy.train_images * train + trainings * once) / workers

    def _planned(self, trials: int) -> int:
        """Epochs of all trainings together, or without rungs their number."""
        if rungs := self.settings.rungs:
            return self._rung_epochs(trials) + self._repeats(trials) * rungs[-1]
        return trials + self._repeats(trials)

    def _size(self, record: Record) -> int:
        """Epochs of this part of a training; without rungs 1, since all trainings are alike."""
        rungs, candidate = self.settings.rungs, record.candidate
        if not rungs or candidate.epochs is None:
            return 1
        return epochs_alone(candidate.epochs, rungs) if candidate.seed == self.settings.seed else candidate.epochs

    def _paces(self, records: Iterable[Record]) -> list[float]:
        """Seconds of an epoch, or of a training without rungs."""
        return [record.seconds / self._size(record) for record in records if record.seconds is not None]

    def _closing_seconds(self, records: RecordIndex, clock: Clock, step: Step) -> float:
        """Seconds needed after a step to take the best up the rungs and to repeat the finalists."""
        there = len({record.candidate.key for record in records if record.state == "complete"})
        if not (rungs := self.settings.rungs):
            return clock.expected * math.ceil(self._repeats(there) / clock.workers)
        # A search that is promoting networks may leave out what does not become a finalist.
        promoted = there if isinstance(step, Propose) else min(there, self.settings.finalists)
        epochs = self._rung_epochs(promoted) - promoted * rungs[0] + self._repeats(there) * rungs[-1]
        return median(self._paces(records) or [0.0]) * epochs / clock.workers

    def _rung_epochs(self, networks: int) -> int:
        """Epochs of that many networks under the search's seed."""
        kept = 1 if "b0" in self.known and self.settings.warm_start else 0
        return planned_epochs(self.settings.rungs, networks, self.settings.finalists + kept)

    def _repeats(self, networks: int) -> int:
        """The most trainings under further seeds in a search of that many networks."""
        baseline = self.settings.repeats - 1 if "b0" in self.known else 0
        return most_further(self.settings, networks) + baseline

    def _candidate(self, architecture: Architecture, source: str) -> Candidate:
        costs, settings = self.budget.measured(architecture), self.settings
        epochs = settings.rungs[0] if settings.rungs else None
        named = architecture.key, architecture.notation, costs.flops, costs.params
        return Candidate(*named, settings.seed, source, epochs, latency=costs.latency)


@dataclass
class TableProblem(Problem):
    """Looks up what the sampler proposes, until `trials` networks are complete."""

    table: Table
    settings: TableSettings
    trials: int

    def __post_init__(self) -> None:
        settings = self.settings
        self.score, self.proposer = settings.score, settings.sampler
        objective = Objective(settings.score, settings.cost)
        self.context = SamplerContext(self.table, settings.feasible, objective=objective)
        self.distributions = distributions(self.table)

    def sampler(self, proposals: int) -> SpaceSampler:
        return make_sampler(self.proposer, self.context, proposal_seed(self.settings.seed, proposals))

    def next_step(self, records: RecordIndex, clock: Clock) -> Step:
        queued = records.count("queued")
        if queued or records.count("complete") + records.count("running") < self.trials:
            return Propose()
        return Wait() if clock.pending else Done()

    def params(self, candidate: Candidate) -> dict[str, Any]:
        return dict(self.table.encode(candidate.notation))

    def candidate(self, params: Mapping[str, Any]) -> Candidate:
        entry = self.table.decode(dict(params))
        source = self.proposer + (PREDICTED if entry.predicted else "")
        costs = round(entry.flops), round(entry.params)
        return Candidate(entry.key, entry.notation, *costs, self.settings.seed, source)

    def task(self, candidate: Candidate) -> Any:
        return self.table.parse(candidate.notation)

    def outlook(self, records: RecordIndex, workers: int) -> Outlook:
        return Outlook(f"{records.count('complete')}/{self.trials} networks", None)


def look_up(entry: Entry, seed: int) -> Evaluation:
    """The accuracy that a table has for a network, whatever the seed."""
    return Evaluation(entry.accuracy, epochs=0, seconds=0.0)

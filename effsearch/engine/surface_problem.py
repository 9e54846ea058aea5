"""The search for coefficients that the fitted surface steers: trainings go where they tell most of its optimum."""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import astuple, dataclass, replace
from functools import cached_property
from itertools import count
from statistics import mean

import numpy as np

from effsearch.engine.growth_problems import GridProblem
from effsearch.engine.problem import Clock, Done, Outlook, Step, Train, Wait
from effsearch.engine.retries import due_again, is_due, next_due, queued_or_given_up
from effsearch.engine.steering import Cells, Steering, design, difference_told
from effsearch.evaluation.proxy import Forecast
from effsearch.runs.ranking import Judged, ranking
from effsearch.runs.records import Candidate, RecordIndex
from effsearch.runs.settings import GridSettings
from effsearch.runs.surface import Array, Surface, fit_surface
from effsearch.scaling import PAPER, Coefficients

FIRST = 12  # networks that are trained before the fit says where to go on
LEAST_TRAININGS = 18  # of a search whose time would allow fewer: the first networks, and the repeats at its end
BASELINE = Coefficients(1, 1, 1)


def grid_problem(settings: GridSettings, trials: int) -> GridProblem:
    """The problem of the method that the settings name."""
    return (SurfaceProblem if settings.method == "surface" else GridProblem)(settings, trials)


@dataclass
class SurfaceProblem(GridProblem):
    """Trains a few networks all over the grid, then those that tell most of the optimum, until it is known.

    It ends as `Surface.is_told` says, or with `trials` trainings, the repeats of baseline, paper's and leader included.
    """

    trials: int = LEAST_TRAININGS

    def __post_init__(self) -> None:
        super().__post_init__()
        # The baseline is not on the constraint, so it tells nothing of the surface.
        self.grown = [each for each in self.candidates if each.coefficients != BASELINE]
        self._fitted: tuple[int, Surface | None] = -1, None  # by the number of complete trainings

    @cached_property
    def networks(self) -> Cells:
        flops = np.array([each.flops for each in self.grown], np.float64)
        triples = np.array([_triple(each) for each in self.grown], np.float64).reshape(-1, 3)
        keys = tuple(each.key for each in self.grown)
        return Cells(keys, triples, np.log2(flops / self.score.target), flops)

    @cached_property
    def order(self) -> list[Candidate]:
        """All networks in the order in which a search begins: the references, then a design."""
        named = {cell.architecture.key for cell in self.cells if cell.name}
        first = [row for row, each in enumerate(self.grown) if each.key in named]
        begun = [each for each in self.candidates if each.coefficients == BASELINE]
        return begun + [self.grown[row] for row in design(self.networks, self.settings.grid.target, first)]

    def next_step(self, records: RecordIndex, clock: Clock) -> Step:
        if (step := queued_or_given_up(records)) is not None:
            return step
        if (again := due_again(records)) is not None:
            return Train(again)
        trainings = _Trainings.of(records)
        if self._goes_on(trainings, records, clock) and (step := self._search(trainings, records)) is not None:
            return step
        return self._close(trainings, records)

    def _goes_on(self, trainings: "_Trainings", records: RecordIndex, clock: Clock) -> bool:
        """Whether trials and time are left besides those of the repeats at the end."""
        closing = self._closing(trainings, records)
        # Of very few trainings at least some are spent on the search.
        if len(trainings.begun) + min(closing, self.trials // 3) >= self.trials:
            return False
        return clock.left >= clock.expected * (1 + math.ceil(closing / clock.workers))

    def _search(self, trainings: "_Trainings", records: RecordIndex) -> Step | None:
        """The next training that tells of the optimum, or None where it is known, or nothing would tell more."""
        able = [each for each in self.order if each.key not in trainings.failed]
        new = [each for each in able if each.key not in trainings.seeds]
        surface = self.surface(records)
        if new and (surface is None or len(able) - len(new) < FIRST):
            return self._train(new[0], trainings)
        if surface is not None:
            return None if surface.is_told else self._steer(surface, trainings)
        if trainings.running:
            return Wait()
        # A grid of so few networks that nothing is fitted.
        few = [each for each in able if len(trainings.seeds[each.key]) < self.settings.repeats]
        return self._train(min(few, key=lambda each: len(trainings.seeds[each.key])), trainings) if few else None

    def _steer(self, surface: Surface, trainings: "_Trainings") -> Step | None:
        """Train the network that tells most of the optimum for its FLOPs; what is running counts as done."""
        networks, steering = self.networks, Steering.of(surface, self.networks)
        for row, key in enumerate(networks.keys):
            for _ in range(trainings.running.get(key, 0)):
                steering = steering.given(row)
        gains = steering.gains / networks.flops
        gains[[key in trainings.failed for key in networks.keys]] = -1
        return self._train(self.grown[int(gains.argmax())], trainings) if gains.max() >= 0 else None

    def _train(self, candidate: Candidate, trainings: "_Trainings") -> Train:
        """Under the first seed that the network was not trained under: seeds are paired as far as they go."""
        seeds = trainings.seeds.get(candidate.key, ())
        seed = next(seed for seed in count(self.settings.seed) if seed not in seeds)
        return Train(replace(candidate, seed=seed, epochs=self.settings.proxy.epochs))

    def _close(self, trainings: "_Trainings", records: RecordIndex) -> Step:
        """Repeat the baseline, the paper's and the leader, which is known once the search has ended."""
        seeds, epochs = self.settings.seeds, self.settings.proxy.epochs
        last = Wait() if trainings.running else Done()
        if len(trainings.begun) >= self.trials:
            return last
        compared = self._compared()
        if (due := next_due(compared, records, seeds, epochs)) is not None:
            return Train(due)
        leader = self._leader(trainings, records)
        if trainings.running.keys() - {each.key for each in [*compared, *leader]}:
            return Wait()
        due = next_due(leader, records, seeds, epochs)
        return last if due is None else Train(due)

    def _closing(self, trainings: "_Trainings", records: RecordIndex) -> int:
        """How many trainings the repeats at the end would take now."""
        chosen = {each.key: each for each in [*self._compared(), *self._leader(trainings, records)]}
        epochs = self.settings.proxy.epochs
        attempts = (records.attempts((key, seed, epochs)) for key in chosen for seed in self.settings.seeds)
        return sum(map(is_due, attempts))

    def _compared(self) -> list[Candidate]:
        return [each for each in self.candidates if each.key in self.compared]

    def _leader(self, trainings: "_Trainings", records: RecordIndex) -> list[Candidate]:
        """The candidate with the highest expected accuracy at equal FLOPs, trained or not; none if all have failed."""
        able = [
            (row, each)
            for row, each in enumerate(self.grown)
            if each.key not in self.references and each.key not in trainings.failed
        ]
        if (surface := self.surface(records)) is not None:
            expected = self._at_equal_flops(surface).mean(1)
            return [each for _, each in sorted(able, key=lambda one: -expected[one[0]])][:1]
        ranks = {row.key: row.rank or 0 for row in ranking(records.in_state("complete"), self.score)}
        return sorted((each for _, each in able if each.key in ranks), key=lambda each: ranks[each.key])[:1]

    def surface(self, records: RecordIndex) -> Surface | None:
        """The fit to all complete trainings."""
        done = records.count("complete")
        if self._fitted[0] != done:
            rows = ranking(records.in_state("complete"), self.score)
            self._fitted = done, fit_surface(rows, self.settings.grid.target)
        return self._fitted[1]

    def _at_equal_flops(self, surface: Surface) -> Array:
        networks = self.networks
        return surface.accuracies(networks.keys, networks.triples, np.zeros(len(networks.keys)))

    def judge(self, records: RecordIndex) -> Mapping[str, Judged]:
        """The accuracy at equal FLOPs of the candidates that were trained, and the probability that it is the best."""
        if (surface := self.surface(records)) is None:
            return {}
        trained = {*surface.networks.keys} - self.references
        judged = [row for row, key in enumerate(self.networks.keys) if key in trained]
        if not judged:
            return {}
        drawn = self._at_equal_flops(surface)[judged]
        best = np.bincount(drawn.argmax(0), minlength=len(drawn)) / drawn.shape[1]
        rows = zip(judged, drawn.mean(1).tolist(), best.tolist(), strict=True)
        return {self.networks.keys[row]: Judged(expected, expected, share) for row, expected, share in rows}

    def outlook(self, records: RecordIndex, workers: int) -> Outlook:
        times = [record.seconds or 0.0 for record in records if record.state == "complete"]
        planned = max(len(times), self.trials)
        return Outlook.of(f"{len(times)}/{planned} trainings", planned - len(times), times, workers)

    def planned_epochs(self) -> int:
        return self.trials * self.settings.proxy.epochs

    def training_seconds(self, forecast: Forecast) -> float:
        """Seconds of a training, the mean of all networks of the grid."""
        proxy = self.settings.proxy
        return mean(forecast.seconds(cell.architecture, proxy, proxy.epochs) for cell in self.cells)

    def difference_told(self, sd: float, trainings: int) -> float:
        """The least difference of accuracy between directions of growth that trainings tell, for an sd of seeds."""
        root = self.settings.grid.target**0.5
        alone = [[self.settings.grid.target, 1.0, 1.0], [1.0, root, 1.0], [1.0, 1.0, root]]
        directions = np.array([[*astuple(PAPER)], *alone])
        return difference_told(self.networks, self.settings.grid.target, trainings, directions, sd)


def _triple(candidate: Candidate) -> tuple[float, ...]:
    assert candidate.coefficients is not None
    return astuple(candidate.coefficients)


@dataclass(frozen=True)
class _Trainings:
    """What was begun: the trainings (key and seed), the seeds of each network, how many of it run, and those failed."""

    begun: frozenset[tuple[str, int]]
    seeds: Mapping[str, frozenset[int]]
    running: Mapping[str, int]
    failed: frozenset[str]

    @classmethod
    def of(cls, records: RecordIndex) -> "_Trainings":
        tried = [record.candidate for record in records if record.state != "interrupted"]
        begun = frozenset((each.key, each.seed) for each in tried)
        seeds: dict[str, set[int]] = {}
        for key, seed in begun:
            seeds.setdefault(key, set()).add(seed)
        # What is tried again is due, and begins before anything else.
        failed = frozenset(group[0].candidate.key for group in records.failing())
        running = Counter(record.candidate.key for record in records.in_state("running"))
        return cls(begun, {key: frozenset(found) for key, found in seeds.items()}, running, failed)

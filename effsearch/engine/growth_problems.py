"""The trainings of networks that a baseline grows into, as problems for the driver: coefficients, and curves."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from optuna.distributions import FloatDistribution
from optuna.samplers import BaseSampler, RandomSampler

from effsearch.architecture import Architecture
from effsearch.coefficient_grid import Cell
from effsearch.costs import cost
from effsearch.engine.coefficient_sampler import CoefficientSampler, coefficient_distributions
from effsearch.engine.problem import Clock, Outlook, Problem, Propose, Step, Train, Wait, proposal_seed
from effsearch.engine.retries import next_due, queued_or_given_up, train_all
from effsearch.engine.rungs import HALVING_ETA, halve
from effsearch.evaluation.proxy import Forecast
from effsearch.runs.ranking import ranking
from effsearch.runs.records import Candidate, RecordIndex, epochs_alone
from effsearch.runs.settings import SAMPLED, CurvesSettings, GridSettings
from effsearch.scaling import Coefficients, Multipliers, grow

CANDIDATE: Literal["candidate"] = "candidate"  # role of a cell without a name that is no reference, and its source


@dataclass
class GridProblem(Problem):
    """Trains the networks of a grid, by `method`, then repeats the finalists under paired seeds.

    `trials` is how many networks a sampler proposes (tpe, evolution).
    """

    settings: GridSettings
    trials: int = 24
    cells: list[Cell] = field(init=False)

    def __post_init__(self) -> None:
        self.score, self.proposer = self.settings.score, CANDIDATE
        self.cells = self.settings.cells()
        self.distributions = coefficient_distributions(self.settings.grid)
        self.candidates = [self._candidate(cell) for cell in self.cells]
        self.references = {cell.architecture.key for cell in self.cells if cell.role == "reference"}
        self.compared = {cell.architecture.key for cell in self.cells if cell.name in ("baseline", "paper")}

    def sampler(self, proposals: int) -> BaseSampler:
        settings = self.settings
        seed = proposal_seed(settings.seed, proposals)
        if settings.method not in SAMPLED:
            return RandomSampler(seed)  # Never asked: every network is known beforehand.
        return CoefficientSampler(settings.method, settings.architecture, settings.grid, settings.classes, seed)

    def next_step(self, records: RecordIndex, clock: Clock) -> Step:
        if (step := queued_or_given_up(records)) is not None:
            return step
        if self.settings.method == "grid":
            return self._train_all(self.candidates, records)
        if self.settings.method == "halving":
            return self._halve(records)
        return self._propose(records)

    def _halve(self, records: RecordIndex) -> Step:
        step, survivors = halve(self.candidates, self.references | self.compared, self.settings.rungs, records)
        return step or self._repeat_finalists(survivors, records)

    def _propose(self, records: RecordIndex) -> Step:
        # A network whose training diverged counts, since it would diverge again.
        counted = [r for r in records if r.state in ("running", "complete", "queued") or r.failure_kind == "diverged"]
        proposed = [record.candidate for record in counted if record.candidate.source == CANDIDATE]
        if len({candidate.key for candidate in proposed}) < self.trials:
            due = next_due(self.candidates, records, self.settings.seeds[:1], self.settings.proxy.epochs)
            return Propose() if due is None else Train(due)
        return self._repeat_finalists(proposed, records)

    def _repeat_finalists(self, alive: Sequence[Candidate], records: RecordIndex) -> Step:
        if records.count("running"):
            return Wait()
        return self._train_all(self._finalists(alive, records), records)

    def _train_all(self, chosen: Sequence[Candidate], records: RecordIndex) -> Step:
        return train_all(chosen, records, self.settings.seeds, self.settings.proxy.epochs)

    def params(self, candidate: Candidate) -> dict[str, Any]:
        assert candidate.coefficients is not None
        return asdict(candidate.coefficients)

    def candidate(self, params: Mapping[str, Any]) -> Candidate:
        """The network of coefficients that a sampler proposed."""
        settings, found = self.settings, Coefficients(**params)
        network = grow(settings.architecture, found.at(settings.grid.phi), settings.grid.rounding)
        total = cost(network, classes=settings.classes)
        return self._candidate(Cell(network, (found,), CANDIDATE, "", total, total.flops / settings.base_flops))

    def outlook(self, records: RecordIndex, workers: int) -> Outlook:
        complete = [record for record in records if record.state == "complete" and record.epochs]
        done = sum(self._epochs(record.candidate) for record in complete)
        planned = max(done, self.planned_epochs())
        paces = [(record.seconds or 0.0) / self._epochs(record.candidate) for record in complete]
        return Outlook.of(f"{done}/{planned} epochs", planned - done, paces, workers)

    def planned_epochs(self) -> int:
        """Epochs of all networks together, if nothing fails."""
        return sum(count * epochs for _, count, epochs in self._planned())

    def planned_seconds(self, forecast: Forecast, workers: int) -> float:
        """Seconds of all networks together on that many workers, if nothing fails."""
        seconds, proxy = 0.0, self.settings.proxy
        for networks, count, epochs in self._planned():
            total = sum(forecast.seconds(network, proxy, epochs) for network in networks)
            seconds += count * total / max(1, len(networks))
        return seconds / workers

    def _planned(self) -> list[tuple[list[Architecture], int, int]]:
        """The networks of a group, the number of trainings that are planned of it, and the epochs of each."""
        settings, epochs = self.settings, self.settings.proxy.epochs
        free = [cell.architecture for cell in self.cells if cell.role == CANDIDATE]
        kept = [cell.architecture for cell in self.cells if cell.role == "reference"]
        if settings.method == "grid":
            return [(free + kept, settings.repeats * len(self.cells), epochs)]
        repeats = (settings.repeats - 1) * (settings.finalists + len(self.compared))
        planned = [(free + kept, repeats, epochs)]
        if settings.method != "halving":
            return [*planned, (kept, len(kept) + self.trials, epochs)]
        for index, rung in enumerate(settings.rungs):
            more = epochs_alone(rung, settings.rungs)
            planned += [(kept, len(kept), more), (free, -(-len(free) // HALVING_ETA**index), more)]
        return planned

    def _epochs(self, candidate: Candidate) -> int:
        """Epochs beyond the rung below."""
        until = candidate.epochs or self.settings.proxy.epochs
        if self.settings.method != "halving" or candidate.seed != self.settings.seed:
            return until
        return epochs_alone(until, self.settings.rungs)

    def _candidate(self, cell: Cell) -> Candidate:
        network, settings = cell.architecture, self.settings
        costs = network.key, network.notation, cell.cost.flops, cell.cost.params
        return Candidate(*costs, settings.seed, cell.source, settings.proxy.epochs, cell.coefficients)

    def _finalists(self, survivors: Sequence[Candidate], records: RecordIndex) -> list[Candidate]:
        """The best-ranked candidates, and what they are compared with.

        Means change as seeds are added, so those that have been repeated stay, and others join while there is room.
        """
        alive = {candidate.key: candidate for candidate in survivors if candidate.key not in self.references}
        ranked = [row for row in ranking(records, self.score) if row.key in alive and row.rank is not None]
        chosen = [row.key for row in ranked if row.seeds > 1]
        chosen += [row.key for row in ranked if row.key not in chosen][: self.settings.finalists - len(chosen)]
        compared = [candidate for candidate in self.candidates if candidate.key in self.compared]
        return compared + [alive[key] for key in chosen if key not in self.compared]


@dataclass
class CurvesProblem(Problem):
    """Trains every network of the curves of figures 3 and 4 (1905.11946) under every seed, seed by seed."""

    settings: CurvesSettings

    def __post_init__(self) -> None:
        self.score, self.proposer = self.settings.score, "curve"
        self.distributions = {name: FloatDistribution(1, 100) for name in ("depth", "width", "resolution")}
        self.candidates = [self._candidate(network, by) for network, by in self.settings.networks().values()]

    def sampler(self, proposals: int) -> BaseSampler:
        return RandomSampler(self.settings.seed)  # Never asked: every training is known beforehand.

    def next_step(self, records: RecordIndex, clock: Clock) -> Step:
        seeds, epochs = self.settings.seeds, self.settings.proxy.epochs
        return queued_or_given_up(records) or train_all(self.candidates, records, seeds, epochs)

    def params(self, candidate: Candidate) -> dict[str, Any]:
        assert candidate.multipliers is not None
        return asdict(candidate.multipliers)

    def candidate(self, params: Mapping[str, Any]) -> Candidate:
        by = Multipliers(**params)
        return self._candidate(grow(self.settings.architecture, by), by)

    def outlook(self, records: RecordIndex, workers: int) -> Outlook:
        planned = len(self.candidates) * self.settings.repeats
        times = [record.seconds or 0.0 for record in records if record.state == "complete"]
        return Outlook.of(f"{len(times)}/{planned} trainings", planned - len(times), times, workers)

    def planned_seconds(self, forecast: Forecast, workers: int) -> float:
        """Seconds of all trainings together on that many workers."""
        proxy = self.settings.proxy
        once = sum(forecast.seconds(network, proxy, proxy.epochs) for network, _ in self.settings.networks().values())
        return self.settings.repeats * once / workers

    def _candidate(self, network: Architecture, by: Multipliers) -> Candidate:
        total = cost(network, classes=self.settings.classes)
        name = f"d={by.depth:.3g} w={by.width:.3g} r={by.resolution:.3g}"
        costs = (network.key, network.notation, total.flops, total.params)
        return Candidate(*costs, self.settings.seed, name, self.settings.proxy.epochs, multipliers=by)

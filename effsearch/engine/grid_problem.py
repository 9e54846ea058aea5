"""The search for alpha, beta and gamma, as a problem for the driver."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, RandomSampler

from effsearch.architecture import Architecture
from effsearch.coefficient_grid import Cell
from effsearch.cost import cost
from effsearch.engine.coefficient_sampler import CoefficientSampler, coefficient_distributions
from effsearch.engine.driver import proposal_seed
from effsearch.engine.forecast import Forecast
from effsearch.engine.halving import HALVING_ETA, Ladder
from effsearch.engine.retries import given_up, is_running, next_due, train_all
from effsearch.engine.steps import Clock, Done, Outlook, Propose, Step, Train, Wait
from effsearch.reward import Reward
from effsearch.runs.ranking import ranking
from effsearch.runs.records import Candidate, Record, epochs_alone
from effsearch.runs.settings import GridSettings
from effsearch.scaling import Coefficients, grow

CANDIDATE = "candidate"
"""The source of a network that is neither named nor a reference."""


@dataclass
class GridProblem:
    """Trains the networks of a grid, by `method`, then repeats the finalists under paired seeds.

    `trials` is how many networks a sampler proposes (tpe, evolution). `found` may hold the cells if they are known.
    """

    settings: GridSettings
    trials: int = 24
    found: list[Cell] = field(default_factory=list)
    distributions: Mapping[str, BaseDistribution] = field(init=False)
    proposer: str = field(init=False)

    def __post_init__(self) -> None:
        settings = self.settings
        self.found = self.found or settings.cells()
        self.candidates = [self._candidate(cell) for cell in self.found]
        self.references = {
            c.key for cell, c in zip(self.found, self.candidates, strict=True) if cell.role == "reference"
        }
        self.compared = {
            c.key for cell, c in zip(self.found, self.candidates, strict=True) if cell.name in ("baseline", "paper")
        }
        self.proposer = CANDIDATE
        self.distributions = coefficient_distributions(settings.grid)

    @property
    def score(self) -> Reward:
        return self.settings.score

    def first(self) -> Iterable[Candidate]:
        return ()

    def sampler(self, proposals: int) -> BaseSampler:
        settings = self.settings
        seed = proposal_seed(settings.seed, proposals)
        if settings.method in ("grid", "halving"):
            return RandomSampler(seed)  # Never asked: every training is known beforehand.
        return CoefficientSampler(settings.method, settings.architecture, settings.grid, settings.classes, seed)

    def next_step(self, records: Sequence[Record], clock: Clock) -> Step:
        if any(record.state == "queued" for record in records):
            return Propose()
        broken = given_up(records)
        if broken is not None:
            return Wait() if clock.pending else Done(broken)
        settings = self.settings
        method, epochs = settings.method, settings.proxy.epochs
        if method == "grid":
            return train_all(self.candidates, records, settings.seeds, epochs)
        if method == "halving":
            ladder = self._ladder()
            going = ladder.next(records)
            if going is not None:
                return Train(going)
            if is_running(records):
                return Wait()
            return train_all(self._finalists(ladder.survivors(records), records), records, settings.seeds, epochs)
        proposed = [record for record in records if record.candidate.source == CANDIDATE and self._counts(record)]
        if len({record.candidate.key for record in proposed}) < self.trials:
            due = next_due(self.candidates, records, settings.seeds[:1], epochs)
            return Propose() if due is None else Train(due)
        if is_running(records):
            return Wait()
        finalists = self._finalists([record.candidate for record in proposed], records)
        return train_all(finalists, records, settings.seeds, epochs)

    def params(self, candidate: Candidate) -> dict[str, Any]:
        found = candidate.coefficients
        assert found is not None
        return asdict(found)

    def candidate(self, params: Mapping[str, Any]) -> Candidate:
        """What a sampler proposed: coefficients that meet the constraint."""
        settings, found = self.settings, Coefficients(**params)
        network = grow(settings.architecture, found.at(settings.grid.phi), settings.grid.rounding)
        total = cost(network, classes=settings.classes)
        return self._candidate(Cell(network, (found,), "candidate", "", total, total.flops / settings.base_flops))

    def outlook(self, records: Sequence[Record], workers: int) -> Outlook:
        """Epochs trained, of those that are planned; the time left at their median pace."""
        complete = [record for record in records if record.state == "complete" and record.epochs]
        done = sum(self._epochs(record.candidate) for record in complete)
        planned = max(done, self.planned_epochs())
        paces = [(record.seconds or 0.0) / self._epochs(record.candidate) for record in complete]
        left = (planned - done) * median(paces) / workers if paces else None
        return Outlook(f"{done}/{planned} epochs", left)

    def planned_epochs(self) -> int:
        """Of all networks together, if nothing fails."""
        settings = self.settings
        epochs, repeats, count = settings.proxy.epochs, settings.repeats, len(self.candidates)
        if settings.method == "grid":
            return count * repeats * epochs
        again = (repeats - 1) * epochs * (settings.finalists + len(self.compared))
        if settings.method == "halving":
            return self._ladder_epochs() + again
        return (count + self.trials) * epochs + again

    def planned_seconds(self, forecast: Forecast, workers: int) -> float:
        """Of all networks together on so many workers, if nothing fails."""
        settings, proxy = self.settings, self.settings.proxy
        free = [cell.architecture for cell in self.found if cell.role == "candidate"]
        kept = [cell.architecture for cell in self.found if cell.role == "reference"]

        def mean_seconds(networks: Sequence[Architecture], epochs: int) -> float:
            return sum(forecast.seconds(network, proxy, epochs) for network in networks) / max(1, len(networks))

        count, everything = len(free), free + kept
        if settings.method == "grid":
            return settings.repeats * len(everything) * mean_seconds(everything, proxy.epochs) / workers
        again = (settings.repeats - 1) * (settings.finalists + len(self.compared))
        total = again * mean_seconds(everything, proxy.epochs)
        if settings.method == "halving":
            before = 0
            for rung in settings.rungs:
                total += len(kept) * mean_seconds(kept, rung - before) + count * mean_seconds(free, rung - before)
                count, before = -(-count // HALVING_ETA), rung
        else:
            total += (len(kept) + self.trials) * mean_seconds(kept, proxy.epochs)
        return total / workers

    def _ladder_epochs(self) -> int:
        kept, free, total, before = len(self.references), len(self.candidates) - len(self.references), 0, 0
        for rung in self.settings.rungs:
            total += (kept + free) * (rung - before)
            free, before = -(-free // HALVING_ETA), rung
        return total

    def _epochs(self, candidate: Candidate) -> int:
        """The epochs that a training has in this part alone."""
        until = candidate.epochs or self.settings.proxy.epochs
        if self.settings.method != "halving" or candidate.seed != self.settings.seed:
            return until
        return epochs_alone(until, self.settings.rungs)

    def _ladder(self) -> Ladder:
        return Ladder(self.settings.rungs, tuple(self.candidates), frozenset(self.references | self.compared))

    def _candidate(self, cell: Cell) -> Candidate:
        return Candidate(
            cell.architecture.key,
            cell.architecture.notation,
            cell.cost.flops,
            cell.cost.params,
            self.settings.seed,
            cell.source,
            self.settings.proxy.epochs,
            cell.coefficients,
        )

    def _finalists(self, survivors: Sequence[Candidate], records: Sequence[Record]) -> list[Candidate]:
        """The first of the ranking among candidates, and what they are compared with.

        Means move as seeds are added, so those that have been repeated stay, and no more join than there is room for.
        """
        alive = {candidate.key: candidate for candidate in survivors if candidate.key not in self.references}
        ranked = [row for row in ranking(records, self.score) if row.key in alive and row.rank is not None]
        chosen = [row.key for row in ranked if row.seeds > 1]
        chosen += [row.key for row in ranked if row.key not in chosen][: self.settings.finalists - len(chosen)]
        compared = [candidate for candidate in self.candidates if candidate.key in self.compared]
        rest = [alive[key] for key in chosen if key not in self.compared]
        return compared + rest

    @staticmethod
    def _counts(record: Record) -> bool:
        return record.state in ("running", "complete", "queued") or record.diverged

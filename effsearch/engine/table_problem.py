"""The search of a benchmark table, as a problem for the driver: accuracies are looked up, not trained."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from optuna.distributions import BaseDistribution

from effsearch.benchmark_table import Entry, Table
from effsearch.engine.driver import proposal_seed
from effsearch.engine.samplers import Known, Memory, SpaceSampler, distributions, make_sampler
from effsearch.engine.steps import Clock, Done, Outlook, Propose, Step, Wait
from effsearch.evaluation import Evaluation
from effsearch.reward import Reward
from effsearch.runs.records import PREDICTED, Candidate, Record
from effsearch.runs.settings import TableSettings


def look_up(entry: Entry, seed: int) -> Evaluation:
    """What a table says of a network: its accuracy after no epoch of training."""
    return Evaluation(entry.accuracy, epochs=0, seconds=0.0)


@dataclass
class TableProblem:
    """What the sampler proposes, until `trials` are looked up."""

    table: Table
    settings: TableSettings
    trials: int
    memory: Memory = field(default_factory=Memory)

    def __post_init__(self) -> None:
        self.distributions: Mapping[str, BaseDistribution] = distributions(self.table)

    @property
    def score(self) -> Reward:
        return self.settings.score

    @property
    def proposer(self) -> str:
        return self.settings.sampler

    def first(self) -> Iterable[Candidate]:
        return ()

    def sampler(self, proposals: int) -> SpaceSampler:
        settings = self.settings
        seed, known = proposal_seed(settings.seed, proposals), Known(settings.score, settings.cost)
        return make_sampler(settings.sampler, self.table, settings.feasible, seed, self.memory, known)

    def next_step(self, records: Sequence[Record], clock: Clock) -> Step:
        done = sum(record.state in ("complete", "running", "queued") for record in records)
        if done < self.trials or any(record.state == "queued" for record in records):
            return Propose()
        return Wait() if clock.pending else Done()

    def params(self, candidate: Candidate) -> dict[str, Any]:
        return dict(self.table.encode(candidate.notation))

    def candidate(self, params: Mapping[str, Any]) -> Candidate:
        entry, settings = self.table.decode(dict(params)), self.settings
        source = settings.sampler + (PREDICTED if entry.predicted else "")
        flops, params_ = round(entry.flops), round(entry.params)
        return Candidate(entry.key, entry.notation, flops, params_, settings.seed, source)

    def outlook(self, records: Sequence[Record], workers: int) -> Outlook:
        finished = sum(record.state == "complete" for record in records)
        return Outlook(f"{finished}/{self.trials} networks", None)

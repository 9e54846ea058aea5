"""The search of a benchmark table, as a problem for the driver: accuracies are looked up, not trained."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from effsearch.benchmark_table import Entry, Table
from effsearch.engine.problem import Clock, Done, Outlook, Problem, Propose, Step, Wait, proposal_seed
from effsearch.engine.samplers import make_sampler
from effsearch.engine.space_sampler import Objective, SamplerContext, SpaceSampler, distributions
from effsearch.evaluation import Evaluation
from effsearch.runs.records import PREDICTED, Candidate, RecordIndex
from effsearch.runs.settings import TableSettings


def look_up(entry: Entry, seed: int) -> Evaluation:
    """The accuracy that a table has for a network, whatever the seed."""
    return Evaluation(entry.accuracy, epochs=0, seconds=0.0)


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

    def outlook(self, records: RecordIndex, workers: int) -> Outlook:
        return Outlook(f"{records.count('complete')}/{self.trials} networks", None)

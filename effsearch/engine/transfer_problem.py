"""Trainings of several networks on several image sets, as a problem."""

from collections.abc import Sequence

from effsearch.engine.known_trainings import KnownTrainings
from effsearch.evaluation.fine_tuning import Transfer
from effsearch.network.weights import Start
from effsearch.runs.records import Candidate
from effsearch.runs.transfer_settings import TransferNetwork, TransferSet, TransferSettings


class TransferProblem(KnownTrainings):
    """Trains every network on every set under `repeats` seeds, from what each of `starts` holds."""

    def __init__(self, settings: TransferSettings, repeats: int, starts: Sequence[Start | None]) -> None:
        self.settings, self.starts = settings, starts
        self.score, self.proposer = settings.score, "transfer"
        pairs = [(network, images) for images in settings.sets for network in settings.networks]
        self.pairs = {settings.key(*pair): pair for pair in pairs}
        super().__init__("transfer", [self._candidate(*pair) for pair in pairs], settings.seed, repeats)

    def task(self, candidate: Candidate) -> Transfer:
        network, images = self.pairs[candidate.key]
        start = self.starts[self.settings.networks.index(network)]
        return Transfer(network.architecture, start, self.settings.sets.index(images))

    def _candidate(self, network: TransferNetwork, images: TransferSet) -> Candidate:
        settings, total = self.settings, self.settings.cost(network, images)
        key = settings.key(network, images)
        return Candidate(key, network.notation, total.flops, total.params, settings.seed, network.weights)

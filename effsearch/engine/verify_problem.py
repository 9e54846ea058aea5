"""Long trainings of networks that a search found and of those that they are compared with, as a problem."""

from effsearch.costs import cost
from effsearch.engine.known_trainings import KnownTrainings
from effsearch.evaluation.proxy import OVERHEAD
from effsearch.runs.records import Candidate
from effsearch.runs.settings import VerifiedNetwork, VerifySettings


class VerifyProblem(KnownTrainings):
    """Trains every network under `repeats` seeds, seed by seed, so that those that were finished are always paired."""

    def __init__(self, settings: VerifySettings, repeats: int) -> None:
        self.settings = settings
        self.score, self.proposer = settings.score, "verify"
        candidates = [self._candidate(network) for network in settings.networks]
        super().__init__("network", candidates, settings.seed, repeats, settings.proxy.epochs)

    def planned_seconds(self, train: float, validate: float, workers: int) -> float:
        """Seconds of all trainings on that many workers, from seconds an image in training and in validation."""
        proxy = self.settings.proxy
        images = proxy.epochs * proxy.train_images * train + proxy.validation_images * validate
        return len(self.candidates) * self.repeats * (images + OVERHEAD) / workers

    def _candidate(self, network: VerifiedNetwork) -> Candidate:
        settings, found = self.settings, network.architecture
        total = cost(found, classes=settings.classes)
        costs = (found.key, found.notation, total.flops, total.params)
        return Candidate(*costs, settings.seed, network.role, settings.proxy.epochs)

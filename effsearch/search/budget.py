"""What the networks of a search cost, and which of them may be trained."""

from dataclasses import dataclass
from typing import NamedTuple

from effsearch.architecture import Architecture
from effsearch.cost import cost
from effsearch.runs.meter import Meter
from effsearch.search.settings import NasSettings


class Costs(NamedTuple):
    """FLOPs (multiply-adds), parameters, and the latency in seconds, where it counts."""

    flops: int
    params: int
    latency: float | None


@dataclass(frozen=True)
class Budget:
    """Costs of architectures by the settings of a search; latency needs a meter.

    FLOPs and parameters are exact. To measure the latency of all that a sampler thinks of would take too long: it is
    predicted, and measured of what is about to be proposed.
    """

    settings: NasSettings
    meter: Meter | None = None

    def cost(self, architecture: Architecture) -> float:
        """What the reward weighs, a latency as it is predicted, so that nothing depends on what was measured when."""
        return self.settings.score.cost(self._expected(architecture))

    def spent(self, architecture: Architecture) -> float:
        """What the reward of a network that was trained has weighed."""
        return self.settings.score.cost(self.measured(architecture))

    def feasible(self, architecture: Architecture) -> bool:
        """Whether an architecture is within the window and the limits, its latency as predicted."""
        return self.settings.allows(self._expected(architecture))

    def confirmed(self, architecture: Architecture) -> bool:
        """The same by the latency as it is measured, now if need be."""
        return self.meter is None or self.settings.allows(self.measured(architecture))

    def measured(self, architecture: Architecture) -> Costs:
        """All costs, the latency measured now if need be."""
        return self._costs(architecture, None if self.meter is None else self.meter.measure(architecture))

    def _expected(self, architecture: Architecture) -> Costs:
        """All costs, the latency as it is predicted."""
        return self._costs(architecture, None if self.meter is None else self.meter.expect(architecture))

    def _costs(self, architecture: Architecture, latency: float | None) -> Costs:
        total = cost(architecture, classes=self.settings.classes)
        return Costs(total.flops, total.params, latency)

"""How a network is trained, as a value."""

import math
from dataclasses import dataclass, field

from effsearch.data.augmentation import Augmentation


@dataclass(frozen=True)
class Recipe:
    """SGD with Nesterov momentum, linear warm-up, cosine decay and an average of the weights for evaluation.

    `rate` is the peak learning rate at `batch` images a step; `warmup` a share of all steps; `weight_decay` spares
    norms and biases; `ema` is the decay of the weight average a step, reached gradually; `dropout` is on the
    classifier, `drop_path` the stochastic depth of the last block (1603.09382). `zero_init` starts residual
    branches and the classifier at zero (1706.02677, section 5.1).
    """

    batch: int = 64
    rate: float = 0.2
    momentum: float = 0.9
    weight_decay: float = 1e-4
    warmup: float = 0.1
    label_smoothing: float = 0.1
    ema: float = 0.98
    dropout: float = 0.0
    drop_path: float = 0.0
    zero_init: bool = True
    augmentation: Augmentation = field(default_factory=lambda: Augmentation(crop="none"))

    def rate_at(self, step: int, steps: int) -> float:
        """The learning rate of step `step` (from 0) of `steps`."""
        warm = max(1, round(self.warmup * steps))
        if step < warm:
            return self.rate * (step + 1) / warm
        return self.rate * 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))

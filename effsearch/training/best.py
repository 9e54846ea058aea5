"""The best epoch of a training that may stop early."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from torch import Tensor, nn

from effsearch.training import Epoch, best_epoch


@dataclass
class Best:
    """The weights that `network` had at the best epoch of its training, which ends `patience` epochs after that."""

    network: nn.Module
    patience: int
    state: dict[str, Tensor] = field(default_factory=dict)

    def see(self, history: Sequence[Epoch]) -> None:
        """Keeps the weights if the last epoch is the best."""
        if best_epoch([epoch.accuracy for epoch in history]) == len(history):
            self.state = {name: value.clone() for name, value in self.network.state_dict().items()}

    def is_over(self, history: Sequence[Epoch]) -> bool:
        """Whether the training has gone on in vain for as many epochs as patience lasts."""
        return len(history) - best_epoch([epoch.accuracy for epoch in history]) >= self.patience

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Takes up what another training kept; raises KeyError for that of another network."""
        self.state = {name: state[name] for name in self.network.state_dict()}

    def restore(self) -> None:
        """Gives the network its best weights back."""
        self.network.load_state_dict(self.state)

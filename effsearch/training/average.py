"""The average of a network's weights, which is validated in its place."""

import copy

import torch
from torch import Tensor, nn


class Average:
    """An exponential average of weights and buffers, `network`, whose decay grows so that initial weights fade soon."""

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.network = copy.deepcopy(network)
        self.decay = decay
        self.updates = 0
        self._sources, self._averaged = (_tensors(each, floating=True) for each in (network, self.network))
        self._counts, self._counted = (_tensors(each, floating=False) for each in (network, self.network))

    @torch.no_grad()
    def update(self) -> None:
        """Adds the network of this step to the average; integer buffers are copied."""
        if self._averaged and self.updates:
            share = 1 - min(self.decay, (1 + self.updates) / (10 + self.updates))
            torch._foreach_lerp_(self._averaged, self._sources, share)
        elif self._averaged:
            torch._foreach_copy_(self._averaged, self._sources)
        if self._counted:
            torch._foreach_copy_(self._counted, self._counts)
        self.updates += 1

    def state_dict(self) -> dict[str, Tensor]:
        """All tensors and the number of updates, with the names of torch's AveragedModel."""
        tensors = {f"module.{name}": value for name, value in self.network.state_dict().items()}
        return {"n_averaged": torch.tensor(self.updates), **tensors}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Restores the state; raises KeyError or RuntimeError for that of another network."""
        tensors = {name.removeprefix("module."): value for name, value in state.items()}
        self.updates = int(tensors.pop("n_averaged"))
        self.network.load_state_dict(tensors)


def _tensors(network: nn.Module, floating: bool) -> list[Tensor]:
    return [each for each in (*network.parameters(), *network.buffers()) if each.is_floating_point() == floating]

"""The average of a network's weights, which is what is validated."""

import copy

import torch
from torch import Tensor, nn


class Average:
    """An exponential average of weights and buffers that starts short: the first random weights are soon forgotten.

    `network` is the average as a module. A step takes two calls for all tensors together, and is counted on the host.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.network = copy.deepcopy(network)
        self.decay = decay
        self.updates = 0
        self._sources, self._averaged = _floats(network), _floats(self.network)
        self._counts, self._counted = _counts(network), _counts(self.network)

    @torch.no_grad()
    def update(self) -> None:
        """Takes the network as it is now into the average; counts of batches are copied."""
        if self._averaged and self.updates:
            share = 1 - min(self.decay, (1 + self.updates) / (10 + self.updates))
            torch._foreach_lerp_(self._averaged, self._sources, share)
        elif self._averaged:
            torch._foreach_copy_(self._averaged, self._sources)
        if self._counted:
            torch._foreach_copy_(self._counted, self._counts)
        self.updates += 1

    def state_dict(self) -> dict[str, Tensor]:
        """Every tensor by its name, and how many updates there were; named as torch's AveragedModel names them."""
        tensors = {f"module.{name}": value for name, value in self.network.state_dict().items()}
        return {"n_averaged": torch.tensor(self.updates), **tensors}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Goes on from what `state_dict` gave; raises KeyError or RuntimeError for that of another network."""
        self.updates = int(state["n_averaged"])
        self.network.load_state_dict(
            {name.removeprefix("module."): value for name, value in state.items() if name != "n_averaged"}
        )


def _floats(network: nn.Module) -> list[Tensor]:
    return [tensor for tensor in (*network.parameters(), *network.buffers()) if tensor.is_floating_point()]


def _counts(network: nn.Module) -> list[Tensor]:
    return [tensor for tensor in network.buffers() if not tensor.is_floating_point()]

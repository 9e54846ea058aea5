"""Counts a built network with fvcore, to hold the closed form to it."""

import warnings
from dataclasses import dataclass

import torch
from torch import nn
from torch.jit._trace import TracerWarning
from torchvision import models


@dataclass(frozen=True)
class Count:
    """The operations of one image that fvcore counts, by operator, and the parameters of the module."""

    operators: dict[str, int]
    params: int

    @property
    def flops(self) -> int:
        """Multiply-adds of convolutions and linear layers alone."""
        return self.operators.get("conv", 0) + self.operators.get("linear", 0)


def count(network: nn.Module, resolution: int) -> Count:
    """Traces `network` on one image of `resolution` px."""
    with warnings.catch_warnings():
        # fvcore uses torch.jit, which torch deprecates by warnings of several categories.
        warnings.filterwarnings("ignore", message=".*torch.jit")
        warnings.filterwarnings("ignore", category=TracerWarning)
        from fvcore.nn import FlopCountAnalysis

        analysis = FlopCountAnalysis(network.eval(), torch.zeros(1, 3, resolution, resolution))
        analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
        operators = {name: int(flops) for name, flops in analysis.by_operator().items()}
    return Count(operators, sum(parameter.numel() for parameter in network.parameters()))


def count_torchvision(name: str, resolution: int) -> Count:
    """Counts a network of torchvision by its name there, such as resnet152, with 1000 classes."""
    options = {"aux_logits": False, "init_weights": False} if name == "inception_v3" else {}
    with torch.no_grad():
        return count(models.get_model(name, weights=None, **options), resolution)

"""How fast proxy trainings are on this machine, from a few steps of each network."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from effsearch.architecture import Architecture
from effsearch.evaluation.proxy import Proxy
from effsearch.network import build
from effsearch.training.loop import precision

WARM_UP, STEPS, SECONDS = 2, 20, 0.8
"""Steps that are not timed; then at most so many, or for so long."""


@dataclass(frozen=True)
class Speed:
    """Seconds for each image in training and in validation."""

    train: float
    validate: float

    def training(self, proxy: Proxy, epochs: int, validations: int = 1) -> float:
        """Seconds of a training that validates so many times."""
        return epochs * proxy.train_images * self.train + validations * proxy.validation_images * self.validate


def measure(networks: list[tuple[Architecture, Proxy]], classes: int, cuda: bool) -> list[Speed]:
    """The speed of each network at the resolution of its proxy, on one CPU thread or the first GPU."""
    if not cuda:
        torch.set_num_threads(1)
    return [
        _measure(architecture, proxy, classes, torch.device("cuda" if cuda else "cpu"))
        for architecture, proxy in networks
    ]


def _measure(architecture: Architecture, proxy: Proxy, classes: int, device: torch.device) -> Speed:
    network = build(proxy.shrink(architecture), classes).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.SGD(network.parameters(), proxy.recipe.rate, momentum=proxy.recipe.momentum)
    side, batch = proxy.resolution, proxy.recipe.batch
    x = torch.randn(batch, 3, side, side, device=device).to(memory_format=torch.channels_last)
    labels = torch.zeros(batch, dtype=torch.long, device=device)

    def step() -> None:
        with precision(device):
            loss = torch.nn.functional.cross_entropy(network(x), labels)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    @torch.inference_mode()
    def look() -> None:
        network(x)

    return Speed(_time(step, device) / batch, _time(look, device) / batch)


def _time(step: Callable[[], None], device: torch.device) -> float:
    """Median seconds of a step."""
    times = []
    for index in range(WARM_UP + STEPS):
        start = time.perf_counter()
        step()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        if index >= WARM_UP:
            times.append(time.perf_counter() - start)
        if sum(times) > SECONDS:
            break
    return sorted(times)[len(times) // 2]

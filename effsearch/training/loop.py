"""The training loop."""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from effsearch.data.augment import augment, normalise
from effsearch.data.imageset import ImageSet, Split
from effsearch.data.splits import epoch_order
from effsearch.training.checkpoint import pack, unpack
from effsearch.training.damage import DamagedCheckpoint
from effsearch.training.epoch import Diverged, Epoch
from effsearch.training.recipe import Recipe

Tensors = tuple[Tensor, ...] | list[Tensor]

CHECK_EVERY = 50
"""Steps between two looks at the loss: a look makes a GPU wait."""


class Trained(NamedTuple):
    """The epochs of a training, the averaged network that was evaluated, and a checkpoint if it is to go on."""

    history: list[Epoch]
    network: nn.Module
    checkpoint: bytes | None


def train(
    network: nn.Module,
    images: ImageSet,
    recipe: Recipe,
    *,
    resolution: int,
    epochs: int,
    seed: int,
    device: torch.device,
    every_epoch: bool = False,
    on_epoch: Callable[[Epoch], None] | None = None,
    on_step: Callable[[int, int], None] | None = None,
    keep: Callable[[bytes], None] | None = None,
    until: int | None = None,
    checkpoint: bytes | None = None,
    accumulation: int = 1,
) -> Trained:
    """Trains `network` at `resolution` px.

    Validation accuracy is measured after the last epoch, or after each. The seed gives order, augmentation and
    dropout; two networks with one seed see the same images in the same order. A training may stop after epoch `until`,
    and go on from the `checkpoint` that it then leaves: both parts together do exactly what one does. `keep` gets a
    checkpoint after every epoch but the last, and then `on_epoch` the epoch; `on_step` is told now and then how many
    steps of how many are done. A batch goes through the network in `accumulation` parts, in as much less memory, and
    makes one step all the same. Raises Diverged, and DamagedCheckpoint.
    """
    network = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    average = AveragedModel(network, multi_avg_fn=_ema(recipe.ema), use_buffers=True)
    optimizer = _optimizer(network, recipe)
    criterion = nn.CrossEntropyLoss(label_smoothing=recipe.label_smoothing)
    generator = torch.Generator(device).manual_seed(seed)
    torch.manual_seed(seed)
    source = Source(images.train, device)
    steps_per_epoch = max(1, len(images.train) // recipe.batch)
    history = [] if checkpoint is None else unpack(checkpoint, network, average, optimizer, generator)
    steps, step, last = epochs * steps_per_epoch, len(history) * steps_per_epoch, until or epochs
    if len(history) > last:
        raise DamagedCheckpoint(f"the training has come to epoch {len(history)}, and {last} are asked for")
    for epoch in range(len(history) + 1, last + 1):
        start, total = time.perf_counter(), torch.zeros((), device=device)
        network.train()
        order = epoch_order(len(images.train), seed, epoch)
        for batch in range(steps_per_epoch):
            pixels, labels = source.batch(order[batch * recipe.batch : (batch + 1) * recipe.batch])
            x = augment(pixels, resolution, recipe.augmentation, generator)
            for group in optimizer.param_groups:
                group["lr"] = recipe.rate_at(step, steps, steps_per_epoch)
            optimizer.zero_grad(set_to_none=True)
            for part, truth in zip(x.tensor_split(accumulation), labels.tensor_split(accumulation), strict=True):
                with precision(device):
                    loss = criterion(network(part), truth) * (len(part) / len(x))
                loss.backward()
                total += loss.detach()
            optimizer.step()
            average.update_parameters(network)
            step += 1
            if batch % CHECK_EVERY == 0 or batch + 1 == steps_per_epoch:
                if not torch.isfinite(total):
                    raise Diverged(f"the loss is not finite in epoch {epoch}, step {batch + 1} of {steps_per_epoch}")
                if on_step is not None:
                    on_step(step, steps)
        measured = every_epoch or epoch == last
        reached = accuracy(average, images.validation, resolution, device) if measured else None
        seconds = time.perf_counter() - start
        history.append(Epoch(epoch, total.item() / steps_per_epoch, reached, seconds))
        if keep is not None and epoch < epochs:
            keep(pack(network, average, optimizer, generator, history))
        if on_epoch is not None:
            on_epoch(history[-1])
    state = pack(network, average, optimizer, generator, history) if last < epochs else None
    return Trained(history, average.module, state)


def accuracy(network: nn.Module, split: Split, resolution: int, device: torch.device, batch: int = 256) -> float:
    """The share of images of a split that the network, in evaluation mode, classes rightly."""
    return top_accuracy(network, split, resolution, device, 1, batch)


@torch.inference_mode()
def top_accuracy(
    network: nn.Module, split: Split, resolution: int, device: torch.device, top: int, batch: int = 256
) -> float:
    """The share of images whose class is among the `top` that the network thinks likeliest."""
    network.eval()
    source = Source(split, device)
    right = torch.zeros((), device=device)
    for first in range(0, len(split), batch):
        pixels, labels = source.batch(np.arange(first, min(first + batch, len(split))))
        with precision(device):
            logits = network(normalise(pixels, resolution))
        right += (logits.topk(top).indices == labels[:, None]).sum()
    return right.item() / len(split)


class Source:
    """Batches of a split on the training device; a GPU keeps the whole split if it fits in a quarter of its memory."""

    def __init__(self, split: Split, device: torch.device) -> None:
        self.split = split
        self.device = device
        self.labels = torch.from_numpy(split.labels).to(device)
        self.resident: Tensor | None = None
        size = len(split) * split.pixels[0].nbytes
        if device.type == "cuda" and size < torch.cuda.mem_get_info(device)[0] / 4:
            self.resident = torch.from_numpy(split.images(np.arange(len(split)))).to(device)

    def batch(self, index: np.ndarray) -> tuple[Tensor, Tensor]:
        """Pixels uint8 (N, H, W, 3) and labels (N,) of the images at `index`."""
        there = torch.from_numpy(index).to(self.device)
        if self.resident is not None:
            return self.resident[there], self.labels[there]
        return torch.from_numpy(self.split.images(index)).to(self.device), self.labels[there]


def precision(device: torch.device) -> AbstractContextManager[object]:
    """What networks compute in on a device: bf16 autocast on a GPU, float32 on a CPU."""
    # On a CPU bf16 trains slower than float32: the backward pass of depthwise convolutions has no fast bf16 kernel.
    return torch.autocast("cuda", torch.bfloat16) if device.type == "cuda" else nullcontext()


def _optimizer(network: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = recipe.norm_momentum
    groups = _decayed(network, recipe.weight_decay)
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=recipe.rate, momentum=recipe.momentum, nesterov=recipe.momentum > 0)
    # As TensorFlow has it in the paper's code: decay 0.9, and an epsilon as large as that.
    return torch.optim.RMSprop(groups, lr=recipe.rate, alpha=0.9, eps=1e-3, momentum=recipe.momentum)


def _decayed(network: nn.Module, weight_decay: float) -> Iterator[dict[str, object]]:
    weights = [parameter for parameter in network.parameters() if parameter.ndim > 1]
    others = [parameter for parameter in network.parameters() if parameter.ndim <= 1]
    yield {"params": weights, "weight_decay": weight_decay}
    yield {"params": others, "weight_decay": 0.0}


def _ema(decay: float) -> Callable[[Tensors, Tensors, Tensor | int], None]:
    """An exponential average that starts short, so that the first random weights are soon forgotten."""

    def update(averaged: Tensors, current: Tensors, updates: Tensor | int) -> None:
        count = int(updates)
        share = 1 - min(decay, (1 + count) / (10 + count))
        if averaged[0].is_floating_point():
            torch._foreach_lerp_(averaged, current, share)
        else:
            torch._foreach_copy_(averaged, current)

    return update

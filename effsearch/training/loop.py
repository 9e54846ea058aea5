"""The training loop."""

import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from effsearch.data.augment import augment, normalise
from effsearch.data.imageset import ImageSet, epoch_order
from effsearch.data.mix import Mix
from effsearch.network.layers import fast, folded
from effsearch.normalisation import IMAGENET, Normalisation
from effsearch.training import CorruptCheckpoint, Diverged, Epoch
from effsearch.training.average import Average
from effsearch.training.batches import Batches
from effsearch.training.best import Best
from effsearch.training.checkpoint import pack, unpack
from effsearch.training.graph import Replayed
from effsearch.training.precision import precision
from effsearch.training.recipe import Recipe

CHECK_EVERY = 50  # steps between two checks of the loss, each of which makes a GPU wait
OnStep = Callable[[int, int], None]  # is given the steps done and in all


class Validation(NamedTuple):
    """Shares of images whose class is the most likely, or among the five most likely; mean cross-entropy (nats)."""

    accuracy: float
    top5: float
    loss: float


class Trained(NamedTuple):
    """The epochs of a training, the averaged network that was evaluated, and a checkpoint unless it is at its end."""

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
    on_step: OnStep | None = None,
    keep: Callable[[bytes], None] | None = None,
    until: int | None = None,
    checkpoint: bytes | None = None,
    accumulation: int = 1,
    patience: int | None = None,
) -> Trained:
    """Trains `network` at `resolution` px.

    Accuracy is validated after the last epoch, or after each. The seed sets the order of images, augmentation and
    dropout. A training may stop after epoch `until` and continue from the `checkpoint` that it returns, with the same
    results. `keep` gets a checkpoint after every epoch but the last, then `on_epoch` the epoch; `on_step` gets the
    steps done and in all. `accumulation` is into how many parts a batch is split. With `patience` the training ends
    that many epochs after the best, whose network it returns. Raises Diverged, CorruptCheckpoint.
    """
    network = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    average = Average(network, recipe.ema)
    optimizer = _optimizer(network, recipe)
    criterion = nn.CrossEntropyLoss(label_smoothing=recipe.label_smoothing)
    generator = torch.Generator(device).manual_seed(seed)
    torch.manual_seed(seed)
    source, validation = Batches(images.train, device), Batches(images.validation, device)
    total = torch.zeros((), device=device)
    backward = _backward(network, criterion, total, accumulation)
    normalisation = normalisation_of(network)
    steps_per_epoch = max(1, len(images.train) // recipe.batch)
    mix = Mix(recipe.mixup, recipe.cutmix, len(images.classes)) if recipe.mixup or recipe.cutmix else None
    best = None if patience is None else Best(average.network, patience)
    history = [] if checkpoint is None else unpack(checkpoint, network, average, optimizer, generator, best)
    steps, step, last = epochs * steps_per_epoch, len(history) * steps_per_epoch, until or epochs
    if len(history) > last:
        raise CorruptCheckpoint(f"the training has come to epoch {len(history)}, and {last} are asked for")
    for epoch in range(len(history) + 1, last + 1):
        if best is not None and best.is_over(history):
            break
        start = time.perf_counter()
        network.train()
        total.zero_()
        order = epoch_order(len(images.train), seed, epoch)
        with fast(network) if device.type == "cpu" else nullcontext():
            for batch, (pixels, labels) in enumerate(source.of(order, recipe.batch, steps_per_epoch), 1):
                x = augment(pixels, resolution, recipe.augmentation, generator, normalisation)
                if mix is not None:
                    x, labels = mix(x, labels)
                for group in optimizer.param_groups:
                    group["lr"] = group["share"] * recipe.rate_at(step, steps, steps_per_epoch)
                backward(x, labels)
                optimizer.step()
                average.update()
                step += 1
                if batch % CHECK_EVERY == 1 or batch == steps_per_epoch:
                    if not torch.isfinite(total):
                        raise Diverged(f"the loss is not finite in epoch {epoch}, step {batch} of {steps_per_epoch}")
                    if on_step is not None:
                        on_step(step, steps)
        reached = None
        if every_epoch or best is not None or epoch == last:
            reached = validate(average.network, validation, resolution, images_at_once(recipe, accumulation))
        seconds = time.perf_counter() - start
        loss = total.item() / steps_per_epoch
        history.append(Epoch(epoch, loss, reached and reached.accuracy, seconds, reached and reached.loss))
        if best is not None:
            best.see(history)
        if keep is not None and epoch < epochs:
            keep(pack(network, average, optimizer, generator, history, best))
        if on_epoch is not None:
            on_epoch(history[-1])
    state = pack(network, average, optimizer, generator, history, best) if last < epochs else None
    if best is not None:
        best.restore()
    return Trained(history, average.network, state)


def _backward(
    network: nn.Module, criterion: nn.Module, total: Tensor, accumulation: int
) -> Callable[[Tensor, Tensor], None]:
    """Computes the gradients of a batch, accumulated from so many parts, and adds its loss to `total`."""
    parameters, device = [*network.parameters()], total.device

    def backward(x: Tensor, labels: Tensor) -> None:
        for parameter in parameters:
            parameter.grad = None
        for part, truth in zip(x.tensor_split(accumulation), labels.tensor_split(accumulation), strict=True):
            with precision(device):
                loss = criterion(network(part), truth) * (len(part) / len(x))
            loss.backward()
            total.add_(loss.detach())

    # Batches are in parts for want of memory, and a graph takes more of it.
    return Replayed(backward) if device.type == "cuda" and accumulation == 1 else backward


def images_at_once(recipe: Recipe, accumulation: int = 1) -> int:
    """The batch size of a validation: four times that of a training, which keeps gradients; at most 256."""
    return min(256, max(1, 4 * recipe.batch // accumulation))


@torch.inference_mode()
def validate(network: nn.Module, images: Batches, resolution: int, batch: int = 256) -> Validation:
    """Evaluates all images in evaluation mode, `batch` at a time."""
    right, five, loss = (torch.zeros((), device=images.device) for _ in range(3))
    for logits, labels in answers(network, images, resolution, batch):
        hits = logits.topk(min(5, logits.shape[1])).indices == labels[:, None]
        right += hits[:, 0].sum()
        five += hits.sum()
        loss += functional.cross_entropy(logits, labels, reduction="sum")
    return Validation(*(total.item() / len(images) for total in (right, five, loss)))


@torch.inference_mode()
def answers(network: nn.Module, images: Batches, resolution: int, batch: int = 256) -> Iterator[tuple[Tensor, Tensor]]:
    """The logits (n, classes), as float32, and the labels (n,) of all images in turn, `batch` at a time."""
    network.eval()
    cpu = images.device.type == "cpu"
    with folded(network) if cpu else nullcontext(), fast(network) if cpu else nullcontext():
        for pixels, labels in images.of(np.arange(len(images)), batch):
            with precision(images.device):
                logits = network(normalise(pixels, resolution, normalisation_of(network)))
            yield logits.float(), labels


def normalisation_of(network: nn.Module) -> Normalisation:
    """That of the images of a network of ours; of any other ImageNet's."""
    found: Normalisation = getattr(network, "normalisation", IMAGENET)
    return found


def _optimizer(network: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = recipe.bn_momentum
    groups = [
        {"params": parameters, "weight_decay": decay, "share": share}
        for share, part in _parts(network, recipe)
        for parameters, decay in (
            ([each for each in part if each.ndim > 1], recipe.weight_decay),
            ([each for each in part if each.ndim <= 1], 0.0),  # norms and biases
        )
    ]
    if recipe.optimizer == "sgd":
        nesterov = recipe.momentum > 0
        return torch.optim.SGD(groups, lr=recipe.rate, momentum=recipe.momentum, nesterov=nesterov, fused=True)
    # As in the paper's code for TensorFlow: decay 0.9 and a large epsilon.
    return torch.optim.RMSprop(groups, lr=recipe.rate, alpha=0.9, eps=1e-3, momentum=recipe.momentum, foreach=True)


def _parts(network: nn.Module, recipe: Recipe) -> list[tuple[float, list[nn.Parameter]]]:
    """Parameters that are trained at the same share of the recipe's rate."""
    if recipe.backbone_rate == 1:
        return [(1.0, [*network.parameters()])]
    classifier = [*network.get_submodule("classifier").parameters()]
    known = set(map(id, classifier))
    return [(recipe.backbone_rate, [each for each in network.parameters() if id(each) not in known]), (1.0, classifier)]

"""What a trained network says of images: the most likely classes with their probabilities, and how good that is."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from effsearch.data import Split
from effsearch.data.sources import DecodedImages
from effsearch.errors import WeightsError
from effsearch.evaluation.scores import FIVE, Answers, Prediction
from effsearch.network import Network
from effsearch.network.weights import Weights
from effsearch.training.batches import Batches
from effsearch.training.loop import answers


def rank_classes(
    network: Network, split: Split, resolution: int, device: str, batch: int, top: int = FIVE
) -> tuple[Tensor, Tensor, Tensor]:
    """The `top` most likely classes (N, K) of all images, and log-probabilities: theirs (N, K), that of the label (N,).

    Images are resized and normalised as in a validation, `batch` at a time, and the tensors returned are on the CPU.
    """
    parts = []
    for logits, labels in answers(network, Batches(split, torch.device(device)), resolution, batch):
        log = logits.log_softmax(1)
        best = log.topk(min(top, log.shape[1]))
        parts.append((best.indices, best.values, log.gather(1, labels[:, None])[:, 0]))
    classes, logs, of_label = (torch.cat(part).cpu() for part in zip(*parts, strict=True))
    return classes, logs, of_label


def answer(network: Network, split: Split, resolution: int, device: str, batch: int) -> Answers:
    """What a network says of the images of a split; raises WeightsError where that is no number."""
    classes, logs, of_label = rank_classes(network, split, resolution, device, batch)
    check_finite(of_label)
    return Answers(split.labels, classes.numpy(), logs.double().exp().numpy(), of_label.double().numpy())


def predict(
    weights: Weights, names: Sequence[str], decoded: Iterable[DecodedImages], device: str, top: int
) -> Iterator[Prediction]:
    """Predictions of decoded images, whose labels are their places in `names`; raises WeightsError."""
    network = weights.network().to(device)
    for images in decoded:
        if not (count := len(images.labels)):
            continue
        split = Split(images.pixels, np.arange(count), np.zeros(count, np.int64))  # No label is known.
        found, logs, _ = rank_classes(network, split, weights.architecture.resolution, device, count, top)
        check_finite(logs)
        for place, row, shares in zip(images.labels, found.tolist(), logs.double().exp().tolist(), strict=True):
            yield Prediction(names[place], tuple(weights.classes[number] for number in row), tuple(shares))


def check_finite(values: Tensor) -> None:
    """Raises WeightsError where something that a network gives is no number."""
    if not torch.isfinite(values).all():
        raise WeightsError("the network's outputs are not numbers: its weights are NaN, infinite or far too large")

"""Transfer of a network to an image set by a linear classifier on its features, which are computed once and kept."""

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from effsearch.data import Split
from effsearch.data.cache import cache_folder
from effsearch.evaluation import Evaluation
from effsearch.evaluation.devices import check_device, given_back
from effsearch.evaluation.fine_tuning import Transfer, images_of
from effsearch.evaluation.hardware import watchdog
from effsearch.files import write_atomically
from effsearch.network import Network, build
from effsearch.training.batches import Batches
from effsearch.training.loop import answers

PENALTIES = tuple(10.0**-power for power in range(7))  # on the squared weights, of which validation chooses one
STEPS = 50  # iterations of L-BFGS at most, for each penalty
AT_ONCE = 64  # images whose features are computed together


@dataclass(frozen=True)
class LinearProbe:
    """Fits linear classifiers to features of the packed image sets in `folders`; a value that can be sent to a worker.

    Of each set at most `train_images` are used. The strength of the L2 penalty is the one that validates best.
    """

    folders: tuple[Path, ...]
    train_images: int | None
    device: str

    def __call__(self, transfer: Transfer, seed: int) -> Evaluation:
        """The seed is that of fresh weights, if the network begins from none.

        Raises WeightsError, and ExecutorError where there is no GPU.
        """
        check_device(self.device)
        begun, folder = time.perf_counter(), self.folders[transfer.images]
        images, test = images_of(folder, self.train_images)
        with watchdog() as beat, given_back(self.device):
            backbone = Backbone.of(transfer, torch.device(self.device), seed)
            splits = {"train": images.train, "validation": images.validation} | ({"test": test} if test else {})
            features = {}
            for number, (name, split) in enumerate(splits.items(), 1):
                count = "" if name != "train" or self.train_images is None else f"-{self.train_images}"
                features[name] = backbone.features(split, f"{folder.name}-{name}{count}")
                beat(number, len(splits))
            probe = choose(features, images.train.labels, images.validation.labels, len(images.classes))
        accuracy = probe.accuracy(features["validation"], images.validation.labels)
        reached = None if test is None else probe.accuracy(features["test"], test.labels)
        return Evaluation(accuracy, 0, time.perf_counter() - begun, test=reached)

    def with_folders(self, folders: Sequence[Path]) -> "LinearProbe":
        """The same with the image sets in other places."""
        return replace(self, folders=tuple(folders))


@dataclass(frozen=True)
class Backbone:
    """A network without its classifier, on its device; `digest` identifies architecture, px and weights."""

    network: Network
    resolution: int
    digest: str
    device: torch.device

    @classmethod
    def of(cls, transfer: Transfer, device: torch.device, seed: int) -> "Backbone":
        architecture = transfer.architecture
        torch.manual_seed(seed)
        network = build(architecture, 2, dropout=0.0, drop_path=0.0)
        if transfer.start is not None:
            transfer.start.load_into(network, architecture)
        digest = hashlib.sha256(architecture.notation.encode())
        for name, tensor in sorted(network.features.state_dict().items()):
            digest.update(name.encode() + tensor.numpy().tobytes())
        network.classifier = nn.Sequential()  # So its outputs are what the classifier would get.
        network = network.to(device).to(memory_format=torch.channels_last).eval()
        return cls(network, architecture.resolution, digest.hexdigest()[:16], device)

    def features(self, split: Split, name: str) -> Tensor:
        """The pooled features of images, float32 (N, C) on the CPU; read from the cache if they are there."""
        file = cache_folder() / "features" / f"{name}-{self.digest}.npy"
        try:
            kept = np.load(file, allow_pickle=False)
            if kept.dtype == np.float32 and kept.ndim == 2 and len(kept) == len(split):
                return torch.from_numpy(kept)
        except (OSError, ValueError, EOFError):
            pass  # Computed anew, as a damaged file is.
        images, content = Batches(split, self.device), BytesIO()
        parts = [features.cpu() for features, _ in answers(self.network, images, self.resolution, AT_ONCE)]
        found = torch.cat(parts).numpy()
        np.save(content, found)
        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(file, content.getvalue())
        return torch.from_numpy(found)


@dataclass(frozen=True)
class Probe:
    """A linear classifier of features, with the mean and the deviation by which they are standardised."""

    mean: Tensor
    deviation: Tensor
    linear: nn.Linear

    @torch.inference_mode()
    def accuracy(self, features: Tensor, labels: np.ndarray) -> float:
        """The share of images whose class is the most likely."""
        logits = self.linear((features - self.mean) / self.deviation)
        return float((logits.argmax(1) == torch.from_numpy(labels)).double().mean())


def choose(features: dict[str, Tensor], train: np.ndarray, validation: np.ndarray, classes: int) -> Probe:
    """The probe with the penalty that validates best, of equal ones the strongest; each starts from the one before."""
    mean, deviation = features["train"].mean(0), features["train"].std(0).clamp_min(1e-6)
    x, y = (features["train"] - mean) / deviation, torch.from_numpy(train)
    linear = nn.Linear(x.shape[1], classes)
    nn.init.zeros_(linear.weight)
    nn.init.zeros_(linear.bias)
    best, chosen = -1.0, linear.state_dict()
    for penalty in PENALTIES:
        _fit(linear, x, y, penalty)
        if (reached := Probe(mean, deviation, linear).accuracy(features["validation"], validation)) > best:
            best, chosen = reached, {name: value.clone() for name, value in linear.state_dict().items()}
    linear.load_state_dict(chosen)
    return Probe(mean, deviation, linear)


def _fit(linear: nn.Linear, x: Tensor, y: Tensor, penalty: float) -> None:
    """Minimises the mean cross-entropy plus half of the penalty times the squared weights."""
    optimizer = torch.optim.LBFGS(linear.parameters(), max_iter=STEPS, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        found = functional.cross_entropy(linear(x), y) + penalty / 2 * linear.weight.square().sum()
        found.backward()  # type: ignore[no-untyped-call]
        return found

    optimizer.step(loss)  # type: ignore[no-untyped-call]

"""The proxy training of networks, as a value."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from effsearch.architecture import Architecture
from effsearch.data import ImageSet, load, load_test, subset
from effsearch.data.sources import TEST, VALIDATION
from effsearch.evaluation import Evaluation
from effsearch.evaluation.proxy import Proxy


@dataclass(frozen=True)
class ProxyTraining:
    """A proxy training on the packed image set in `folder`; a value, so that it can be sent to a worker.

    `split_seed` gives the validation split and the images used, the same for all candidates; `device` is cpu or cuda.
    With `baseline_resolution` (px) the proxy's resolution is scaled by that of a network over it. The gradient of a
    batch is accumulated from `accumulation` parts. Accuracy is that on the validation images that the proxy uses, or
    by `split` on all test images. The weights of trainings under `kept_seed` are kept.
    """

    proxy: Proxy
    folder: Path
    split_seed: int = 0
    device: str = "cpu"
    baseline_resolution: int | None = None
    accumulation: int = 1
    split: str = VALIDATION
    kept_seed: int | None = None

    def __call__(
        self, architecture: Architecture, seed: int, until: int | None = None, checkpoint: bytes | None = None
    ) -> Evaluation:
        """Trains and validates one architecture, `until` an epoch if given, on from a checkpoint if given.

        Raises Diverged, CorruptCheckpoint, ContextLost, and ExecutorError where there is no GPU to train on.
        """
        # The driver, which only sends this to workers, need not import torchvision.
        from effsearch.evaluation.trainings import train_by_proxy

        proxy = self.proxy_for(architecture)
        return train_by_proxy(
            architecture,
            self._images(proxy),
            proxy,
            seed=seed,
            device=self.device,
            until=until,
            checkpoint=checkpoint,
            accumulation=self.accumulation,
            keep_weights=seed == self.kept_seed,
        )

    def _images(self, proxy: Proxy) -> ImageSet:
        images = load(self.folder, split_seed=self.split_seed)
        training = subset(images.train, proxy.train_images, self.split_seed)
        validation = subset(images.validation, proxy.validation_images, self.split_seed)
        return replace(images, train=training, validation=load_test(self.folder) if self.split == TEST else validation)

    def with_accumulation(self, count: int) -> "ProxyTraining":
        """The same with each batch in `count` parts, which take less memory."""
        return replace(self, accumulation=count)

    @property
    def folders(self) -> tuple[Path, ...]:
        return (self.folder,)

    def with_folders(self, folders: Sequence[Path]) -> "ProxyTraining":
        """The same with the image set in another place."""
        return replace(self, folder=folders[0])

    def proxy_for(self, architecture: Architecture) -> Proxy:
        """The proxy at its resolution for an architecture."""
        if self.baseline_resolution is None:
            return self.proxy
        return self.proxy.scaled(architecture.resolution / self.baseline_resolution)

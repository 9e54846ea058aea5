"""The images of a split on the device: all in a GPU's memory if they fit, else fetched while it computes."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor

from effsearch.data.imageset import Split

RESIDENT = 8  # a GPU keeps a split that fits into an eighth of its free memory, which several workers may share
CHUNK = 64 << 20  # bytes of images in one copy to a GPU, so that the host never holds a whole split


class Batches:
    """Pixels uint8 (N, H, W, 3) and labels (N,) of a split on `device`, without a GPU and its host in lockstep."""

    def __init__(self, split: Split, device: torch.device) -> None:
        self._split, self.device = split, device
        self._labels = torch.from_numpy(split.labels).to(device)
        self._resident = _resident(split, device) if device.type == "cuda" else None

    def __len__(self) -> int:
        return len(self._split)

    def of(self, order: np.ndarray, batch: int, count: int | None = None) -> Iterator[tuple[Tensor, Tensor]]:
        """The first `count` batches of `batch` images in an order, or all; the last may be smaller."""
        count = -(-len(order) // batch) if count is None else count
        there = torch.from_numpy(order).to(self.device)
        parts = [slice(index * batch, min((index + 1) * batch, len(order))) for index in range(count)]
        if self._resident is not None:
            for part in parts:
                yield self._resident.index_select(0, there[part]), self._labels[there[part]]
        elif self.device.type == "cuda":
            for pixels, part in zip(self._ahead([order[part] for part in parts]), parts, strict=True):
                yield pixels.to(self.device, non_blocking=True), self._labels[there[part]]
        else:
            for part in parts:
                yield torch.from_numpy(self._split.images(order[part])), self._labels[there[part]]

    def _ahead(self, indices: list[np.ndarray]) -> Iterator[Tensor]:
        """Batches in pinned memory, which a GPU copies asynchronously; the next is fetched while one is used."""
        with ThreadPoolExecutor(1) as pool:
            fetched = [pool.submit(self._pinned, index) for index in indices[:1]]
            for index in [*indices[1:], None]:
                ready = fetched.pop().result()
                if index is not None:
                    fetched.append(pool.submit(self._pinned, index))
                yield ready

    def _pinned(self, index: np.ndarray) -> Tensor:
        return torch.from_numpy(self._split.images(index)).pin_memory()


def _resident(split: Split, device: torch.device) -> Tensor | None:
    one = split.pixels[0].nbytes
    if len(split) * one >= torch.cuda.mem_get_info(device)[0] / RESIDENT:
        return None
    whole = torch.empty((len(split), *split.pixels.shape[1:]), dtype=torch.uint8, device=device)
    step = max(1, CHUNK // one)
    for first in range(0, len(split), step):
        index = np.arange(first, min(first + step, len(split)))
        whole[first : first + len(index)].copy_(torch.from_numpy(split.images(index)))
    return whole

"""Replays of CUDA graphs, since launching the kernels of a small network takes longer than computing them."""

from collections.abc import Callable
from functools import lru_cache

import torch
from torch import Tensor

EAGER = 3  # calls before the capture, in which libraries choose their kernels


class Replayed:
    """A function of CUDA tensors that is replayed as one CUDA graph after its first calls.

    It must return nothing, let the host read nothing, take tensors of the same shapes and write to the same ones in
    each call. What it allocates stays as it is after a call until the next.
    """

    def __init__(self, function: Callable[..., None]) -> None:
        self._function = function
        self._calls = 0
        self._inputs: list[Tensor] = []
        self._graph: torch.cuda.CUDAGraph | None = None

    def __call__(self, *inputs: Tensor) -> None:
        self._calls += 1
        if self._calls <= EAGER:
            self._call_eagerly(inputs)
            return
        if self._graph is None:
            self._inputs, self._graph = [torch.empty_like(each) for each in inputs], torch.cuda.CUDAGraph()
            self._capture(self._graph)
        for kept, given in zip(self._inputs, inputs, strict=True):
            kept.copy_(given)
        self._graph.replay()

    def _call_eagerly(self, inputs: tuple[Tensor, ...]) -> None:
        # On the stream of the capture, for which cuBLAS and autograd then keep what they need.
        stream, current = _stream(inputs[0].device), torch.cuda.current_stream(inputs[0].device)
        stream.wait_stream(current)
        with torch.cuda.stream(stream):
            self._function(*inputs)
        current.wait_stream(stream)

    def _capture(self, graph: torch.cuda.CUDAGraph) -> None:
        stream = _stream(self._inputs[0].device)
        # Another thread may copy images meanwhile, which an error mode for all threads would refuse.
        with torch.cuda.graph(graph, stream=stream, capture_error_mode="thread_local"):
            self._function(*self._inputs)


@lru_cache(maxsize=16)
def _stream(device: torch.device) -> torch.cuda.Stream:
    """One for all captures of a process: cuBLAS keeps memory for each stream that it has seen."""
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]

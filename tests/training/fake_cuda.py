"""CUDA tensors without a GPU: shapes, types and devices alone, by torch's FakeTensorMode.

What runs within `fake_cuda()` fails where tensors of two devices meet, and where the size of a result is known to the
GPU alone; `Waits` counts what else makes host and GPU wait for one another. The engine of torch wants a real device for
a backward pass, so this one only gives gradients, and generators are the CPU's. Neither kernels nor memory are there:
tests marked `gpu` are for those.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from effsearch.data import augment
from effsearch.executors.local import InlineExecutor
from effsearch.training import batches, loop, precision

ATEN = torch.ops.aten
READS = (ATEN._local_scalar_dense.default, ATEN.item.default, ATEN.is_nonzero.default)
COPIES = (ATEN._to_copy.default, ATEN.copy_.default)
FREE = 1 << 40
DRAWS = 25
"""Numbers that a draw of whole numbers on the host may give, each in turn: all policies of AutoAugment."""


class Waits(TorchDispatchMode):
    """Counts reads of a GPU's values and copies between devices that block, and notes what convolutions compute in."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()
        self.convolved: set[torch.dtype] = set()
        self.turn = 0

    def __torch_dispatch__(self, function: Any, types: Any, arguments: Any = (), options: Any = None) -> Any:
        options = options or {}
        if function in READS:
            self.counts["read"] += arguments[0].is_cuda
            # Some number: fake tensors have none, of a GPU or of a draw on the host.
            self.turn += 1
            draws = arguments[0].dtype in (torch.int64, torch.int32)
            return True if function is ATEN.is_nonzero.default else self.turn % DRAWS if draws else 0.5
        if function is ATEN._fused_sgd_.default:  # It has no fake kernel.
            lists = (value for value in arguments if isinstance(value, list))
            assert all(tensor.is_cuda for tensors in lists for tensor in tensors)
            return None
        out = function(*arguments, **options)
        if function is ATEN.convolution.default:
            self.convolved.add(arguments[0].dtype)
        if function in COPIES and not (options.get("non_blocking") and is_pinned(arguments)):
            devices = {value.device.type for value in (*arguments, out) if isinstance(value, Tensor)}
            self.counts["copy"] += devices == {"cpu", "cuda"}
        return out


def pinned(tensor: Tensor) -> Tensor:
    """A tensor marked as one in pinned memory."""
    made = tensor.clone()
    made.is_in_pinned_memory = True
    return made


def is_pinned(values: tuple[Any, ...]) -> bool:
    """Whether every tensor of the host among them is."""
    host = [value for value in values if isinstance(value, Tensor) and not value.is_cuda]
    return all(getattr(value, "is_in_pinned_memory", False) for value in host)


class Generator(torch.Generator):
    """One of the CPU that passes for one of a GPU."""

    def __new__(cls, device: Any = None) -> "Generator":
        return super().__new__(cls)

    device = torch.device("cuda", 0)


class AtOnce(InlineExecutor):
    """Works in this thread, where tensors are fake."""

    def __enter__(self) -> "AtOnce":
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()


def moved(module: nn.Module, device: Any, memory_format: torch.memory_format = torch.preserve_format) -> nn.Module:
    """`nn.Module.to`, which cannot swap fake parameters in place."""
    for part in module.modules():
        for name, parameter in part._parameters.items():
            if parameter is not None:
                order = memory_format if parameter.ndim == 4 else torch.preserve_format
                part._parameters[name] = nn.Parameter(parameter.detach().to(device, memory_format=order))
        for name, buffer in part._buffers.items():
            part._buffers[name] = buffer.to(device)
    return module


def copied(tensor: Tensor, memo: dict[int, Any]) -> Tensor:
    """`copy.deepcopy` of a fake tensor."""
    made = tensor.detach().clone()
    memo[id(tensor)] = made = nn.Parameter(made) if isinstance(tensor, nn.Parameter) else made
    return made


def no_backward(networks: list[nn.Module]) -> Callable[[Tensor], None]:
    """A backward pass that gives every parameter a gradient of its own kind."""

    def backward(loss: Tensor) -> None:
        assert loss.is_cuda
        assert loss.dtype == torch.float32
        for network in networks:
            for parameter in network._parameters.values():
                if parameter is not None and parameter.is_cuda:
                    parameter.grad = torch.empty_like(parameter)

    return backward


@contextmanager
def fake_cuda(bf16: bool = True, free: int = FREE) -> Iterator[Waits]:
    """Pretends that there is a GPU with so many free bytes, which computes in bf16 or does not."""
    begin, networks = nn.Module.__init__, list[nn.Module]()

    def noted(module: nn.Module, *arguments: Any, **options: Any) -> None:
        begin(module, *arguments, **options)
        networks.append(module)

    replaced = (
        (torch, "Generator", Generator),
        (nn.Module, "to", moved),
        (nn.Module, "__init__", noted),
        (nn.Parameter, "__deepcopy__", copied),
        (FakeTensor, "__deepcopy__", copied),
        (torch.Tensor, "backward", no_backward(networks)),
        (torch.Tensor, "pin_memory", pinned),
        (batches, "ThreadPoolExecutor", AtOnce),
        (loop, "Replayed", lambda function: function),
        (torch.cuda, "empty_cache", lambda: None),
        (torch.cuda, "device_count", lambda: 1),
        (torch.cuda, "mem_get_info", lambda device=None: (free, FREE)),
        (torch.cuda, "is_bf16_supported", lambda including_emulation=True: bf16 or including_emulation),
        (torch.cuda.amp.common, "amp_definitely_not_available", lambda: False),
    )
    with ExitStack() as stack:
        for place, name, value in replaced:
            stack.enter_context(patch.object(place, name, value))
        stack.enter_context(FakeTensorMode(allow_non_fake_inputs=True))
        # What is kept from call to call must not be kept from a GPU that is not there.
        for kept in (augment.constant, precision.has_bf16):
            kept.cache_clear()
            stack.callback(kept.cache_clear)
        yield stack.enter_context(Waits())

"""What a training that fails leaves behind, for the next one in the same process."""

import gc
import weakref

import pytest
import torch

from effsearch.errors import ExecutorError
from effsearch.evaluation import devices
from effsearch.evaluation.devices import check_device, cpu_name, given_back
from effsearch.evaluation.hardware import ContextLost, loses_context, out_of_memory


class Big:
    """Stands for a tensor."""


def fails(error: Exception, held: list[weakref.ref]) -> None:
    big = Big()
    held.append(weakref.ref(big))
    raise error


@pytest.mark.parametrize("error", [MemoryError("CUDA out of memory"), ValueError("a mistake")])
def test_the_cache_is_emptied_once_no_frame_holds_what_the_training_had(error, monkeypatch):
    held: list[weakref.ref] = []
    alive: list[bool] = []
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: alive.append(held[0]() is not None))
    gc.disable()
    try:
        with pytest.raises(type(error)) as caught, given_back("cuda"):
            fails(error, held)
    finally:
        gc.enable()
    assert alive == [False]
    assert caught.traceback[-1].name == "fails"


def test_the_cache_is_emptied_after_a_training_that_ends_well(monkeypatch):
    calls = []
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: calls.append(1))
    with given_back("cuda"):
        pass
    assert calls == [1]
    with given_back("cpu"):
        pass
    assert calls == [1]


@pytest.mark.parametrize(
    "said",
    [
        "CUDA error: an illegal memory access was encountered\nCUDA kernel errors might be",
        "CUDA error: device-side assert triggered",
        "cuDNN error: CUDNN_STATUS_EXECUTION_FAILED",
        "CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`",
    ],
)
def test_a_dead_context_is_told_and_nothing_more_is_asked_of_it(said, monkeypatch):
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: pytest.fail("a dead context was asked"))
    with pytest.raises(ContextLost) as caught, given_back("cuda"):
        raise RuntimeError(said)
    assert str(caught.value) == said.partition("\n")[0]


def test_an_error_that_is_neither_is_neither():
    for error in (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), ValueError("CUDA error")):
        assert not out_of_memory(error)
        assert not loses_context(error)


def test_a_gpu_that_torch_does_not_find_is_one_line(monkeypatch):
    monkeypatch.setattr(devices, "gpus", lambda: 0)
    with pytest.raises(ExecutorError, match=r"^torch .* finds no GPU \(.*\); install a CUDA build of torch .*$"):
        check_device("cuda")
    check_device("cpu")


def test_a_processor_has_a_name():
    assert cpu_name()

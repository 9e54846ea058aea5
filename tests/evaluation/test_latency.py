import pytest
import torch

from effsearch import space
from effsearch.evaluation.timing import LEAST_RUNS, measure_latency
from effsearch.executors.local import child
from effsearch.families import FAMILIES

TINY = space.load("tiny")


def test_a_larger_input_takes_longer():
    mobilenet = FAMILIES["mobilenet_v2"]
    small, large = (measure_latency(mobilenet, resolution=side, seconds=0.3) for side in (32, 128))
    assert small.runs >= LEAST_RUNS
    assert 0 < small.median <= small.p90
    # Sixteen times the pixels: far from it where other work shares the machine, but never less.
    assert large.median > small.median


def test_memory_grows_with_the_batch():
    found = []
    for batch in (1, 64):
        with child() as ask:
            arguments = (FAMILIES["mobilenet_v2"], "cpu", batch, 1, 64, 10, 0.1)
            found.append(ask("effsearch.evaluation.timing", "measure_latency", *arguments).memory)
    if None in found:
        pytest.skip("this system does not tell how much memory a process has had")
    assert found[1] > found[0] + 64 * 64 * 64 * 3


@pytest.mark.gpu
@pytest.mark.skipif(
    not torch.cuda.is_available(), reason="needs a CUDA device: run pytest -m gpu on a machine that has one"
)
def test_a_gpu_is_measured_with_its_memory():
    found = measure_latency(FAMILIES["mobilenet_v2"], "cuda", 8, seconds=0.5)
    assert 0 < found.median <= found.p90
    assert found.memory is not None
    assert found.memory > 3_504_872 * 4
    assert torch.cuda.max_memory_allocated() >= found.memory

import random

import pytest
import torch
from torch.nn.modules.module import register_module_forward_pre_hook

from effsearch import space
from effsearch.evaluation import timing
from effsearch.evaluation.timing import LEAST_RUNS, MOST_RUNS, measure_latency
from effsearch.executors.local import child
from effsearch.families import FAMILIES
from effsearch.network.build import Network

TINY = space.load("tiny")


@pytest.fixture
def clock(monkeypatch):
    """Time that only forward passes of whole networks take: a microsecond for a pixel."""
    now = [0.0]

    def passes(module, inputs):
        if isinstance(module, Network):
            images, _, height, width = inputs[0].shape
            now[0] += 1e-6 * images * height * width

    monkeypatch.setattr(timing.time, "perf_counter", lambda: now[0])
    hook = register_module_forward_pre_hook(passes)
    yield
    hook.remove()


@pytest.mark.usefixtures("clock")
def test_a_latency_is_that_of_one_forward_pass_of_the_batch_at_the_resolution():
    network = FAMILIES["mobilenet_v2"]
    for batch, side in ((1, 64), (1, 128), (4, 64)):
        found = measure_latency(network, batch=batch, resolution=side, seconds=0.3)
        each = 1e-6 * batch * side**2
        assert [found.median, found.p90] == pytest.approx([each, each])
        # As many runs as 0.3 seconds take, but no fewer than the least.
        assert found.runs == pytest.approx(max(LEAST_RUNS, 0.3 / each), abs=1)


@pytest.mark.usefixtures("clock")
def test_a_fast_network_is_run_no_more_often_than_the_most():
    found = measure_latency(TINY.decode(TINY.sample(random.Random(0))), resolution=32, seconds=10.0)
    assert found.runs == MOST_RUNS


def test_the_latency_by_the_real_clock_is_a_time():
    found = measure_latency(FAMILIES["mobilenet_v2"], resolution=32, seconds=0.1)
    assert 0 < found.median <= found.p90
    assert found.runs >= LEAST_RUNS


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

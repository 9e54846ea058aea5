import json
import random
import time
from itertools import pairwise
from pathlib import Path

import pytest

from effsearch import space
from effsearch.errors import QuantityError, RunError
from effsearch.executors import latency_profiler as profilers
from effsearch.executors.latency_profiler import LEAST, LatencyProfiler
from effsearch.executors.local import LocalExecutor
from effsearch.runs.settings import LatencyConditions

TINY = space.load("tiny")


def drawn(count: int, seed: int = 0) -> list:
    rng = random.Random(seed)
    return [TINY.decode(TINY.sample(rng)) for _ in range(count)]


def tick(file: Path, seconds: float) -> None:
    """Writes the time again and again, as a training that works."""
    end = time.time() + seconds
    with file.open("a", buffering=1) as out:
        while time.time() < end:
            out.write(f"{time.time()}\n")
            time.sleep(0.01)


def test_trainings_rest_while_a_latency_is_measured_and_then_go_on(tmp_path, monkeypatch):
    monkeypatch.setattr(profilers, "SECONDS", 0.1)
    file, profiler, workers = tmp_path / "ticks", LatencyProfiler(LatencyConditions(), 10), LocalExecutor([None])
    try:
        working = workers.submit(tick, file, 12.0)
        deadline = time.monotonic() + 60
        while not file.exists():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        (network,) = drawn(1)
        seconds = profiler.measure(network)
        again = profiler.measure(network)
        working.result(timeout=60)
    finally:
        workers.stop()
        profiler.close()
    assert 0 < seconds < 1
    assert again == seconds
    times = [float(line) for line in file.read_text().split()]
    rests = [later - sooner for sooner, later in pairwise(times)]
    # Half a second of warming up is the least that a measurement takes.
    assert max(rests) > 0.5
    assert sum(rest > 0.5 for rest in rests) == 1
    assert times[-1] > times[rests.index(max(rests)) + 1]


class Counting(LatencyProfiler):
    """Says a latency by formula, and counts how often it was asked."""

    asked = 0

    def _measure(self, architecture) -> float:
        self.asked += 1
        return 1e-9 * architecture.layers * architecture.resolution


def test_what_was_measured_is_kept_with_the_run_and_not_measured_again(tmp_path):
    networks = list({network.key: network for network in drawn(60)}.values())
    first = Counting(LatencyConditions(), 10)
    first.learn(networks[:LEAST])
    first.file = tmp_path / "latency.json"
    measured = first.measure(networks[LEAST])
    second = Counting.read(LatencyConditions(), 10, first.file)
    assert second.asked == 0
    assert second.measure(networks[LEAST]) == measured
    assert second.error == first.error
    other = networks[LEAST + 1]
    assert second.expect(other) == first.expect(other)
    second.measure(other)
    assert second.asked == 1
    assert other.notation in json.loads(first.file.read_text())["latencies"]


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", '{"latencies": {}}', '{"latencies": {"x": 1}, "sample": []}', '{"latencies": 3, "sample": 4}'],
)
def test_a_file_that_holds_no_latencies_is_said_in_one_line(tmp_path, text):
    file = tmp_path / "latency.json"
    file.write_text(text)
    with pytest.raises(RunError, match="does not hold the latencies of a run") as error:
        LatencyProfiler.read(LatencyConditions(), 10, file)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"device": "tpu"}, "--latency-device must be one of cpu, cuda, got 'tpu'"),
        ({"batch": 0}, "--latency-batch must be from 1 to 4,096, got 0"),
        ({"threads": 1000}, "--latency-threads must be from 1 to 256, got 1000"),
    ],
)
def test_conditions_that_make_no_sense(values, said):
    with pytest.raises(QuantityError, match=said):
        LatencyConditions(**values)

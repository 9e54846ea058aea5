"""How many workers share which processors, and where a run may go on."""

from contextlib import nullcontext
from types import SimpleNamespace

import pytest

from effsearch.errors import RunError
from effsearch.evaluation.hardware import Gpu
from effsearch.runs.folder import create
from effsearch.runs.manifest import About
from effsearch.workflows import machine
from effsearch.workflows.common import Listener
from effsearch.workflows.machine import Where, at_once, check_where, describe_slots, measure_speed, slots_on
from effsearch.workflows.request import Request
from effsearch.workflows.train import accumulate

GIB = 1 << 30
H100 = Gpu("NVIDIA H100", 79 * GIB, True)
T4 = Gpu("Tesla T4", 14 * GIB, False)


@pytest.mark.parametrize(
    ("gpus", "cores", "workers", "slots", "words", "full_speed"),
    [
        ([H100], 16, None, [0, 0, 0, 0], "4 workers on 1 GPU", 1),
        ([H100], 2, None, [0, 0], "2 workers on 1 GPU", 1),
        ([H100], 1, None, [0], "1 worker on 1 GPU", 1),
        ([H100, H100], 6, None, [0, 1, 0, 1, 0, 1], "6 workers on 2 GPUs", 2),
        ([H100] * 8, 4, None, [0, 1, 2, 3, 4, 5, 6, 7], "8 workers on 8 GPUs", 8),
        ([H100], 16, 1, [0], "1 worker on 1 GPU", 1),
        ([H100], 16, 6, [0] * 6, "6 workers on 1 GPU", 1),
        ([Gpu("small", 7 * GIB, True)], 16, None, [0, 0], "2 workers on 1 GPU", 1),
        ([Gpu("full", GIB, True)], 16, None, [0], "1 worker on 1 GPU", 1),
        ([], 2, None, [None, None], "2 workers (one CPU thread each)", 2),
        ([], 64, None, [None] * 16, "16 workers (one CPU thread each)", 16),
        ([], 2, 3, [None] * 3, "3 workers (one CPU thread each)", 3),
    ],
)
def test_workers_of_a_machine(gpus, cores, workers, slots, words, full_speed, monkeypatch):
    monkeypatch.setattr(machine, "cores", lambda: cores)
    assert slots_on(gpus, workers) == slots
    assert describe_slots(slots) == words
    assert at_once(slots) == full_speed


def run_of(tmp_path, **about):
    return create(tmp_path, "r1", {"run": {"kind": "nas", **about}})


@pytest.mark.parametrize(
    ("about", "where"),
    [
        ({}, Where()),
        ({"device": "1 x NVIDIA H100"}, Where()),
        ({"device": "CPU, 2 cores", "trained_on": "cpu", "precision": "float32"}, Where("cpu", "float32")),
        ({"device": "1 x Tesla T4", "trained_on": "cuda", "precision": "float32"}, Where("cuda", "float32")),
    ],
)
def test_where_a_run_was_begun(tmp_path, about, where):
    assert Where.of(run_of(tmp_path, **about)) == where


def test_a_run_goes_on_elsewhere_only_if_told(tmp_path, caplog):
    run = run_of(tmp_path, trained_on="cpu", precision="float32")
    check_where(run, Where("cpu", "float32"), allowed=False)
    assert not caplog.messages
    check_where(run, Where("cuda", "bf16"), allowed=True)
    (said,) = caplog.messages
    assert said == (
        "run r1 was trained by the CPU in float32 so far, and goes on by a GPU in bf16: its ranking mixes the two"
    )
    check_where(run_of(tmp_path / "of 0.1", device="1 x NVIDIA H100"), Where("cuda", "bf16"), allowed=False)
    with pytest.raises(RunError) as refused:
        check_where(run, Where("cuda", "bf16"), allowed=False)
    assert str(refused.value) == (
        "run r1 was trained by the CPU in float32, and would go on by a GPU in bf16: their accuracies are not one "
        "measurement; go on where it began, or mix them by --allow-device-change"
    )


def test_workers_of_a_run_that_may_not_go_on_here_are_ended(tmp_path, monkeypatch):
    stopped = []
    executor = SimpleNamespace(stop=lambda: stopped.append(1), workers=1)
    monkeypatch.setattr(machine, "start", lambda *_: machine.Started(executor, Where("cuda", "bf16"), "", 1, tmp_path))
    monkeypatch.setattr(machine, "pack", lambda *_: tmp_path)
    monkeypatch.setattr(machine, "check_images", lambda *_: None)
    run, manifest = run_of(tmp_path, trained_on="cpu", precision="float32"), SimpleNamespace(data=None)
    with pytest.raises(RunError, match="--allow-device-change"):
        machine.continue_on(Request(), run, manifest, "scenes", 32, Listener())
    assert stopped == [1]
    allowed = Request(device_change=True)
    assert machine.continue_on(allowed, run, manifest, "scenes", 32, Listener()).executor is executor


def test_where_is_written_down_with_the_machine(monkeypatch):
    monkeypatch.setattr(machine, "survey", lambda: (T4,))
    assert machine.here("cuda").noted(About("nas")) == About(
        "nas", device="1 x Tesla T4", trained_on="cuda", precision="float32"
    )
    assert machine.here("cpu").precision == "float32"
    monkeypatch.setattr(machine, "survey", lambda: (H100, T4))
    assert machine.here("cuda") == Where("cuda")
    assert str(machine.here("cuda")) == "a GPU"
    assert not Where("cuda").differs(Where("cuda", "bf16"))
    assert Where("cuda").differs(Where("cpu", "float32"))


class Noting(Listener):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def note(self, line: str, style: str = "") -> None:
        self.lines.append(line)


def shown(attempt, batch: int) -> tuple[object, str]:
    listener = Noting()
    found = accumulate(attempt, batch, listener)
    return found, " ".join(listener.lines)


def test_a_batch_that_is_too_large_is_trained_in_parts():
    tried = []

    def attempt(parts: int) -> object:
        tried.append(parts)
        if parts < 4:
            raise RuntimeError("CUDA error: out of memory\nand much more")
        return "trained"

    found, said = shown(attempt, 128)
    assert (found, tried) == ("trained", [1, 2, 4])
    assert "a batch of 128 goes through in 4 parts" in said


@pytest.mark.parametrize(
    ("batch", "most", "advice"), [(128, 8, "--batch 64"), (3, 2, "--batch 1"), (1, 1, "a smaller --resolution")]
)
def test_what_is_too_large_in_every_part_is_one_line_that_names_the_batch(batch, most, advice):
    tried = []

    def attempt(parts: int) -> object:
        tried.append(parts)
        raise MemoryError("no room\nat all")

    with pytest.raises(RunError) as refused:
        shown(attempt, batch)
    assert str(refused.value) == f"out of memory (no room); begin another run with {advice}"
    assert tried[-1] == most


def test_no_other_error_is_taken_for_want_of_memory():
    def attempt(parts: int) -> object:
        raise ValueError("a mistake")

    with pytest.raises(ValueError, match="a mistake"):
        shown(attempt, 8)


def test_forecasts_are_asked_of_the_gpu_where_there_is_one(monkeypatch):
    asked = []

    def ask(module: str, name: str, networks, classes: int, cuda: bool):
        asked.append((module, name, cuda))
        raise LookupError

    monkeypatch.setattr(machine, "gpus", lambda: 1)
    monkeypatch.setattr(machine, "child", lambda: nullcontext(ask))
    with pytest.raises(LookupError):
        measure_speed(SimpleNamespace(resolution=224), {}, None, Listener())
    assert asked == [("effsearch.evaluation.timing", "measure", True)]

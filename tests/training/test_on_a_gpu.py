"""What only a GPU can tell: `pytest -m gpu` on a machine that has one."""

import warnings
from dataclasses import replace

import pytest
import torch
from test_on_a_fake_gpu import CROPPED, CUDA, RECIPE, RESNET, SMALL, images

from effsearch.evaluation.devices import given_back, survey
from effsearch.evaluation.hardware import ContextLost, out_of_memory
from effsearch.executors.local import LocalExecutor
from effsearch.network import build
from effsearch.training import loop
from effsearch.training.batches import Batches
from effsearch.training.graph import EAGER
from effsearch.training.loop import train
from effsearch.training.precision import has_bf16

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(
        not torch.cuda.is_available(), reason="needs a CUDA device: run pytest -m gpu on a machine that has one"
    ),
]


def trained(steps, recipe=RECIPE, architecture=SMALL, device=CUDA, **options):
    torch.manual_seed(0)
    network = build(architecture, 2, dropout=0.2, drop_path=0.2)
    options = {"resolution": 16, "epochs": 1, "seed": 0, "device": device} | options
    return train(network, images(steps * recipe.batch), recipe, **options)


def waits(steps: int, recipe, **options) -> int:
    """How often host and GPU waited for one another, as torch itself notices."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            trained(steps, recipe, **options)
        finally:
            torch.cuda.set_sync_debug_mode("default")
    return sum("called a synchronizing" in str(warning.message) for warning in caught)


@pytest.mark.parametrize("recipe", [RECIPE, CROPPED, replace(RECIPE, optimizer="rmsprop")])
def test_no_step_waits(recipe):
    trained(1, recipe)
    # The loss is looked at after the first step of an epoch and after the last.
    assert waits(EAGER, recipe) == waits(2, recipe) == waits(1, recipe) + 1
    assert waits(EAGER + 5, recipe) == waits(EAGER + 2, recipe)


@pytest.mark.parametrize("options", [{}, {"architecture": RESNET}, {"recipe": CROPPED}])
def test_replayed_steps_are_the_steps(options, monkeypatch):
    replayed = trained(12, epochs=2, **options)
    again = trained(12, epochs=2, **options)
    monkeypatch.setattr(loop, "Replayed", lambda function: function)
    plain = trained(12, epochs=2, **options)
    for one, other in ((replayed, again), (replayed, plain)):
        assert [epoch.loss for epoch in one.history] == pytest.approx([epoch.loss for epoch in other.history], rel=1e-2)


def test_a_training_in_two_parts_is_that_in_one():
    whole, first = trained(8, epochs=2), trained(8, epochs=2, until=1)
    second = trained(8, epochs=2, checkpoint=first.checkpoint)
    assert second.history[1].loss == pytest.approx(whole.history[1].loss, rel=1e-2)


def test_images_that_are_fetched_are_those_that_are_resident(monkeypatch):
    split, order = images(10).train, torch.randperm(10).numpy()
    resident = Batches(split, CUDA)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device=None: (0, 0))
    fetched = Batches(split, CUDA)
    for one, other in zip(resident.of(order, 4), fetched.of(order, 4), strict=True):
        assert all(map(torch.equal, one, other))


@pytest.mark.parametrize("architecture", [SMALL, RESNET])
def test_a_training_begun_on_one_device_goes_on_on_the_other(architecture):
    options = {"architecture": architecture, "epochs": 3}
    for first, second in ((CUDA, torch.device("cpu")), (torch.device("cpu"), CUDA)):
        begun = trained(4, device=first, until=1, **options)
        ended = trained(4, device=second, checkpoint=begun.checkpoint, **options)
        assert [epoch.epoch for epoch in ended.history] == [1, 2, 3]
        assert ended.history[0] == begun.history[0]


def test_memory_of_what_was_too_large_is_there_for_the_next():
    free, _ = torch.cuda.mem_get_info()

    def too_large() -> None:
        held = [torch.empty(free // 2, dtype=torch.uint8, device=CUDA)]
        held.append(torch.empty(free, dtype=torch.uint8, device=CUDA))

    with pytest.raises(torch.OutOfMemoryError) as caught, given_back("cuda"):
        too_large()
    assert out_of_memory(caught.value)
    assert torch.cuda.mem_get_info()[0] > 0.9 * free
    assert trained(2).history


def assert_on_the_device() -> None:
    with given_back("cuda"):
        torch.arange(3, device="cuda")[torch.tensor([5], device="cuda")].sum().item()


def test_a_dead_context_ends_its_worker_and_the_next_training_has_another():
    executor = LocalExecutor([0])
    try:
        with pytest.raises(ContextLost):
            executor.submit(assert_on_the_device).result(timeout=120)
        assert executor.submit(torch.cuda.device_count).result(timeout=120) == 1
        assert executor.submit(survey).result(timeout=120)
    finally:
        executor.stop()


def test_the_survey_says_what_this_process_would_compute_in():
    found = survey()
    assert len(found) == torch.cuda.device_count()
    assert found[0].bf16 == has_bf16(CUDA)
    assert found[0].free > 0

"""Calls of a replayed function; real graphs are in test_on_a_gpu."""

import pytest
import torch
from torch import Tensor

from effsearch.training import graph
from effsearch.training.graph import EAGER, Replayed


class Recorded(Replayed):
    """Records the calls where there is no stream and no graph: what is captured does not run, and a replay does."""

    def _call_eagerly(self, inputs: tuple[Tensor, ...]) -> None:
        self._function(*inputs)

    def _capture(self, captured: torch.cuda.CUDAGraph) -> None:
        captured.replay = lambda: self._function(*self._inputs)


@pytest.fixture
def calls(monkeypatch) -> list[tuple[int, list[float]]]:
    monkeypatch.setattr(graph.torch.cuda, "CUDAGraph", lambda: type("Graph", (), {})())
    return []


def test_each_call_gets_its_own_values_and_replays_one_place(calls):
    replayed = Recorded(lambda x: calls.append((x.data_ptr(), x.tolist())))
    given = [torch.full((2,), float(number)) for number in range(EAGER + 4)]
    for x in given:
        replayed(x)
    assert [values for _, values in calls] == [x.tolist() for x in given]
    eager, later = [place for place, _ in calls[:EAGER]], {place for place, _ in calls[EAGER:]}
    assert eager == [x.data_ptr() for x in given[:EAGER]]
    assert len(later) == 1
    assert later.isdisjoint(x.data_ptr() for x in given)


def test_what_is_replayed_keeps_the_order_of_memory(calls):
    replayed = Recorded(lambda x: calls.append(x.is_contiguous(memory_format=torch.channels_last)))
    for _ in range(EAGER + 2):
        replayed(torch.zeros(2, 3, 4, 4).to(memory_format=torch.channels_last))
    assert calls == [True] * (EAGER + 2)

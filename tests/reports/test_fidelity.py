import pytest
from folders import manifest

from effsearch.errors import RunError
from effsearch.reports.trainings import read_fidelity, rung_fidelity
from effsearch.runs.folder import create
from effsearch.runs.records import Candidate, Record

RUNGS = (1, 3, 9)


def record(key: str, epochs: int, accuracy: float | None, seed: int = 0) -> Record:
    candidate = Candidate(key, key, 1, 1, seed, "random", epochs)
    state = "complete" if accuracy is not None else "failed"
    return Record(0, state, candidate, accuracy=accuracy, reward=accuracy, epochs=epochs)


RECORDS = [
    *(
        record(key, 1, accuracy)
        for key, accuracy in zip("abcdefgh", (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8), strict=True)
    ),
    *(record(key, 3, accuracy) for key, accuracy in zip("efgh", (0.6, 0.7, 0.9, 0.8), strict=True)),
    *(record(key, 9, accuracy) for key, accuracy in zip("fgh", (0.75, 0.95, 0.85), strict=True)),
    record("e", 9, None),
    record("g", 9, 0.99, seed=1),
]


def test_each_rung_is_compared_with_the_last_under_the_same_seed():
    first, second, last = rung_fidelity(RECORDS, RUNGS, 0)
    assert (first.epochs, first.reached, first.networks) == (1, 8, 3)
    assert (second.reached, second.networks, last.reached) == (4, 3, 3)
    # Of f, g, h the first rung has h before g, and the end g before h: one of three pairs is exchanged.
    assert first.tau == pytest.approx(1 / 3)
    assert second.tau == pytest.approx(1)
    assert first.low <= first.tau <= first.high
    assert last.tau is None
    assert first.regret == pytest.approx(0.1)
    assert second.regret == last.regret == 0


def test_the_share_is_of_training_everyone_to_the_end():
    shares = [row.share for row in rung_fidelity(RECORDS, RUNGS, 0)]
    assert shares == pytest.approx([8 / 72, (8 + 4 * 2) / 72, (8 + 4 * 2 + 3 * 6) / 72])


def test_nothing_is_said_of_nothing():
    assert [(row.reached, row.tau, row.regret, row.share) for row in rung_fidelity([], RUNGS, 0)] == [
        (0, None, None, 0.0)
    ] * 3


@pytest.mark.parametrize("settings", [{}, {"rungs": []}])
def test_a_run_without_rungs_says_how_to_get_some(tmp_path, settings):
    run = create(tmp_path, "plain", manifest("nas", **settings))
    with pytest.raises(RunError, match="no rungs; effsearch nas --rungs"):
        read_fidelity(run)


@pytest.mark.parametrize("rungs", ["1,3", [1, "x"]])
def test_rungs_that_are_no_list_of_numbers_are_named(tmp_path, rungs):
    run = create(tmp_path, "plain", manifest("nas", rungs=rungs))
    with pytest.raises(RunError, match="its settings cannot be read: rungs"):
        read_fidelity(run)

"""The coefficient search with accuracies by formula."""

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings as hypothesis_settings, strategies as st
from toys import InProcess

from effsearch.architecture import Architecture
from effsearch.coefficient_grid import CoefficientGrid
from effsearch.engine.driver import Status, drive
from effsearch.engine.growth_problems import GridProblem
from effsearch.engine.retries import ATTEMPTS
from effsearch.errors import QuantityError, RunError
from effsearch.evaluation import QUICK, Evaluation
from effsearch.executors.local import WorkerLost
from effsearch.families import EFFICIENTNET_B0
from effsearch.runs.folder import Run, create
from effsearch.runs.manifest import About, Data, Manifest
from effsearch.runs.ranking import ranking
from effsearch.runs.records import Record
from effsearch.runs.schema import differences
from effsearch.runs.settings import GridSettings, from_document, to_document
from effsearch.training import Diverged

EPOCHS = QUICK.epochs


def settings(**changes: Any) -> GridSettings:
    values: dict[str, Any] = {
        "baseline": EFFICIENTNET_B0.notation,
        "name": "b0",
        "grid": CoefficientGrid(step=0.1),
        "data": "scenes",
        "proxy": replace(QUICK, epochs=4),
    }
    return GridSettings(**(values | changes))


def accuracy(architecture: Architecture, seed: int, epochs: int) -> float:
    """Better with pixels and epochs, best with some width; a little by chance of key and seed."""
    width = sum(stage.channels for stage in architecture.stages)
    chance = random.Random(f"{architecture.key} {seed}").random()
    return 0.2 + 0.05 * epochs + architecture.resolution / 1000 + width / 10_000 + 0.004 * chance


def toy(architecture: Architecture, seed: int, until: int, checkpoint: bytes | None) -> Evaluation:
    """Goes on from where its checkpoint says that it is."""
    done = 0 if checkpoint is None else int(checkpoint)
    assert done < until
    state = None if until == 4 else str(until).encode()
    return Evaluation(accuracy(architecture, seed, until), until, float(until - done), checkpoint=state)


def new_run(folder: Path, chosen: GridSettings) -> Run:
    return create(folder, "grid", Manifest(About("grid"), chosen, Data()).to_document())


def search(folder: Path, chosen: GridSettings, evaluator: Any = toy, workers: int = 1, **options: Any) -> Status:
    run = new_run(folder, chosen)
    *_, last = drive(run, GridProblem(chosen, **options), evaluator, InProcess(workers))
    return last


def trained(status: Status) -> list[tuple[str, int, int]]:
    return [(r.candidate.key, r.candidate.seed, r.epochs or 0) for r in status.records if r.state == "complete"]


def epochs(records: list[Record]) -> float:
    """All that were trained: the toy takes a second for each."""
    return sum(record.seconds or 0.0 for record in records)


def test_a_grid_trains_every_network_under_every_seed(tmp_path):
    chosen = settings(method="grid", repeats=2)
    status = search(tmp_path, chosen)
    cells = chosen.cells()
    assert sorted(trained(status)) == sorted((c.architecture.key, seed, 4) for c in cells for seed in (0, 1))
    seeds = [record.candidate.seed for record in status.records]
    assert seeds == sorted(seeds)
    assert epochs(status.records) == GridProblem(chosen).planned_epochs() == len(cells) * 8


def test_halving_finds_the_winner_of_the_grid(tmp_path):
    whole = search(tmp_path / "grid", settings(method="grid"))
    part = search(tmp_path / "halving", settings(method="halving"))
    score = settings().score
    assert ranking(part.records, score)[0].key == ranking(whole.records, score)[0].key
    assert epochs(part.records) == GridProblem(settings(method="halving")).planned_epochs()


def test_halving_the_default_grid_takes_a_quarter_of_its_epochs():
    part, whole = (
        GridProblem(settings(grid=CoefficientGrid(), method=method)).planned_epochs() for method in ("halving", "grid")
    )
    assert part <= 0.25 * whole


def test_halving_goes_on_from_checkpoints_and_keeps_the_references(tmp_path):
    status = search(tmp_path, settings(method="halving", repeats=1))
    by_key: dict[str, list[int]] = {}
    for key, _, reached in trained(status):
        by_key.setdefault(key, []).append(reached)
    free = [cell.architecture.key for cell in settings().cells() if cell.role == "candidate"]
    count = [sum(rung in by_key[key] for key in free) for rung in (1, 2, 4)]
    assert count == [18, 9, 5]
    for cell in settings().cells():
        if cell.role == "reference":
            assert by_key[cell.architecture.key] == [1, 2, 4]
    assert all(record.seconds == {1: 1, 2: 1, 4: 2}[record.epochs] for record in status.records)


@pytest.mark.parametrize("method", ["tpe", "evolution"])
@pytest.mark.parametrize("constraint", ["formula", "flops"])
def test_a_sampler_proposes_new_networks_on_the_constraint(tmp_path, method, constraint):
    chosen = settings(method=method, repeats=1, grid=CoefficientGrid(constraint=constraint, tolerance=0.01))
    status = search(tmp_path, chosen, trials=14)
    proposed = [r.candidate for r in status.records if r.candidate.source == "candidate"]
    assert len({candidate.key for candidate in proposed}) == len(proposed) == 14
    for candidate in proposed:
        if constraint == "formula":
            assert candidate.coefficients.product == pytest.approx(2)
        else:
            assert candidate.flops / chosen.score.target == pytest.approx(1, abs=0.015)
    names = {r.candidate.source for r in status.records}
    assert names == {"candidate", "baseline", "depth", "width", "resolution", "paper"}


def test_a_sampler_learns_what_is_good(tmp_path):
    chosen = settings(method="tpe", repeats=1, grid=CoefficientGrid())
    status = search(tmp_path, chosen, trials=40)
    proposed = [r for r in status.records if r.candidate.source == "candidate"]
    early, late = proposed[:8], proposed[-8:]
    assert sum(r.reward for r in late) > sum(r.reward for r in early)


@hypothesis_settings(max_examples=6, deadline=None)
@given(st.randoms(use_true_random=False), st.sampled_from(["grid", "halving"]))
def test_a_crash_never_drops_a_candidate(tmp_path_factory, chance, method):
    """Whatever crashes twice out of three times, those that would win are trained to the end."""
    crashes: dict[tuple[str, int, int], int] = {}

    def shaky(architecture: Architecture, seed: int, until: int, checkpoint: bytes | None) -> Evaluation:
        task = (architecture.key, seed, until)
        if crashes.get(task, 0) < ATTEMPTS - 1 and chance.random() < 0.3:
            crashes[task] = crashes.get(task, 0) + 1
            raise WorkerLost("the node went away")
        return toy(architecture, seed, until, checkpoint)

    chosen = settings(method=method, repeats=1, grid=CoefficientGrid(step=0.2))
    whole = search(tmp_path_factory.mktemp("whole"), chosen)
    status = search(tmp_path_factory.mktemp("shaky"), chosen, shaky)
    assert sorted(trained(status)) == sorted(trained(whole))


def test_what_crashes_every_time_is_carried_to_the_end_and_one_that_diverges_is_not(tmp_path):
    cells = [cell for cell in settings().cells() if cell.role == "candidate"]
    lost, wild = cells[3].architecture.key, cells[4].architecture.key

    def broken(architecture: Architecture, seed: int, until: int, checkpoint: bytes | None) -> Evaluation:
        if architecture.key == lost:
            raise WorkerLost("the node went away")
        if architecture.key == wild:
            raise Diverged("the loss is not finite")
        return toy(architecture, seed, until, checkpoint)

    status = search(tmp_path, settings(method="halving", repeats=1), broken)
    tries = [record.candidate.epochs for record in status.records if record.candidate.key == lost]
    assert tries == [1] * ATTEMPTS + [2] * ATTEMPTS + [4] * ATTEMPTS
    assert [record.candidate.epochs for record in status.records if record.candidate.key == wild] == [1]


def test_a_search_in_which_all_fails_stops_and_says_why(tmp_path):
    def broken(architecture: Architecture, seed: int, until: int, checkpoint: bytes | None) -> Evaluation:
        raise RuntimeError("no such device")

    status = search(tmp_path, settings(), broken)
    assert "no such device" in (status.problem or "")
    assert len(status.records) < 10


@pytest.mark.parametrize("method", ["grid", "halving", "tpe"])
def test_a_resumed_search_ends_with_the_same_trainings(tmp_path, method):
    chosen = settings(method=method, repeats=2, grid=CoefficientGrid(step=0.2))
    whole = search(tmp_path / "whole", chosen, trials=6)
    run = new_run(tmp_path / "parts", chosen)
    for _ in range(200):
        count = 0

        def stopping() -> bool:
            nonlocal count
            count += 1
            return count > 7

        *_, last = drive(run, GridProblem(chosen, 6), toy, InProcess(), stopping=stopping)
        if last.records and trained(last) == trained(whole):
            break
    assert trained(last) == trained(whole)


def test_settings_go_into_a_run_and_back():
    for chosen in (settings(), settings(method="tpe", grid=CoefficientGrid(constraint="flops", phi=0.5))):
        assert from_document("grid", to_document(chosen)) == chosen
        assert differences(chosen, chosen) == []
    assert differences(settings(), settings(repeats=5)) == ["repeats is 3, not 5"]
    with pytest.raises(RunError, match="cannot be read"):
        from_document("grid", {"grid": {}})
    with pytest.raises(QuantityError, match="--method must be one of"):
        settings(method="guess")

"""The coefficient search that a fitted surface steers, with accuracies by formula."""

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_grid import new_run, settings, trained
from toys import InProcess

from effsearch.architecture import Architecture, parse
from effsearch.coefficient_grid import Cell, CoefficientGrid
from effsearch.engine.driver import Status, drive
from effsearch.engine.problem import Clock, Done, Train
from effsearch.engine.retries import ATTEMPTS
from effsearch.engine.steering import Steering, design
from effsearch.engine.surface_problem import FIRST, LEAST_TRAININGS, SurfaceProblem, grid_problem
from effsearch.evaluation import Evaluation
from effsearch.executors.local import WorkerLost
from effsearch.runs.ranking import ranking
from effsearch.runs.records import Candidate, Record, RecordIndex
from effsearch.runs.surface import Surface, fit_surface
from effsearch.training import Diverged

OPTIMUM = (0.5, 0.2, 0.3)  # shares of depth, width and resolution of the growth
STEEP, SD = 0.3, 0.01  # points lost by the square of a distance in shares, and the standard deviation between seeds

CELLS: dict[str, Cell] = {cell.architecture.key: cell for cell in settings(grid=CoefficientGrid()).cells()}
CELLS |= {
    cell.architecture.key: cell for step in (0.1, 0.2) for cell in settings(grid=CoefficientGrid(step=step)).cells()
}


def true_accuracy(cell: Cell) -> float:
    """Highest at the optimum, and three points more for a doubling of FLOPs."""
    by = cell.coefficients
    shares = np.log([by.alpha, by.beta, by.gamma]) * [1, 2, 2] / np.log(2)
    off = float(np.square(shares - OPTIMUM).sum())
    return 0.7 - STEEP * off + 0.03 * float(np.log2(cell.flops_ratio / 2))


def toy(architecture: Architecture, seed: int, until: int, checkpoint: bytes | None) -> Evaluation:
    chance = random.Random(f"{architecture.key} {seed}").gauss(0, SD)
    return Evaluation(true_accuracy(CELLS[architecture.key]) + chance, until, 1.0)


def unclear(architecture: Architecture, seed: int, until: int, checkpoint: bytes | None = None) -> Evaluation:
    """All networks are as good, but for the seed."""
    return Evaluation(random.Random(f"{architecture.key} {seed}").gauss(0.7, SD), until, 1.0)


def record(problem: SurfaceProblem, number: int, candidate: Candidate) -> Record:
    """Of a training that ended."""
    accuracy = unclear(parse(candidate.notation), candidate.seed, 4).accuracy
    return Record(number, "complete", candidate, accuracy, problem.score.of(accuracy, candidate), 4, 1.0)


def search(folder: Path, evaluator: Any = toy, trials: int = 40, workers: int = 1, **changes: Any) -> Status:
    chosen = settings(**{"grid": CoefficientGrid()} | changes)
    *_, last = drive(new_run(folder, chosen), SurfaceProblem(chosen, trials), evaluator, InProcess(workers))
    return last


def fitted(status: Status) -> Surface:
    found = fit_surface(ranking(status.records, settings().score), 2.0)
    assert found is not None
    return found


def test_it_is_the_default_of_a_grid():
    assert settings().method == "surface"
    assert isinstance(grid_problem(settings(), 20), SurfaceProblem)
    assert not isinstance(grid_problem(settings(method="halving"), 20), SurfaceProblem)


def test_it_begins_with_the_references_and_networks_all_over_the_grid(tmp_path):
    status = search(tmp_path)
    first = [record.candidate for record in status.records][:FIRST]
    assert len({candidate.key for candidate in first}) == FIRST
    assert {candidate.seed for candidate in first} == {0}
    sources = [candidate.source for candidate in first[:5]]
    assert sources == ["baseline", "width", "resolution", "candidate, paper", "candidate, depth"]
    shares = np.log([[c.coefficients.alpha, c.coefficients.beta, c.coefficients.gamma] for c in first[1:]])
    assert (shares.max(0) > 0.9 * np.log([2, 2**0.5, 2**0.5])).all()


def test_it_ends_early_once_the_optimum_is_known(tmp_path):
    status = search(tmp_path, trials=200)
    found = fitted(status)
    assert len(trained(status)) < 60
    assert found.is_told
    assert (found.widths <= 1 / 3).all()
    assert [found.best.alpha, found.best.beta, found.best.gamma] == pytest.approx([2**0.5, 2**0.1, 2**0.15], abs=0.1)
    # The answer is a candidate whose true accuracy at equal FLOPs is within a third of a point of the best.
    problem = SurfaceProblem(settings(grid=CoefficientGrid()), 200)
    rows = ranking(status.records, settings().score, problem.judge(status.records))
    answer = CELLS[next(row.key for row in rows if row.source.startswith("candidate"))]
    best = max(_equal(cell) for cell in CELLS.values() if cell.role == "candidate")
    assert _equal(answer) > best - 0.0034


def _equal(cell: Cell) -> float:
    return true_accuracy(cell) - 0.03 * float(np.log2(cell.flops_ratio / 2))


def test_what_is_compared_at_the_end_was_trained_under_every_seed(tmp_path):
    status = search(tmp_path, trials=40)
    seeds: dict[str, set[int]] = {}
    for key, seed, _ in trained(status):
        seeds.setdefault(key, set()).add(seed)
    problem = SurfaceProblem(settings(grid=CoefficientGrid()), 40)
    rows = ranking(status.records, settings().score, problem.judge(status.records))
    names = {record.candidate.source: record.candidate.key for record in status.records}
    for key in (rows[0].key, names["baseline"], names["candidate, paper"]):
        assert seeds[key] >= {0, 1, 2}
    for under in seeds.values():
        assert under == set(range(len(under))), "seeds are paired as far as they go"


@pytest.mark.parametrize("trials", [1, 2, 7, LEAST_TRAININGS, 31])
def test_it_never_begins_more_trainings_than_planned(tmp_path, trials):
    assert len(trained(search(tmp_path, unclear, trials))) == trials


def test_it_tells_with_fewer_trainings_what_a_grid_tells(tmp_path):
    grid = settings(grid=CoefficientGrid(), method="grid", repeats=1)
    *_, whole = drive(new_run(tmp_path / "grid", grid), grid_problem(grid, 0), toy, InProcess())
    steered = search(tmp_path / "steered", trials=45, repeats=1)
    assert fitted(whole).is_told
    assert fitted(steered).is_told
    assert len(trained(steered)) < 0.67 * len(trained(whole))


@pytest.mark.parametrize("workers", [2, 5])
def test_what_runs_counts_as_done(workers):
    """A step is asked for while others run: none is begun twice, and networks differ as long as there is no fit."""
    chosen = settings(grid=CoefficientGrid())
    problem, records = SurfaceProblem(chosen, 60), RecordIndex()
    clock, begun = Clock(float("inf"), 0.0, workers), []
    for number in range(FIRST + 8):
        step = problem.next_step(records, clock)
        assert isinstance(step, Train)
        begun.append((step.candidate.key, step.candidate.seed))
        records.note(Record(number, "running", step.candidate))
        if (done := number - workers) >= 0:
            records.note(record(problem, done, records.at(done).candidate))
    assert len(set(begun)) == len(begun)


def test_a_training_that_runs_makes_another_of_its_network_tell_less(tmp_path):
    status = search(tmp_path, trials=20)
    problem = SurfaceProblem(settings(grid=CoefficientGrid()), 20)
    steering = Steering.of(fitted(status), problem.networks)
    best = int(steering.gains.argmax())
    after = steering.given(best).gains
    assert after[best] < steering.gains[best]
    assert (steering.gains >= 0).all()


@pytest.mark.parametrize("after", [1, 3, 9, 25])
def test_a_resumed_search_goes_on_alike(tmp_path, after):
    whole = search(tmp_path / "whole", trials=30)
    chosen = settings(grid=CoefficientGrid())
    run = new_run(tmp_path / "parts", chosen)
    for _ in range(60):
        asked = iter(range(10**6))
        *_, last = drive(
            run, SurfaceProblem(chosen, 30), toy, InProcess(), stopping=lambda asked=asked: next(asked) > 2 * after
        )
        if len(trained(last)) == len(trained(whole)):
            break
    assert trained(last) == trained(whole)


@pytest.mark.parametrize("error", [Diverged("the loss is not finite"), RuntimeError("a bug"), WorkerLost("gone")])
def test_a_network_that_failed_for_good_is_no_longer_chosen(tmp_path, error):
    keys = [each.key for each in SurfaceProblem(settings(grid=CoefficientGrid())).order]
    broken = {keys[2], keys[7], keys[20]}

    def sometimes(architecture: Architecture, seed: int, until: int, checkpoint: bytes | None) -> Evaluation:
        if architecture.key in broken:
            raise error
        return toy(architecture, seed, until, checkpoint)

    status = search(tmp_path, sometimes, trials=40)
    attempts = ATTEMPTS if isinstance(error, WorkerLost) else 1
    for key in broken:
        tries = [record.candidate.seed for record in status.records if record.candidate.key == key]
        assert tries in ([], [0] * attempts)
    assert {keys[2], keys[7]} <= {record.candidate.key for record in status.records}
    assert status.problem is None
    assert len({key for key, *_ in trained(status)}) >= FIRST


def test_a_search_in_which_everything_fails_is_given_up(tmp_path):
    def broken(architecture: Architecture, seed: int, until: int, checkpoint: bytes | None) -> Evaluation:
        raise RuntimeError("no such device")

    status = search(tmp_path, broken)
    assert "no such device" in (status.problem or "")
    assert len(status.records) < 10


def test_a_grid_of_few_networks_is_trained_under_every_seed(tmp_path):
    chosen = settings(grid=CoefficientGrid(step=0.9, tolerance=0.95), repeats=2)
    cells = chosen.cells()
    CELLS.update({cell.architecture.key: cell for cell in cells})
    status = search(tmp_path, trials=30, grid=chosen.grid, repeats=2)
    if fit_surface(ranking(status.records, chosen.score), 2.0) is None:
        assert sorted(trained(status)) == sorted((c.architecture.key, seed, 4) for c in cells for seed in (0, 1))
    assert len(trained(status)) >= len(cells)


def test_references_are_not_judged_and_come_after_the_candidates(tmp_path):
    chosen = settings(grid=CoefficientGrid(step=0.1))
    status = search(tmp_path, trials=24, grid=chosen.grid)
    judged = SurfaceProblem(chosen, 24).judge(status.records)
    assert sum(each.probability_best for each in judged.values()) == pytest.approx(1)
    assert all(each.accuracy == each.reward for each in judged.values())
    rows = ranking(status.records, chosen.score, judged)
    roles = [row.source.startswith("candidate") for row in rows]
    assert roles == sorted(roles, reverse=True)
    expected = [row.expected for row in rows if row.expected is not None]
    assert len(expected) == sum(roles)
    assert expected == sorted(expected, reverse=True)


def test_time_is_left_for_the_repeats_at_the_end():
    chosen = settings(grid=CoefficientGrid())
    problem, records = SurfaceProblem(chosen, 500), RecordIndex()
    left, number = 30.0, 0
    while left >= 1 and not isinstance(step := problem.next_step(records, Clock(left, 1.0, 1)), Done):
        assert isinstance(step, Train)
        records.note(record(problem, number, step.candidate))
        left, number = left - 1, number + 1
    rows = ranking(records, problem.score, problem.judge(records))
    named = {row.source: row for row in rows}
    assert 28 <= number <= 30
    assert min(named["baseline"].seeds, named["candidate, paper"].seeds) == 3
    assert rows[0].seeds >= 2


def test_the_outlook_counts_trainings(tmp_path):
    status = search(tmp_path, trials=20)
    assert status.outlook.text == "20/20 trainings"
    assert status.outlook.seconds_left == 0


def test_a_design_takes_the_least_certain_and_more_trainings_tell_smaller_differences():
    problem = SurfaceProblem(settings(grid=CoefficientGrid()), 40)
    assert sorted(design(problem.networks, 2.0, [3, 1])) == list(range(len(problem.networks.keys)))
    assert problem.difference_told(0.01, 160) < problem.difference_told(0.01, 40) < problem.difference_told(0.03, 40)

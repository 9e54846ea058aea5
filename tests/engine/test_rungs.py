import random
from collections import Counter
from dataclasses import replace

import pytest
from toys import TINY, InProcess, drive, new_run, settings, toy_accuracy

from effsearch.architecture import parse
from effsearch.engine.plan import most_further, next_step
from effsearch.engine.posterior import Judgement, judge
from effsearch.engine.problem import Done, Propose, Train, Wait
from effsearch.engine.rungs import PROMOTION_ETA, planned_epochs
from effsearch.errors import QuantityError
from effsearch.evaluation import QUICK, Evaluation
from effsearch.runs.ranking import from_csv
from effsearch.runs.records import Candidate, Record, RecordIndex, epochs_alone

RUNGS = (1, 3, 9)
SETTINGS = settings(rungs=RUNGS, proxy=replace(QUICK, epochs=9), repeats=3, finalists=3, sampler="random", window=None)


def candidate(number: int) -> Candidate:
    return Candidate(f"key{number}", f"n{number}", 8_000_000, 1, 0, "random", 1)


def truth(given: Candidate) -> float:
    """Longer trainings are more accurate; the higher its number, the better a network."""
    return 0.3 + 0.01 * int(given.key[3:]) + 0.02 * (given.epochs or 0)


def judged(records: RecordIndex) -> Judgement | None:
    return judge(records, SETTINGS.score)


def simulate(
    trials: int, workers: int = 1, baseline: Candidate | None = None, fails=lambda record: None
) -> list[Record]:
    """Plays a search by its plan, with trainings that end in a random order."""
    rng, records, running, proposed = random.Random(0), [], [], 0
    while True:
        while len(running) < workers:
            step = next_step(RecordIndex(records), SETTINGS, trials, baseline, judged)
            if isinstance(step, Done):
                assert not running
                return records
            if isinstance(step, Wait):
                break
            begun = step.candidate if isinstance(step, Train) else candidate(proposed)
            proposed += isinstance(step, Propose)
            running.append(len(records))
            records.append(Record(len(records), "running", begun))
        number = running.pop(rng.randrange(len(running)))
        given = records[number].candidate
        failed = fails(records[number])
        if failed:
            records[number] = replace(records[number], state="failed", failure_kind=failed, reason=failed)
            continue
        accuracy = truth(given)
        records[number] = replace(
            records[number], state="complete", accuracy=accuracy, reward=accuracy, epochs=given.epochs, seconds=1.0
        )


def reached(records: list[Record], epochs: int) -> set[str]:
    return {r.candidate.key for r in records if r.candidate.epochs == epochs and r.candidate.seed == 0 and r.accuracy}


@pytest.mark.parametrize("workers", [1, 4])
def test_everyone_gets_the_first_rung_and_the_best_go_on(workers):
    records = simulate(32, workers)
    assert len(reached(records, 1)) == 32
    # With several workers, some of the first rung are still running when the first go on.
    assert 32 // PROMOTION_ETA <= len(reached(records, 3)) <= 32 // PROMOTION_ETA + workers
    assert len(reached(records, 9)) == SETTINGS.finalists
    assert reached(records, 9) <= reached(records, 3) <= reached(records, 1)
    assert max(reached(records, 1), key=lambda key: int(key[3:])) in reached(records, 9)


def test_costs_a_quarter_of_training_everyone_to_the_end():
    rng = random.Random(1)
    order = list(range(40))
    rng.shuffle(order)

    def accuracy(given: Candidate) -> float:
        return 0.3 + 0.01 * order[int(given.key[3:])]

    records: list[Record] = []
    chosen = replace(SETTINGS, repeats=1)
    while isinstance(step := next_step(RecordIndex(records), chosen, 40, None, judged), Train | Propose):
        given = step.candidate if isinstance(step, Train) else candidate(len(reached(records, 1)))
        value = accuracy(given)
        done = Record(len(records), "complete", given, accuracy=value, reward=value, epochs=given.epochs, seconds=1.0)
        records.append(done)
    spent = sum(epochs_alone(record.candidate.epochs, RUNGS) for record in records)
    assert spent <= 0.27 * 40 * 9
    assert planned_epochs(RUNGS, 40, 3) == 40 + 10 * 2 + 3 * 6


def test_the_likely_best_is_trained_to_the_last_rung_under_fresh_seeds():
    records = simulate(16)
    repeats = [record.candidate for record in records if record.candidate.seed != 0]
    assert {given.epochs for given in repeats} == {9}
    assert len({(given.key, given.seed) for given in repeats}) == len(repeats) <= most_further(SETTINGS, 16)
    best = max((record.candidate for record in records if record.epochs == 9), key=truth)
    assert {given.seed for given in repeats if given.key == best.key} >= {1, 2}


def test_no_training_is_begun_twice():
    for workers in (1, 3):
        begun = Counter((r.candidate.key, r.candidate.seed, r.candidate.epochs) for r in simulate(24, workers))
        assert set(begun.values()) == {1}


def test_the_baseline_climbs_however_poor_it_is():
    baseline = candidate(0)
    records = simulate(16, baseline=baseline)
    assert "key0" in reached(records, 9)
    assert {r.candidate.seed for r in records if r.candidate.key == "key0" and r.candidate.epochs == 9} == {0, 1, 2}


def test_one_that_diverges_on_its_way_leaves_its_place_to_another():
    bad = {"key15", "key13"}
    records = simulate(16, fails=lambda r: "diverged" if r.candidate.key in bad and r.candidate.epochs == 9 else None)
    assert not reached(records, 9) & bad
    assert len(reached(records, 9)) >= SETTINGS.finalists
    assert all(sum(r.candidate.key == key and r.candidate.epochs == 9 for r in records) == 1 for key in bad)


def test_a_lost_worker_is_made_good():
    lost = []

    def once(record: Record) -> str | None:
        if record.candidate.epochs == 3 and not lost:
            lost.append(record.candidate.key)
            return "lost"
        return None

    records = simulate(16, fails=once)
    assert lost[0] in reached(records, 3)


class Parts:
    """Accuracies that grow with the epochs, and a checkpoint that says what was trained."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, int, int, bytes | None]] = []

    def __call__(self, architecture, seed, epochs, checkpoint):
        self.calls.append((architecture.key, seed, epochs, checkpoint))
        state = f"{architecture.key} {seed} {epochs}".encode() if epochs < 9 else None
        return Evaluation(toy_accuracy(architecture, seed) * epochs / 9, epochs, 0.01, (), state)


def test_a_search_goes_on_from_the_checkpoints_and_ranks_the_longest_first(tmp_path):
    parts, run = Parts(), new_run(tmp_path)
    status = drive(run, SETTINGS, 16, parts, InProcess())
    assert status.problem is None
    for key, seed, epochs, checkpoint in parts.calls:
        before = {1: None, 3: 1, 9: 3 if seed == 0 else None}[epochs]
        assert checkpoint == (None if before is None else f"{key} {seed} {before}".encode())
    rows = from_csv(run.ranking.read_text())
    assert [row.epochs for row in rows] == sorted((row.epochs for row in rows), reverse=True)
    assert rows[0].seeds >= 3


@pytest.mark.parametrize("sampler", ["auto", "evolution", "local-search", "reinforce", "tpe"])
def test_samplers_learn_from_the_first_rung_and_propose_nothing_twice(tmp_path, sampler):
    parts = Parts()
    drive(new_run(tmp_path), replace(SETTINGS, sampler=sampler, repeats=1), 20, parts, InProcess(3))
    first = [key for key, _, epochs, _ in parts.calls if epochs == 1]
    assert len(first) == len(set(first)) == 20


def test_a_stopped_search_goes_on_as_if_it_had_not_been(tmp_path):
    chosen = replace(SETTINGS, sampler="auto")
    whole, split = Parts(), Parts()
    straight = drive(new_run(tmp_path, "whole"), chosen, 12, whole)
    run = new_run(tmp_path, "split")
    for calls in (5, 14, 18):
        drive(run, chosen, 12, split, stopping=lambda: len(split.calls) >= calls)  # noqa: B023
    resumed = drive(run, chosen, 12, split)
    assert trained(resumed) == trained(straight)


def trained(status):
    found = [record for record in status.records if record.state == "complete"]
    return [(record.candidate.key, record.candidate.seed, record.candidate.epochs) for record in found]


def test_networks_to_start_with_come_first(tmp_path):
    network = TINY.decode(TINY.sample(random.Random(3)))
    parts = Parts()
    drive(new_run(tmp_path), replace(SETTINGS, start=(network.notation,)), 6, parts)
    assert parts.calls[0][0] == parse(network.notation).key == network.key


@pytest.mark.parametrize("rungs", [(3,), (3, 1, 9), (0, 9), (1, 1, 9)])
def test_rungs_that_do_not_rise_are_refused(rungs):
    with pytest.raises(QuantityError, match="rise"):
        replace(SETTINGS, rungs=rungs)


def test_rungs_end_with_the_epochs():
    with pytest.raises(QuantityError, match="end with the epochs, 9, got 8"):
        replace(SETTINGS, rungs=(1, 8))

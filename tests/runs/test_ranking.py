import math
from dataclasses import replace

import pytest
from hypothesis import given, strategies as st

from effsearch.errors import RunError
from effsearch.reward import Reward
from effsearch.runs.ranking import Row, from_csv, measure_noise, ranking, to_csv
from effsearch.runs.records import Candidate, Record

REWARD = Reward(100e6)


def record(key: str, accuracy: float | None, flops: float = 100e6, seed: int = 0, state: str = "complete") -> Record:
    candidate = Candidate(key, f"notation {key}", int(flops), 1000, seed, "evolution")
    if accuracy is None:
        return Record(0, state, candidate, reason="diverged: at once")  # type: ignore[arg-type]
    return Record(0, "complete", candidate, accuracy, REWARD(accuracy, flops), epochs=3, seconds=2.0)


def test_ranks_by_the_reward_of_the_mean_over_seeds():
    rows = ranking([record("a", 0.6), record("b", 0.7), record("b", 0.4, seed=1)], REWARD)
    assert [(row.key, row.rank, row.seeds) for row in rows] == [("a", 1, 1), ("b", 2, 2)]
    assert rows[1].accuracy == pytest.approx(0.55)
    assert rows[1].accuracy_sd == pytest.approx(0.15 * 2**0.5)
    assert rows[1].reward == pytest.approx(0.55)


def test_fewer_flops_win_at_equal_accuracy():
    rows = ranking([record("a", 0.6, 100e6), record("b", 0.6, 50e6)], REWARD)
    assert [row.key for row in rows] == ["b", "a"]
    assert rows[0].reward == pytest.approx(0.6 * 0.5**-0.07)
    assert rows[0].target_ratio == 0.5


def test_those_without_an_accuracy_come_last_without_a_rank():
    rows = ranking([record("x", None, state="failed"), record("a", 0.1), record("y", None, state="queued")], REWARD)
    assert [(row.key, row.rank, row.state) for row in rows] == [
        ("a", 1, "complete"),
        ("x", None, "failed"),
        ("y", None, "queued"),
    ]
    assert rows[1].reason == "diverged: at once"


def test_the_pareto_front_is_what_nothing_beats_in_both():
    records = [record("cheap", 0.5, 50e6), record("worse", 0.4, 60e6), record("best", 0.7, 120e6)]
    records += [record("same", 0.5, 55e6), record("dear", 0.6, 150e6)]
    assert {row.key for row in ranking(records, REWARD) if row.pareto} == {"cheap", "best"}


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9)), min_size=1, max_size=12))
def test_the_pareto_front_agrees_with_its_definition(points):
    rows = ranking([record(str(i), acc / 10, flops * 1e7) for i, (acc, flops) in enumerate(points)], REWARD)
    for row in rows:
        beaten = any(
            other.accuracy >= row.accuracy
            and other.flops <= row.flops
            and (other.accuracy, -other.flops) != (row.accuracy, -row.flops)
            for other in rows
        )
        assert not (row.pareto and beaten)
    front = {(row.accuracy, row.flops) for row in rows if row.pareto}
    for row in rows:
        assert any(accuracy >= row.accuracy and flops <= row.flops for accuracy, flops in front)


def test_noise_is_pooled_over_the_networks_with_several_seeds():
    records = [record("a", 0.50), record("a", 0.54, seed=1), record("b", 0.60), record("b", 0.60, seed=1)]
    noise = measure_noise(ranking([*records, record("c", 0.9)], REWARD))
    assert (noise.networks, noise.freedom) == (2, 2)
    assert noise.sd == pytest.approx((2 * 0.02**2 / 2) ** 0.5)
    assert measure_noise(ranking([record("c", 0.9)], REWARD)) is None


def test_a_difference_within_the_noise_is_a_tie_and_one_beyond_it_is_not():
    repeated = [record("a", 0.70), record("a", 0.72, seed=1), record("a", 0.71, seed=2)]
    rows = ranking([*repeated, record("near", 0.70), record("far", 0.60)], REWARD)
    assert {row.key: row.tie for row in rows} == {"a": True, "near": True, "far": False}
    alone = ranking([record("a", 0.7), record("b", 0.699)], REWARD)
    assert [row.tie for row in alone] == [True, False]


def test_csv_reads_back_to_the_same_rows():
    rows = ranking([record("a", 0.61), record("a", 0.6, seed=1), record("b", None, state="failed")], REWARD)
    rows.append(replace(rows[0], reason='a "quoted", comma'))
    assert from_csv(to_csv(rows)) == rows
    (row,) = from_csv(to_csv([replace(rows[0], reason="two\nlines")]))
    assert row.reason == "two?lines"


def test_what_a_terminal_would_obey_is_read_from_csv_as_a_question_mark():
    (row,) = ranking([record("a", 0.61)], REWARD)
    written = replace(row, reason="two\nlines and \x1b[31mred")
    assert from_csv(to_csv([written])) == [replace(row, reason="two?lines and ?[31mred")]


@pytest.mark.parametrize("text", ["rank,key\n1,a\n", "\x00\n\x00", to_csv([]).strip() + "\nx" + "," * 16 + "\n"])
def test_a_file_that_is_no_ranking_is_refused_in_one_line(text):
    with pytest.raises(RunError) as refused:
        from_csv(text)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("name", ["rank", "accuracy", "reward"])
def test_a_row_that_lacks_a_part_of_its_result_is_refused_in_one_line(name):
    (row,) = ranking([record("a", 0.61)], REWARD)
    with pytest.raises(RunError, match="all of rank, accuracy and reward"):
        from_csv(to_csv([replace(row, **{name: None})]))


@pytest.mark.parametrize("beta", [None, 0.0, math.nan])
def test_a_row_that_was_grown_by_no_coefficients_is_refused_in_one_line(beta):
    (row,) = ranking([record("a", 0.61)], REWARD)
    with pytest.raises(RunError, match="not a ranking as a run writes it: line 2"):
        from_csv(to_csv([replace(row, alpha=1.2, beta=beta, gamma=1.1)]))


@pytest.mark.parametrize("seeds", [0, -1])
def test_an_accuracy_under_no_seed_is_refused_in_one_line(seeds):
    (row,) = ranking([record("a", 0.61)], REWARD)
    with pytest.raises(RunError, match="has one seed at least"):
        from_csv(to_csv([replace(row, seeds=seeds)]))


def test_rows_carry_what_programs_need():
    needed = {"rank", "key", "notation", "state", "accuracy", "flops", "params", "reward", "epochs", "seconds"}
    assert needed <= set(Row.__dataclass_fields__)


def test_the_longest_trained_come_first_and_are_compared_among_themselves():
    def at(key: str, accuracy: float, epochs: int, seed: int = 0) -> Record:
        return replace(record(key, accuracy, seed=seed), epochs=epochs)

    records = [at("a", 0.9, 1), at("b", 0.2, 1), at("b", 0.5, 4), at("b", 0.6, 4, seed=1), at("c", 0.5, 4)]
    rows = ranking(records, REWARD)
    assert [(row.key, row.epochs, row.seeds) for row in rows] == [("b", 4, 2), ("c", 4, 1), ("a", 1, 1)]
    assert rows[0].accuracy == pytest.approx(0.55)
    assert [row.tie for row in rows] == [True, True, False]
    assert [row.pareto for row in rows] == [True, False, False]
    assert rows[0].seconds == 3.0

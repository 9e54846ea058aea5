"""Replaying samplers on a table, and what is said of it."""

import json
import math

import pytest
from tables import part_of, toy_table

from effsearch.engine.replay import Searches, best_of, search_curves, search_table
from effsearch.errors import ReportError
from effsearch.reports.pictures import check_picture
from effsearch.reports.replay import replay_json, replay_table, write_regret_curves
from effsearch.reward import Reward
from effsearch.runs.regret import SearchCurve, summarise

TABLE = toy_table()
REWARD = Reward(5e7)


def test_a_search_is_the_best_reward_so_far_and_the_same_for_the_same_seed():
    first, again, other = (search_table(TABLE, REWARD, "auto", seed, 30) for seed in (0, 0, 1))
    assert first.best == again.best != other.best
    assert len(first.best) == 30
    assert list(first.best) == sorted(first.best)
    assert 0 < first.seconds < 1


def test_a_search_of_everything_ends_at_the_best():
    few = part_of(TABLE, 0.1)
    course = search_table(few, REWARD, "random", 0, 50)
    assert len(course.best) == 50
    assert course.best[-1] == best_of(few, REWARD)


def test_several_run_at_a_time():
    course = search_table(TABLE, REWARD, "auto", 0, 30, running=7)
    assert len(course.best) == 30
    assert course.best[-1] > course.best[0]


def test_processes_do_not_change_what_is_found():
    def found(workers: int) -> list[tuple[str, int, tuple[float, ...]]]:
        names = ("evolution", "random")
        return sorted(
            (c.sampler, c.seed, c.best) for c in search_curves(Searches(TABLE, REWARD, names, 3, 12), workers)
        )

    assert found(1) == found(2)
    assert len(found(1)) == 6


def test_evaluations_are_counted_until_a_regret_is_reached():
    # Regrets against 1.0: reached at once, at the third, at the second evaluation, and never.
    found = [
        SearchCurve("a", 0, (1.0, 1.0, 1.0), 0.1),
        SearchCurve("a", 1, (0.5, 0.5, 1.0), 0.1),
        SearchCurve("a", 2, (0.5, 0.995, 0.995), 0.1),
        SearchCurve("a", 3, (0.5, 0.5, 0.5), 0.3),
    ]
    (summary,) = summarise(found, 1.0)
    assert (summary.seeds, summary.trials) == (4, 3)
    percent = summary.evaluations[0.01]
    assert (percent.median, percent.p90, percent.success) == (2.5, None, 0.75)
    none = summary.evaluations[0.0]
    assert (none.median, none.p90, none.success) == (3, None, 0.5)
    assert summary.regret == {25: None, 50: None, 100: None, 200: None}
    assert summary.curve[0] == pytest.approx(0.375)
    assert summary.seconds == pytest.approx(0.15)


def test_the_median_is_not_known_where_under_half_got_there():
    found = [SearchCurve("a", seed, (1.0 if seed < 2 else 0.9,) * 25, 0.1) for seed in range(5)]
    (summary,) = summarise(found, 1.0)
    assert summary.evaluations[0.0].median is None
    assert summary.evaluations[0.0].success == 0.4
    assert summary.regret[25] == pytest.approx(0.06)


def test_json_and_table_and_picture(tmp_path):
    found = [search_table(TABLE, REWARD, name, seed, 25) for name in ("auto", "random") for seed in range(2)]
    replays = summarise(found, best_of(TABLE, REWARD))
    document = json.loads(replay_json(replays))
    assert [row["sampler"] for row in document] == ["auto", "random"]
    assert set(document[0]) == {"sampler", "seeds", "trials", "evaluations", "regret", "seconds_per_proposal"}
    assert set(document[0]["evaluations"]) == {"0.01", "0.001", "0"}
    assert set(document[0]["evaluations"]["0"]) == {"median", "p90", "success"}
    assert document[0]["regret"]["50"] is None
    assert math.isfinite(document[0]["regret"]["25"])
    assert len(replay_table(replays).cells) == 2
    for suffix in (".png", ".svg"):
        write_regret_curves(replays, tmp_path / f"curves{suffix}", "toy")
        assert (tmp_path / f"curves{suffix}").stat().st_size > 1000
    with pytest.raises(ReportError, match=r"\.png, \.svg"):
        check_picture(tmp_path / "curves.txt")

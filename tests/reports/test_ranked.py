import json
from dataclasses import replace

import pandas as pd
import pytest

from effsearch.errors import ReportError, RunError
from effsearch.reports import ranking_table as ranked
from effsearch.reports.ranking_table import noise_line, ranking_table
from effsearch.runs.folder import create
from effsearch.runs.ranking import COLUMNS, Row, to_csv

GROWTH = ("alpha", "beta", "gamma")
FIRST = Row(1, "aa", "n-a", "complete", 0.5, 0.01, 3, 0.52, 200, 0.5, 10, 3, 9.5, True, True, "b0", None)
SECOND = replace(
    FIRST, rank=2, key="bb", accuracy=0.6, accuracy_sd=None, seeds=1, reward=0.51, flops=900, pareto=False, tie=False
)
FAILED = replace(
    SECOND,
    rank=None,
    key="cc",
    state="failed",
    accuracy=None,
    reward=None,
    seeds=0,
    epochs=None,
    seconds=None,
    reason="x",
)
ROWS = [FIRST, SECOND, FAILED]


def test_select_sorts_the_best_first_and_the_unknown_last():
    assert [row.key for row in ranked.select_rows(ROWS, sort="accuracy")] == ["bb", "aa", "cc"]
    assert [row.key for row in ranked.select_rows(ROWS, sort="flops")] == ["aa", "bb", "cc"]
    assert [row.key for row in ranked.select_rows(ROWS, top=1)] == ["aa"]
    assert [row.key for row in ranked.select_rows(ROWS, pareto=True)] == ["aa"]


def test_sorting_by_what_is_no_column_names_the_columns():
    with pytest.raises(ReportError, match=r"'foo'.*accuracy"):
        ranked.select_rows(ROWS, sort="foo")


def test_json_is_a_list_of_objects_with_null_for_what_is_not_known():
    objects = json.loads(ranked.ranking_json(ROWS))
    assert [set(item) for item in objects] == [set(COLUMNS) - set(GROWTH)] * 3
    assert objects[2]["accuracy"] is None
    assert objects[0]["flops"] == 200


@pytest.mark.parametrize("suffix", ["csv", "json", "parquet"])
def test_every_format_written_holds_the_same(tmp_path, suffix):
    file = tmp_path / f"table.{suffix}"
    ranked.write_ranking(ROWS, file)
    reader = {"csv": pd.read_csv, "json": pd.read_json, "parquet": pd.read_parquet}[suffix]
    table = reader(file)
    assert list(table.columns) == [name for name in COLUMNS if name not in GROWTH]
    assert table["key"].tolist() == ["aa", "bb", "cc"]
    assert table["accuracy"].tolist()[:2] == pytest.approx([0.5, 0.6])
    assert pd.isna(table["rank"].iloc[2])
    assert [path.name for path in tmp_path.iterdir()] == [file.name]


def test_a_run_that_grows_a_baseline_has_the_coefficients_too():
    grown = [replace(FIRST, alpha=1.2, beta=1.1, gamma=1.15), SECOND]
    assert [item["beta"] for item in json.loads(ranked.ranking_json(grown))] == [1.1, None]
    assert list(ranked.ranking_frame(grown).columns) == list(COLUMNS)


def test_every_value_of_a_row_has_one_column():
    assert sorted(column.name for column in ranked.columns()) == sorted(COLUMNS)


def test_an_unknown_suffix_or_a_missing_folder_is_refused(tmp_path):
    with pytest.raises(ReportError, match=r"\.csv, \.json, \.parquet"):
        ranked.write_ranking(ROWS, tmp_path / "table.xlsx")
    for suffix in ("csv", "parquet"):
        with pytest.raises(ReportError, match="cannot write"):
            ranked.write_ranking(ROWS, tmp_path / "missing" / f"table.{suffix}")


def test_a_run_without_a_ranking_says_so(tmp_path):
    run = create(tmp_path, "first", {"run": {}}, {"space.toml": "space"})
    with pytest.raises(RunError, match="no ranking yet"):
        ranked.read_rows(run)
    run.ranking.write_text(to_csv(ROWS))
    assert ranked.read_rows(run) == ROWS


def test_the_table_shows_percent_points_and_marks():
    grid = ranking_table(ROWS, notation=False)
    assert grid.cells[0] == ("1", "0.5200", "50.0", "1.0 (3)", "200", "0.50", "10", "3", "*", "b0", "aa")
    assert grid.cells[2][1] == "failed"
    lines = grid.markdown().splitlines()
    assert len(lines) == 5
    assert len({line.count("|") for line in lines}) == 1


def test_the_noise_line_gives_the_pooled_deviation_in_points():
    assert "seed sd 1.0 points (pooled over 1 network, 2 degrees of freedom)" in noise_line(ROWS)
    assert "not measured" in noise_line([SECOND])

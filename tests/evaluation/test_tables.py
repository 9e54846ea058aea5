"""Benchmark tables: what is read, what is refused, and what is predicted."""

import os
import random
import sys
from pathlib import Path

import pandas as pd
import pytest

from effsearch.engine.completion import complete
from effsearch.errors import SpaceError, TableError
from effsearch.evaluation.tables import read_table, to_csv
from effsearch.space import Decision

sys.path.insert(0, str(Path(__file__).parent.parent / "search"))

from tables import part_of, toy_table, write

BENCH = os.environ.get("EFFSEARCH_TEST_BENCH")
bench = pytest.mark.skipif(BENCH is None, reason="set EFFSEARCH_TEST_BENCH to a folder of benchmark tables")
HEAD = "kernel,op,accuracy,flops,params,accuracy_std,latency_ms"
ROWS = ["3,conv,0.7,100,10,0.01,1.5", "5,conv,0.72,150,11,0.01,1.7", "3,sep,0.6,50,5,0.02,", "5,sep,0.65,70,6,0.01,1.2"]


def test_columns_are_measurements_by_name_and_decisions_otherwise(tmp_path):
    listing = read_table(write(tmp_path / "t.csv", [HEAD, *ROWS]))
    assert listing.table.decisions == (Decision("kernel", (3, 5)), Decision("op", ("conv", "sep")))
    assert (listing.complete, listing.table.size, listing.others) == (True, 4, ("latency_ms",))
    entry = listing.table.decode({"kernel": 5, "op": "sep"})
    assert (entry.accuracy, entry.flops, entry.params, entry.deviation) == (0.65, 70, 6, 0.01)
    assert entry.notation == "kernel=5,op=sep"
    assert listing.table.parse(entry.notation) == entry


def test_parquet_says_the_same(tmp_path):
    plain = read_table(write(tmp_path / "t.csv", [HEAD, *ROWS]))
    pd.read_csv(tmp_path / "t.csv").to_parquet(tmp_path / "t.parquet")
    other = read_table(tmp_path / "t.parquet")
    assert other.table.decisions == plain.table.decisions
    assert dict(other.table.entries) == dict(plain.table.entries)


def test_a_table_can_be_written_and_read_again(tmp_path):
    table = toy_table()
    (tmp_path / "toy.csv").write_text(to_csv(table))
    again = read_table(tmp_path / "toy.csv")
    assert again.complete
    assert again.table.decisions == table.decisions
    assert dict(again.table.entries) == dict(table.entries)


def test_more_columns_can_be_named_measurements_and_names_of_rows_are_no_decisions(tmp_path):
    lines = [f"{HEAD},heat,arch_id"] + [f"{row},{index % 3},{index}" for index, row in enumerate(ROWS)]
    path = write(tmp_path / "t.csv", lines)
    assert [decision.name for decision in read_table(path).table.decisions] == ["kernel", "op", "heat"]
    named = read_table(path, ("heat",))
    assert named.complete
    assert named.others == ("latency_ms", "heat", "arch_id")


def test_choices_may_hold_what_a_notation_is_made_of(tmp_path):
    lines = ['"a,b",accuracy,flops', '"x=1,y",0.5,10', "z%2C,0.6,20"]
    table = read_table(write(tmp_path / "t.csv", lines)).table
    for values in table.walk():
        assert table.encode(table.decode(values).notation) == values


def changed(index: int, row: str) -> list[str]:
    return [HEAD, *(row if at == index else line for at, line in enumerate(ROWS))]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["kernel,flops", "3,100", "5,150"], "no column accuracy; there are kernel, flops"),
        (["kernel,accuracy", "3,0.5", "5,0.6"], "no column flops"),
        ([HEAD, *(row.replace("0.7,", "70.1,") for row in ROWS)], "a fraction from 0 to 1, got 70.1 in row 1"),
        ([HEAD, *ROWS, ROWS[1]], "rows 2 and 5 are the same network, kernel=5,op=conv"),
        ([HEAD, *ROWS, "5,conv,0.73,150,11,0.01,1"], "rows 2 and 5 are the same network"),
        ([HEAD, ROWS[0]], "at least 2 rows, got 1"),
        ([HEAD], "at least 2 rows, got 0"),
        ([""], "no column accuracy; there are none"),
        (changed(2, "3,,0.6,50,5,0.02,1"), "op has an empty cell in row 3"),
        (changed(2, "3,sep,,50,5,0.02,1"), "accuracy must be a number, got an empty cell in row 3"),
        (changed(2, "3,sep,nan,50,5,0.02,1"), "accuracy must be a number, got 'nan' in row 3"),
        (changed(2, "3,sep,0.6,0,5,0.02,1"), "flops must be at least 1, got 0 in row 3"),
        (changed(2, "3,sep,0.6,many,5,0.02,1"), "flops must be a number, got 'many' in row 3"),
        (changed(2, "3,sep,0.6"), "row 3 has 3 cells, the first line 7"),
        (["accuracy,flops", "0.5,10", "0.6,20"], "no column is a decision"),
        (["kernel,accuracy,flops", "3,0.5,10", "3,0.6,20"], "no column is a decision"),
        (["kernel,kernel,accuracy,flops", "3,3,0.5,10"], "name each column once"),
    ],
)
def test_a_bad_table_is_refused_in_one_line(tmp_path, lines, message):
    with pytest.raises(TableError) as caught:
        read_table(write(tmp_path / "t.csv", lines))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_is_no_table_is_refused(tmp_path):
    with pytest.raises(TableError, match=r"no table 'missing.csv'"):
        read_table(Path("missing.csv"))
    for name in ("t.csv", "t.parquet"):
        (tmp_path / name).write_bytes(bytes(range(256)))
        with pytest.raises(TableError, match="not a table in CSV or Parquet"):
            read_table(tmp_path / name)


def test_repeated_trainings_of_a_sample_are_averaged(tmp_path):
    lines = ["a,b,accuracy,flops", "0,0,0.5,10", "0,0,0.6,10", "1,1,0.7,20"]
    listing = read_table(write(tmp_path / "t.csv", lines))
    assert (listing.complete, listing.repeats, listing.table.size, listing.table.pool) == (False, 1, 2, True)
    assert listing.table.decode({"a": 0, "b": 0}).accuracy == pytest.approx(0.55)


def test_a_pool_has_only_its_rows(tmp_path):
    whole = toy_table()
    pool = part_of(whole, 0.3)
    rng = random.Random(0)
    rows = {tuple(values.values()) for values in pool.walk()}
    for _ in range(50):
        here = pool.sample(rng)
        assert tuple(here.values()) in rows
        assert tuple(pool.mutate(here, 1, rng).values()) in rows
    near = list(pool.neighbours(here))
    apart = [sum(there[name] != here[name] for name in here) for there in near]
    assert apart == sorted(apart)
    assert here not in near
    missing = next(values for values in whole.walk() if tuple(values.values()) not in rows)
    with pytest.raises(SpaceError, match="no row"):
        pool.decode(missing)
    assert pool.decode_all([here, missing])[1] is None


def test_what_is_missing_is_predicted_near_the_truth_and_says_so(tmp_path):
    whole = toy_table(choices=4, decisions=5, noise=0.0)
    (tmp_path / "t.csv").write_text(to_csv(part_of(whole, 0.25)))
    listing = read_table(tmp_path / "t.csv")
    table, qualities = complete(listing)
    assert table.size == 4**5
    for quality in qualities:
        assert quality.rows == listing.table.size
        assert quality.tau > 0.95
    errors = []
    for values in whole.walk():
        true, told = whole.decode(values), table.decode(values)
        assert told.predicted == (tuple(values.values()) not in listing.table.entries)
        if told.predicted:
            errors.append(abs(told.accuracy - true.accuracy))
            assert told.flops == pytest.approx(true.flops, rel=0.1)
        else:
            assert told == true
    assert sum(errors) / len(errors) < 0.002


def test_too_few_rows_are_not_completed(tmp_path):
    lines = ["a,b,accuracy,flops", "0,0,0.5,10", "1,0,0.6,10", "1,1,0.7,20"]
    with pytest.raises(TableError, match=r"3 of 4 combinations, too few.*--pool"):
        complete(read_table(write(tmp_path / "t.csv", lines)))


@bench
def test_a_sample_of_imagenet_trainings_is_read_and_completed():
    listing = read_table(Path(BENCH or "") / "accel_nasbench" / "accel_nasbench.csv")
    assert (listing.table.size, listing.repeats, len(listing.table.decisions)) == (5125, 13, 28)
    assert listing.others == ("train_time_s", "throughput_a100", "throughput_3090")
    table, qualities = complete(listing)
    assert table.size == listing.combinations > 1e11
    accuracy = qualities[0]
    assert accuracy.measurement == "accuracy"
    assert accuracy.tau > 0.9
    assert accuracy.error < 0.006

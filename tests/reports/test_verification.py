"""What is said about long trainings: who is compared with whom, and each verdict in words."""

import json
import re
from typing import Any

import pandas as pd
import pytest
from folders import NOTATION

from effsearch.architecture import parse
from effsearch.errors import RunError
from effsearch.evaluation import QUICK
from effsearch.families import EFFICIENTNET_B0
from effsearch.reports.verification import Verification, show_verification, verification_captions
from effsearch.runs.folder import Run
from effsearch.runs.records import Candidate, Record
from effsearch.runs.settings import VerifiedNetwork, VerifySettings


def made(accuracies: dict[str, list[float | None]], earlier: dict[str, float] | None = None) -> Verification:
    """A verification of networks in these roles (what follows a space keeps them apart), each with its accuracies."""
    notations = {name: NOTATION.format(32 + 8 * index) for index, name in enumerate(accuracies)}
    notations |= {"b0": EFFICIENTNET_B0.notation} if "b0" in accuracies else {}
    networks = [VerifiedNetwork(notations[n], n.partition(" ")[0], (earlier or {}).get(n)) for n in accuracies]
    records = []
    for name, values in accuracies.items():
        for seed, accuracy in enumerate(values):
            candidate = Candidate(parse(notations[name]).key, notations[name], 1, 1, seed, name, 4)
            state: Any = "failed" if accuracy is None else "complete"
            records.append(Record(len(records), state, candidate, accuracy, accuracy, 4 if accuracy else None, 1.0))
    return Verification(VerifySettings("first", tuple(networks), "scenes", QUICK, 224, 2), records)


def test_a_network_that_is_better_is_said_to_be_with_its_interval_and_cost():
    of = made({"found": [0.60, 0.61, 0.62], "b0": [0.55, 0.57, 0.57]})
    better, agreement = of.lines()
    assert better == (
        "found is better than b0 by 4.7 points (95 % interval 3.2 to 6.1), at "
        f"{of.rows[0].flops / of.rows[1].flops:.2f} of its FLOPs"
    )
    assert agreement == "first trained too few of these networks to say whether its order holds"


def test_one_that_is_worse_and_one_that_is_not_told_apart():
    worse = made({"found": [0.50, 0.51, 0.52], "b0": [0.55, 0.57, 0.57]}).lines()[0]
    assert worse.startswith("found is worse than b0 by 5.3 points (95 % interval 3.9 to 6.8), at ")
    close = made({"found": [0.56, 0.55, 0.58, 0.57], "b0": [0.55, 0.57, 0.57, 0.56]}).lines()[0]
    found = re.fullmatch(
        r"found is not told apart from b0: \+0\.2 points \(95 % interval -2\.\d to 2\.\d\), at 1\.\d\d of its FLOPs; "
        r"about (\d+) seeds would be needed",
        close,
    )
    assert found is not None
    assert int(found[1]) > 4
    alike = made({"found": [0.56, 0.55], "b0": [0.55, 0.56]}).lines()[0]
    assert alike.endswith("; more than 1,000 seeds would be needed")


def test_one_seed_gives_no_interval():
    of = made({"found": [0.56], "b0": [0.55]})
    assert "found against b0: +1.0 points, at" in of.lines()[0]
    assert of.lines()[0].endswith("under too few seeds for an interval")
    assert of.rows[0].difference_low is None
    assert of.rows[0].accuracy == 0.56


def test_random_networks_are_compared_with_together():
    of = made({"found": [0.6, 0.61], "random a": [0.5, 0.51], "random b": [0.55, 0.57]})
    first, second, _ = of.lines()
    assert "random 1" in first
    assert "the mean of 2 random networks" in second
    assert second.endswith("of their FLOPs")
    assert "the mean" not in " ".join(made({"found": [0.6, 0.61], "random a": [0.5, 0.51]}).lines())


def test_coefficients_of_a_grid_are_compared_with_the_best_single_axis():
    values = {"compound": [0.6, 0.6], "paper": [0.61, 0.6], "depth": [0.5, 0.51], "width": [0.55, 0.54]}
    of = made(values | {"baseline": [0.4, 0.41]})
    assert of.names[of.compared] == "width"
    assert of.rows[3].difference is None
    assert of.lines()[0].startswith("compound is better than width by 5.5 points")
    # The best of two axes was chosen by these trainings, so the interval is that of two comparisons.
    pairwise = of.model.difference(of.rows[0].key, [str(of.compared)])
    assert pairwise.low > of.rows[0].difference_low > 0
    assert of.choices == 2
    assert made({"found": [0.6, 0.6], "depth": [0.5, 0.51]}).choices == 1
    assert made({"compound": [0.6, 0.6], "paper": [0.6, 0.6]}).compared is not None


def test_the_run_s_own_ranking_is_compared_by_tau_or_in_words():
    values = {"found": [0.6, 0.61], "b0": [0.5, 0.51], "x": [0.55, 0.54], "y": [0.4, 0.41]}
    earlier = {"found": 0.4, "b0": 0.3, "x": 0.35, "y": 0.36}
    assert made(values, earlier).lines()[-1] == "Kendall's tau between accuracies in first and here: 0.33 (4 networks)"
    holds = made(values, {"found": 0.4, "b0": 0.3}).lines()[-1]
    assert holds == "the order of accuracies in first holds: found > b0"
    turned = made(values, {"found": 0.4, "b0": 0.3, "x": 0.25}).lines()[-1]
    assert turned == "the order of accuracies in first was found > b0 > x; after long training it is found > x > b0"


def test_show_prints_every_format(runs, capsys, tmp_path):
    run = runs["verify"]
    show_verification(run, "json")
    rows = json.loads(capsys.readouterr().out)
    assert list(rows[0]) == [
        *("key", "notation", "role", "flops", "params", "accuracy", "accuracy_low", "accuracy_high", "seeds"),
        *("difference", "difference_low", "difference_high"),
    ]
    assert [row["role"] for row in rows] == ["found", "b0", "random"]
    assert [row["seeds"] for row in rows] == [3, 3, 2]
    assert rows[1]["difference"] is None
    assert rows[0]["difference"] == pytest.approx(0.02 - 0.002)
    assert rows[0]["difference_low"] < rows[0]["difference"] < rows[0]["difference_high"]
    show_verification(run, "csv")
    assert capsys.readouterr().out.startswith("key,notation,role,flops")
    for form in ("markdown", "table"):
        show_verification(run, form)
        words = " ".join(capsys.readouterr().out.split())
        assert "found is better than b0 by 1.8 points (95 % interval " in words
        assert "the order of accuracies in search holds: found > b0" in words
        assert "mean over n seeds that search did not use" in words
    for suffix, read in (("csv", pd.read_csv), ("json", pd.read_json), ("parquet", pd.read_parquet)):
        show_verification(run, "table", tmp_path / f"rows.{suffix}")
        assert list(read(tmp_path / f"rows.{suffix}")["seeds"]) == [3, 3, 2]


def test_the_captions_have_the_units(runs):
    run = runs["verify"]
    lines = verification_captions(Verification.read(run), run.manifest())
    assert "after 4 epochs of 4,000 images (search had 2 epochs; quick proxy, 40 px, channels x 0.25)" in lines[0]
    assert lines[-1].endswith("at 224 px and 1000 classes")


def test_a_run_without_its_journal_has_no_differences(runs, tmp_path):
    run = Run(tmp_path / "copied")
    run.path.mkdir()
    (run.path / "run.toml").write_bytes((runs["verify"].path / "run.toml").read_bytes())
    with pytest.raises(RunError, match="no journal, so the accuracy under each seed is not known"):
        Verification.read(run)

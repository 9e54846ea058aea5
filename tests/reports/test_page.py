"""The page of a run: what it holds, that it loads nothing, and that nothing in a run gets to run in it."""

import base64
import hashlib
import json
import re
from dataclasses import asdict
from io import BytesIO

import plotly.graph_objects
import pytest
from folders import BASELINE, HOSTILE, NOTATION, hostile_run, manifest, nas_run, record, scores, train_run, write_run
from markup import data_of, read
from PIL import Image

from effsearch.errors import ReportError, RunError
from effsearch.reports import ranking_table as ranked
from effsearch.reports.evaluation import evaluation_json
from effsearch.reports.page import page_of, render, write_page


@pytest.fixture(scope="module")
def pages(runs):
    return {kind: render(page_of(run)) for kind, run in runs.items()}


def titles(page):
    return [heading.words for heading in read(page).all("h2")]


def figures(page):
    return [heading.words for figure in read(page).all("figure") for heading in figure.all("h3")]


def test_every_command_has_its_sections(pages):
    course = ["Progress of the search", "Learning curves", "Which decisions matter", "How the run was made"]
    assert titles(pages["nas"]) == ["Accuracy and cost", "Ranking", *course]
    assert titles(pages["grid"]) == ["Alpha, beta and gamma", "The family", "Accuracy and cost", "Ranking", *course]
    assert titles(pages["curves"]) == ["Growth along each axis", "Accuracy and cost", "Ranking", *course]
    assert titles(pages["verify"]) == ["After long training", "Ranking", "Learning curves", "How the run was made"]
    evaluated = ["What the network confuses", "The worst images"]
    assert titles(pages["train"]) == ["Learning curve", *evaluated, "Network", "How the run was made"]
    assert figures(pages["train"])[:3] == ["Validation accuracy", "Training loss", "Confusion matrix"]
    assert "Rungs" in figures(pages["grid"])
    assert "Rungs" not in figures(pages["nas"])
    assert "One axis at a time" in figures(pages["curves"])


def test_the_ranking_is_the_one_that_show_prints_and_sorts_by_its_numbers(runs, pages):
    rows, table = ranked.read_rows(runs["nas"]), data_of(pages["nas"])["ranking"]
    columns = dict(zip(table["headings"], zip(table["cells"], strict=False), strict=False))
    assert table["headings"][:3] == ["rank", "reward", "acc %"]
    assert "marks" in columns
    assert [line[0] for line in table["cells"][:2]] == ["1", "2"]
    assert table["cells"][-1][1] == "failed"
    assert table["reasons"][-1] == "out of memory"
    assert table["sort"][table["headings"].index("FLOPs")] == [row.flops for row in rows]
    assert table["sort"][table["headings"].index("acc %")][-1] is None
    assert table["falling"][table["headings"].index("acc %")]
    assert not table["falling"][table["headings"].index("FLOPs")]
    assert table["notations"] == [row.notation for row in rows]


def test_a_notation_is_stored_once_however_many_figures_point_to_it(pages):
    script = read(pages["nas"]).all("script", id="data")[0].text
    assert script.count(NOTATION.format(24 + 8 * 5)) == 1


def test_the_front_of_each_figure_is_of_its_own_cost(runs, pages):
    rows = [row for row in ranked.read_rows(runs["nas"]) if row.accuracy is not None]
    for number, cost in enumerate(("flops", "params")):
        traces, layout, _ = data_of(pages["nas"])["figures"][number]
        (front,) = [trace for trace in traces if trace["name"] == "Pareto front"]
        shown = {rows[index].key for index in front["customdata"]}
        beaten = {
            row.key
            for row in rows
            for other in rows
            if getattr(other, cost) <= getattr(row, cost)
            and (other.accuracy, -getattr(other, cost)) > (row.accuracy, -getattr(row, cost))
        }
        assert shown == {row.key for row in rows} - beaten
        assert layout["yaxis"]["title"]["text"] == "validation top-1 (%)"
    assert data_of(pages["nas"])["figures"][0][1]["xaxis"]["title"]["text"] == "FLOPs (millions of multiply-adds)"
    assert data_of(pages["nas"])["figures"][1][1]["xaxis"]["title"]["text"] == "parameters (millions)"


def test_every_figure_is_one_that_plotly_takes(pages):
    for page in pages.values():
        assert data_of(page)["figures"]
        for traces, layout, height in data_of(page)["figures"]:
            coloured = re.sub(r"var\(--[a-z]+\)", "#123456", json.dumps({"data": traces, "layout": layout}))
            plotly.graph_objects.Figure(json.loads(coloured))
            assert height >= 120


def test_what_the_numbers_are_and_how_the_run_was_made_is_written(pages):
    words = read(pages["nas"]).words
    for expected in (
        "multiply-adds of convolutions and linear layers, at 224 px and 1000 classes",
        "validation top-1 on scenes (synthetic images)",
        "seed sd 1.4 points",
        "Best with FLOPs <= 400M",
        "effsearch nas --seed 0",
        "proxy.epochs 4",
        "torch 2.6",
    ):
        assert expected in words
    assert "80 % interval" in read(pages["grid"]).words
    assert "grown by these coefficients" in read(pages["grid"]).words
    assert "Validation: top-1 61.00 %" in read(pages["train"]).words
    assert read(pages["train"]).all("button")[0].words == BASELINE


def test_nothing_is_loaded_and_no_script_runs_but_the_page_s_own(pages):
    for page in pages.values():
        document = read(page)
        elements = [element for tag in ("link", "img", "script", "iframe", "object") for element in document.all(tag)]
        places = {element.attributes.get("src") or element.attributes.get("href") for element in elements}
        pictures = {
            place for place in places if place and re.fullmatch("data:image/png;base64,[A-Za-z0-9+/]+=*", place)
        }
        assert places - pictures == {None, "data:,"}
        (policy,) = document.all("meta", **{"http-equiv": "Content-Security-Policy"})
        rules = dict(rule.strip().split(" ", 1) for rule in policy.attributes["content"].split(";"))
        assert rules["default-src"] == "'none'"
        scripts = [script for script in document.all("script") if script.attributes.get("type") is None]
        digests = [base64.b64encode(hashlib.sha256(script.text.encode()).digest()).decode() for script in scripts]
        assert rules["script-src"].split() == [f"'sha256-{digest}'" for digest in digests]


def test_nothing_of_a_stranger_s_run_becomes_markup(tmp_path, pages):
    page = render(page_of(hostile_run(tmp_path)))
    document = read(page)
    tags = {tag: len(document.all(tag)) for tag in ("script", "img", "iframe", "svg", "style")}
    assert tags == {"script": 3, "img": 0, "iframe": 0, "svg": 0, "style": 1}
    assert all(not name.startswith("on") for element in everything(document) for name in element.attributes)
    assert "<script>alert(1)<" in document.all("h1")[0].words
    assert set(data_of(page)["ranking"]["notations"]) == {HOSTILE, *(f"{HOSTILE}{number}" for number in range(3))}
    assert HOSTILE in [button.attributes["data-copy"] for button in document.all("button")]


def everything(element):
    return [element, *(found for child in element.children for found in everything(child))]


def test_text_of_a_run_that_plotly_draws_is_escaped(tmp_path):
    run = nas_run(tmp_path)
    text = run.journal.read_text().replace('\\"kernel\\"', '\\"<b>kernel\\"').replace('"kernel"', '"<b>kernel"')
    run.journal.write_text(text)
    (bars,) = [traces[0] for traces, *_ in data_of(render(page_of(run)))["figures"] if traces[0].get("type") == "bar"]
    assert set(bars["y"]) == {"&lt;b&gt;kernel", "width"}


def test_a_number_that_is_none_is_null_and_the_network_is_not_drawn(tmp_path):
    run = nas_run(tmp_path, count=8)
    lines = run.ranking.read_text().splitlines()
    cells = lines[2].split(",")
    lines[2] = ",".join([*cells[:4], "nan", *cells[5:]])
    run.ranking.write_text("\n".join(lines) + "\n")
    data = data_of(render(page_of(run)))
    assert data["ranking"]["sort"][2][1] is None
    assert all(1 not in trace["customdata"] for traces, *_ in data["figures"][:2] for trace in traces)


def test_few_trials_and_no_journal_are_said(tmp_path):
    few = read(render(page_of(nas_run(tmp_path, count=5)))).words
    assert "5 trainings are too few to say which decisions matter; it takes 20" in few
    bare = read(render(page_of(nas_run(tmp_path, name="bare", journal=False)))).words
    assert "has no journal" in bare
    assert "Which decisions matter" not in bare


def test_the_page_of_a_thousand_networks_stays_small(large, tmp_path):
    size = write_page(page_of(large), tmp_path / "page.html")
    assert size == (tmp_path / "page.html").stat().st_size
    assert size < 6_000_000
    assert len(data_of((tmp_path / "page.html").read_text())["ranking"]["notations"]) == 1000


def test_a_page_is_written_over_an_earlier_one_and_nothing_else(runs, tmp_path):
    page = page_of(runs["train"])
    (tmp_path / "page.html").write_text("before")
    write_page(page, tmp_path / "page.html")
    assert (tmp_path / "page.html").read_text().startswith("<!doctype html>")
    (tmp_path / "folder.html").mkdir()
    for path, message in (("page.txt", r"\.html"), ("folder.html", "directory"), ("missing/page.html", "No such file")):
        with pytest.raises(ReportError, match=message):
            write_page(page, tmp_path / path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder.html", "page.html"]


def test_a_run_without_a_finished_training_has_no_page(tmp_path):
    run = write_run(tmp_path, "failed", manifest("nas"), [record(0, "bad", BASELINE, 10**6, None)])
    with pytest.raises(RunError, match="no finished training yet"):
        page_of(run)


def test_a_page_is_the_same_for_the_same_run(runs):
    assert asdict(page_of(runs["grid"])) == asdict(page_of(runs["grid"]))


def of_evaluation(tmp_path, **more):
    """The page of a training with these scores, as a document, and its confusion matrix."""
    run = train_run(tmp_path)
    (run.path / "evaluation.json").write_text(evaluation_json(scores(**more)))
    page = render(page_of(run))
    return read(page), next(figure for figure in data_of(page)["figures"] if figure[0][0].get("type") == "heatmap")


def test_what_a_network_confuses_is_shown_with_its_worst_images(tmp_path):
    document, ((trace,), layout, _) = of_evaluation(tmp_path)
    assert trace["text"] == [["3", "2"], ["", "4"]]
    assert trace["z"] == [[60, 40], [0, 100]]
    assert layout["yaxis"]["ticktext"] == ["cat", "dog"]
    for expected in ("77.8", "45.3 to 93.7", "dog (2)", "9 images of the test split of scenes at 32 px", "1706.04599"):
        assert expected in document.words
    (picture,) = document.all("img")
    assert picture.attributes["alt"] == "cat under 0.1 %; predicted dog 97.0 %"
    drawn = Image.open(BytesIO(base64.b64decode(picture.attributes["src"].partition(",")[2])))
    assert (drawn.size, drawn.getpixel((3, 3))) == ((4, 4), (200, 20, 20))


def test_of_many_classes_those_that_are_confused_are_shown(tmp_path):
    document, ((trace,), layout, height) = of_evaluation(tmp_path, classes=[f"class {n}" for n in range(1000)])
    assert layout["xaxis"]["ticktext"] == ["class 0", "class 999"]
    assert trace["text"] == [["3", "2"], ["", "4"]]
    assert "the 2 of 1,000 classes that are confused most often" in document.words
    assert "class 999 2 40.0" in document.words
    assert height < 900


def test_a_training_of_an_earlier_version_has_a_page_without_an_evaluation(tmp_path):
    run = train_run(tmp_path)
    (run.path / "evaluation.json").unlink()
    assert titles(render(page_of(run))) == ["Learning curve", "Network", "How the run was made"]

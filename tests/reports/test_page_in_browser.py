"""The page as Chromium shows it: skipped where there is none (apt-get install chromium)."""

import re
import shutil
import subprocess

import pytest
from folders import HOSTILE, hostile_run
from markup import data_of, read

from effsearch.reports import ranking_table as ranked
from effsearch.reports.page import page_of, render

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on the PATH; apt-get install chromium")


def shown(folder, page, script=""):
    """The page after its scripts have run, and one of the test's, which the page's own policy would not let run."""
    if script:
        page = re.sub(r"<meta http-equiv[^>]*>", "", page).replace("</body>", f"<script>{script}</script></body>")
    (folder / "page.html").write_text(page, encoding="utf-8")
    options = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--virtual-time-budget=4000",
        f"--user-data-dir={folder}/user",
    ]
    command = [CHROMIUM, *options, "--dump-dom", f"file://{folder}/page.html"]
    return read(subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout)


def rows(document):
    (table,) = document.all("table", id="ranking")
    return [[cell.words for cell in row.all("td")] for row in table.all("tbody")[0].all("tr")]


def test_a_thousand_networks_are_drawn_and_the_first_hundred_listed(large, tmp_path):
    page = render(page_of(large))
    document = shown(tmp_path, page)
    assert document.all("html")[0].attributes["data-drawn"] == "true"
    plots = document.all("div", role="img")
    assert len(plots) == len(data_of(page)["figures"]) == 5
    assert all(plot.all("svg") for plot in plots)
    assert "FLOPs (millions of multiply-adds)" in plots[0].words
    assert "Pareto front" in plots[0].words
    assert document.all("output", id="count")[0].words == "1,000 networks"
    assert [line[0] for line in rows(document)] == [str(rank) for rank in range(1, 101)]


def test_a_click_sorts_words_filter_and_a_notation_is_copied(runs, tmp_path):
    script = """
        const headings = [...document.querySelectorAll("#ranking th button")];
        headings.find((button) => button.textContent === "FLOPs").click();
        const filter = document.getElementById("filter");
        filter.value = "auto C1";
        filter.dispatchEvent(new Event("input"));
        document.querySelector("#ranking td .notation").click();
    """
    document = shown(tmp_path, render(page_of(runs["nas"])), script)
    kept = [row for row in ranked.read_rows(runs["nas"]) if row.source == "auto" and "c1" in row.notation + row.key]
    expected = [row.notation for row in sorted(kept, key=lambda row: row.flops)]
    assert 1 < len(expected) <= 100
    assert [line[-1] for line in rows(document)] == expected
    (heading,) = [th for th in document.all("th") if th.attributes.get("aria-sort")]
    assert (heading.words, heading.attributes["aria-sort"]) == ("FLOPs", "ascending")
    assert document.all("output", id="count")[0].words == f"{len(expected)} of 30 networks"
    assert document.all("div", id="said")[0].words.startswith(("copied 224px", "this browser does not"))


def test_a_stranger_s_words_are_shown_and_not_run(tmp_path):
    # Without the policy, so that it is the escaping alone that holds.
    document = shown(tmp_path, render(page_of(hostile_run(tmp_path))), "document.title = 'the test ran';")
    assert document.all("title")[0].words == "the test ran"
    assert "data-owned" not in document.all("html")[0].attributes
    assert document.all("html")[0].attributes["data-drawn"] == "true"
    assert f"{HOSTILE}0" in [line[-1] for line in rows(document)]
    assert not document.all("img")

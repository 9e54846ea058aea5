"""A run folder from a stranger, whose every name would have the terminal do something."""

import base64
import dataclasses
import json
import math
import os
import re
import sys
import tomllib

import pytest
import tomli_w
from folders import HOSTILE, curves_run, grid_run, nas_run, scores, train_run, transfer_run, verify_run
from markup import data_of, read

from effsearch.cli import main
from effsearch.reports.evaluation import evaluation_json
from effsearch.reports.page import page_of, render
from effsearch.runs.folder import Run
from effsearch.runs.ranking import from_csv, to_csv
from effsearch.runs.records import Failure, to_json

NAME = (
    "[red]red[/red][link=http://there]:boom:[/] $\\frac\x1b]8;;http://there\x07\x1b[31m\x1b[2J\x9b5m\r\u202egnp.\u2028"
)
SHOWN = "[red]red[/red][link=http://there]:boom:[/] $\\frac?]8;;http://there??[31m?[2J?5m??gnp.?"
CONTROLS = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u202e]")
OWN = re.compile("\x1b\\[[012]?m")
"""Bold and dim."""


def poisoned(run: Run) -> Run:
    """The run with every text that is shown replaced, and its folder named so too, with a byte that is no letter."""
    if run.ranking.is_file():
        texts = {"source": "candidate NAME", "key": "NAME", "reason": "NAME"}
        rows = [dataclasses.replace(row, **texts) for row in from_csv(run.ranking.read_text())]
        text = to_csv(rows).replace("candidate NAME", f'"candidate {NAME}"').replace(",NAME", f',"{NAME}"')
        run.ranking.write_text(text)
    failure = Failure(NAME, NAME, 0, None, NAME, NAME, 1, NAME)
    run.failed.write_text(to_json([failure]))
    about = tomllib.loads((run.path / "run.toml").read_text())
    about["data"] |= {"name": NAME, "classes": [NAME, "b"]}
    about["run"] |= {"command": NAME, "created": NAME}
    about["settings"] |= {NAME: NAME, "sampler": NAME}
    about["settings"]["proxy"]["name"] = NAME
    if "name" in about["settings"]:
        about["settings"]["name"] = NAME
    for network in about["settings"].get("networks", ()):
        about["settings"]["run"] = network["role"] = NAME
    (run.path / "run.toml").write_text(tomli_w.dumps(about))
    if (evaluation := run.path / "evaluation.json").is_file():
        made = json.loads(evaluation.read_text())
        evaluation.write_text(json.dumps(made | {"data": NAME, "split": NAME, "classes": [NAME, "b"]}))
    name = NAME.replace("/", "|").encode()[:200] + b"\xff"
    return Run(run.path.rename(run.path.parent / os.fsdecode(name)))


@pytest.fixture
def effsearch(monkeypatch, capsys):
    """Runs a command, and gives what it printed."""
    monkeypatch.setenv("COLUMNS", "400")

    def run(*arguments: str) -> str:
        monkeypatch.setattr(sys, "argv", ["effsearch", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capsys.readouterr()
        assert ended.value.code in (0, 2), err
        return out + err

    return run


MADE = {
    "nas": lambda folder: nas_run(folder, 6, rungs=[2, 4]),
    "grid": grid_run,
    "curves": curves_run,
    "train": train_run,
    "verify": verify_run,
    "transfer": transfer_run,
}


@pytest.mark.parametrize("kind", MADE)
def test_nothing_in_a_run_s_folder_reaches_the_terminal_as_a_command(kind, tmp_path, effsearch):
    run = poisoned(MADE[kind](tmp_path))
    commands = [("show", *options) for options in ((), ("--failed",), ("--fidelity",), ("--plot",))]
    commands += [("show", "--format", form) for form in ("csv", "json", "markdown")]
    commands += [("show", "--failed", "--format", form) for form in ("csv", "json", "markdown")]
    commands += [("runs",), ("report",), ("plot", "--kind", "progress"), ("plot", "--kind", "surface")]
    said = {command: effsearch(*command, "--results", str(tmp_path)) for command in commands}
    said["describe",] = effsearch("describe", f"{run.path}:1", "--results", str(tmp_path))
    said["path",] = effsearch("show", str(run.path / "no"), "--results", str(tmp_path))
    for command, text in said.items():
        assert not CONTROLS.search(text), (command, text)
    assert SHOWN.partition("\\")[0] in said["runs",]
    for command in (("show",), ("show", "--failed", "--format", "csv"), ("show", "--failed")):
        # A table of transfers has neither notations nor reasons, and its title is broken into lines.
        assert SHOWN in said[command] or kind == "train" or (kind, command) == ("transfer", ("show",)), command


def test_a_terminal_gets_no_colours_but_our_own(tmp_path, effsearch, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    poisoned(nas_run(tmp_path, 4))
    for command in (("runs",), ("show",), ("show", "--failed")):
        text = effsearch(*command, "--results", str(tmp_path))
        assert SHOWN.partition("\\")[0] in text
        assert not CONTROLS.search(OWN.sub("", text)), command


@pytest.mark.parametrize("kind", MADE)
def test_nothing_in_a_run_s_folder_reaches_the_page_as_a_command(kind, tmp_path, effsearch):
    run = poisoned(MADE[kind](tmp_path))
    assert "wrote" in effsearch("report", "--results", str(tmp_path))
    page = (run.path / "report.html").read_text()
    own = page.partition("<script>")[0] + page.rpartition("</script>")[2]
    assert not CONTROLS.search(own)
    assert SHOWN in own
    data = json.loads(re.search('<script type="application/json" id="data">(.*?)</script>', page, re.S)[1])
    assert not CONTROLS.search(json.dumps(data, ensure_ascii=False))


BROKEN = {
    "an SVG in place of pixels": {"pixels": base64.b64encode(b"<svg onload='alert(1)'/>").decode()},
    "text in place of base64": {"pixels": '" onerror=alert(1) x="'},
    "more pixels than a thumbnail has": {"side": 4000, "pixels": base64.b64encode(bytes(3 * 4000**2)).decode()},
    "fewer pixels than are said": {"side": 5},
    "no class": {"truth": 2},
    "no probability": {"of_truth": math.nan},
}


@pytest.mark.parametrize("how", BROKEN)
def test_a_picture_that_is_none_is_refused_in_one_line(how, tmp_path, effsearch):
    run = train_run(tmp_path)
    made = json.loads((run.path / "evaluation.json").read_text())
    made["worst"][0] |= BROKEN[how]
    (run.path / "evaluation.json").write_text(json.dumps(made))
    said = effsearch("report", "--results", str(tmp_path))
    assert "evaluation.json is not what a run writes" in said
    assert said.count("\n") == 1
    assert not (run.path / "report.html").exists()


def test_the_names_of_classes_do_not_become_markup(tmp_path):
    run = train_run(tmp_path)
    (run.path / "evaluation.json").write_text(evaluation_json(scores([HOSTILE, *map(str, range(20))])))
    page = render(page_of(run))
    document = read(page)
    assert len(document.all("script")) == 3
    (picture,) = document.all("img")
    assert sorted(picture.attributes) == ["alt", "src"]
    assert picture.attributes["src"].startswith("data:image/png;base64,")
    (drawn,) = [traces[0] for traces, *_ in data_of(page)["figures"] if traces[0].get("type") == "heatmap"]
    layout = next(layout for traces, layout, _ in data_of(page)["figures"] if traces[0] == drawn)
    assert layout["xaxis"]["ticktext"][0].startswith("&lt;/script&gt;")

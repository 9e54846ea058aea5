"""The help as it is rendered, and what a shell completes to."""

import inspect
import re
from pathlib import Path
from typing import get_args, get_type_hints

import pytest
from typer.models import OptionInfo

from effsearch.cli import options
from effsearch.cli.app import COMMANDS
from effsearch.engine.samplers import SAMPLERS
from effsearch.evaluation import AUTO, PROXIES

ROOT = Path(__file__).parent.parent.parent
NAMES = [name for commands in COMMANDS.values() for name in commands]


@pytest.mark.parametrize("name", NAMES)
def test_the_rendered_help_shows_the_defaults(effsearch, monkeypatch, name):
    monkeypatch.setenv("COLUMNS", "200")
    command = next(commands[name] for commands in COMMANDS.values() if name in commands)
    code, out, _ = effsearch(name, "--help")
    assert code == 0
    shown = " ".join(re.sub(r"[│╭╮╰╯─]", " ", out).split())
    hints = get_type_hints(command, include_extras=True)
    for parameter in inspect.signature(command).parameters.values():
        info = get_args(hints[parameter.name])[1]
        told = info.show_default if isinstance(info.show_default, str) else parameter.default
        if told in (None, False, inspect.Parameter.empty):
            continue
        told = "(" + told + ")" if isinstance(info.show_default, str) else str(getattr(told, "value", told))
        assert f"[default: {told}]" in shown, f"{name}: {parameter.name}"


def test_nas_groups_its_options_and_every_option_of_the_searches_has_a_panel(effsearch):
    _, out, _ = effsearch("nas", "--help")
    for panel in (options.GOAL, options.SPACE, options.TRAINING, options.EFFORT, options.RUN):
        assert panel in out
    for name in ("nas", "grid", "curves", "verify", "train"):
        command = next(commands[name] for commands in COMMANDS.values() if name in commands)
        infos = [get_args(hint)[1] for hint in get_type_hints(command, include_extras=True).values() if get_args(hint)]
        assert all(info.rich_help_panel for info in infos if isinstance(info, OptionInfo)), name


def test_the_help_of_a_narrow_terminal_cuts_no_option(effsearch, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    _, out, _ = effsearch("nas", "--help")
    assert max(map(len, out.splitlines())) <= 60
    assert "--target-flops" in out


def test_names_that_the_command_line_keeps_of_its_own_are_those_of_the_engine():
    assert sorted(options.SAMPLERS) == sorted(SAMPLERS)
    assert list(options.PRESETS) == [AUTO, *PROXIES]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("effsearch nas --sampler evo", "evolution"),
        ("effsearch nas --proxy st", "standard"),
        ("effsearch describe mobilenet", "mobilenet_v1"),
        ("effsearch show fi", "first"),
        ("effsearch describe fi", "first"),
        ("effsearch nas --resume fi", "first"),
    ],
)
def test_a_shell_completes_names(effsearch, run_folder, monkeypatch, line, expected):
    monkeypatch.setenv("_EFFSEARCH_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", line)
    monkeypatch.setenv("COMP_CWORD", str(len(line.split()) - 1))
    _, out, _ = effsearch()
    assert expected in out.split()


def test_the_page_of_options_is_what_the_command_line_has(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    import write_options

    assert write_options.PAGE.read_text(encoding="utf-8") == write_options.page(), "run scripts/write_options.py"

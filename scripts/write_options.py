"""Writes docs/options.md: every command with its options and their defaults, as the command line itself has them."""

import inspect
import sys
from collections.abc import Callable, Iterator
from enum import Enum
from pathlib import Path
from typing import Any, get_args, get_type_hints

from typer.models import ArgumentInfo, OptionInfo

from effsearch.cli.app import COMMANDS

PAGE = Path(__file__).parent.parent / "docs" / "options.md"
HEAD = """# Options

Every command with its arguments and options, as `effsearch COMMAND --help` has them. In brackets is what is taken
where an option is left out. `python scripts/write_options.py` writes this page from the command line itself.
"""


def page() -> str:
    """The whole page."""
    parts = [HEAD]
    for panel, commands in COMMANDS.items():
        for name, command in commands.items():
            parts.append(f"## effsearch {name}\n\n{panel}. {inspect.getdoc(command)}\n")
            parts += _tables(command)
    return "\n".join(parts)


def _tables(command: Callable[..., None]) -> Iterator[str]:
    panels: dict[str, list[str]] = {}
    hints = get_type_hints(command, include_extras=True)
    for name, parameter in inspect.signature(command).parameters.items():
        kind, info = get_args(hints[name])[:2]
        argument = isinstance(info, ArgumentInfo)
        panel = "Arguments" if argument else info.rich_help_panel or "Options"
        panels.setdefault(panel, []).append(_row(name, kind, info, parameter.default))
    for panel, rows in panels.items():
        yield "\n".join([f"| {panel} | |", "| --- | --- |", *rows, ""])


def _row(name: str, kind: Any, info: ArgumentInfo | OptionInfo, default: Any) -> str:
    if isinstance(info, ArgumentInfo):
        names = f"`{info.metavar or name.upper()}`"
    else:
        # Within an annotation the first name stands where a default would.
        first = [info.default] if isinstance(info.default, str) else []
        given = [part for text in (*first, *(info.param_decls or ())) for part in text.split("/")]
        names = ", ".join(f"`{each}`" for each in given or [f"--{name.strip('_').replace('_', '-')}"])
        names += "" if bool in (kind, *get_args(kind)) else f" `{info.metavar or _choices(kind)}`"
    told = info.show_default if isinstance(info.show_default, str) else default
    told = told.value if isinstance(told, Enum) else told
    shown = "required" if told is inspect.Parameter.empty else "" if told is None or told is False else str(told)
    return f"| {_cell(names)} | {_cell(info.help or '')}{f' [{shown}]' if shown else ''} |"


def _choices(kind: Any) -> str:
    return "|".join(each.value for each in kind) if isinstance(kind, type) and issubclass(kind, Enum) else "VALUE"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    sys.stdout.write(f"wrote {PAGE.name}\n")

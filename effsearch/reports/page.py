"""A run as one HTML file: sections of sentences, tables and figures, and the script that draws them, all inside.

Whatever is in a run's folder may be a stranger's. Text is escaped where it is put into HTML, values where they are put
into a script, and the page's own policy lets nothing run but its two scripts and nothing be loaded.
"""

import base64
import hashlib
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, is_dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from effsearch.errors import ReportError, listed
from effsearch.files import write_atomically
from effsearch.reports.page_figures import Figure
from effsearch.reports.ranking_table import PageRanking
from effsearch.reports.scatter import DARK, LIGHT
from effsearch.reports.text_table import TextTable
from effsearch.text import sanitize

SUFFIXES = (".html", ".htm")


@dataclass(frozen=True)
class Card:
    """A number that is read first: what it is, the number with its unit, and what stands beside it."""

    label: str
    value: str
    note: str = ""
    notation: str = ""


@dataclass(frozen=True)
class Section:
    """A part of the page, in this order: sentences, figures, the ranking, tables, small print; `code` is a command."""

    title: str
    lines: Sequence[str] = ()
    figures: Sequence[Figure] = ()
    ranking: PageRanking | None = None
    tables: Sequence[tuple[str, TextTable]] = ()
    small: Sequence[str] = ()
    code: str = ""


@dataclass(frozen=True)
class Page:
    """What is shown of a run: its name, a line on it, the numbers that are read first, and the rest."""

    name: str
    subtitle: str
    cards: Sequence[Card]
    sections: Sequence[Section]


def render(page: Page) -> str:
    """The page as HTML in UTF-8, with nothing left to load."""
    environment = Environment(
        loader=PackageLoader("effsearch.reports"),
        autoescape=True,
        finalize=_shown,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":"), "allow_nan": False}
    own = environment.get_template("page.js").render()
    # Both have \n at the ends of lines, as browsers read them, since a digest is of the bytes.
    scripts = [Markup(get_plotlyjs().replace("\r\n", "\n")), Markup(own)]
    return environment.get_template("page.html").render(
        page=page,
        data=_plain(
            {
                "figures": [(figure.traces, figure.layout, figure.height) for figure in _figures(page)],
                "ranking": next((section.ranking for section in page.sections if section.ranking), None),
            }
        ),
        scripts=scripts,
        policy=" ".join(_digest(script) for script in scripts),
        palettes={"light": LIGHT, "dark": DARK},
    )


def _figures(page: Page) -> list[Figure]:
    return [figure for section in page.sections for figure in section.figures]


def _digest(script: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


def _plain(value: Any) -> Any:
    """Values as JSON has them: what is not a number is null."""
    if is_dataclass(value) and not isinstance(value, type):
        return _plain(asdict(value))
    if isinstance(value, dict):
        return {sanitize(str(name)): _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, str):
        return sanitize(value)
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _shown(value: Any) -> Any:
    """What the template puts into the page: its own text, and that of a run without what a terminal would obey."""
    return sanitize(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def write_page(page: Page, path: Path) -> int:
    """Writes the page, whole or not at all, over an earlier one, and says its bytes; raises ReportError."""
    if path.suffix not in SUFFIXES:
        raise ReportError(f"--out takes a file that ends in {listed(SUFFIXES)}, got {str(path)!r}")
    content = render(page).encode()
    try:
        write_atomically(path, content)
    except OSError as error:
        raise ReportError(f"cannot write {path}: {error.strerror or error}") from None
    return len(content)

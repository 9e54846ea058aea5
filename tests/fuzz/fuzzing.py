"""What the fuzz tests share: how many examples, what may not happen meanwhile, and documents that are nearly right."""

import copy
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings, strategies as st

from effsearch.errors import EffsearchError

EXAMPLES = int(os.environ.get("EFFSEARCH_FUZZ", "100"))
"""Inputs of each kind; more in the environment for a longer look."""

fuzz = settings(
    max_examples=EXAMPLES,
    # A single input that takes so long is one that hangs, however busy the machine is.
    deadline=timedelta(seconds=30),
    database=None,
    suppress_health_check=list(HealthCheck),
)

RUNS_CODE = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork", "pickle.find_class")
REACHES_OUT = ("socket.connect", "socket.getaddrinfo", "urllib.Request", "webbrowser.open")
CHANGES = (
    "os.remove",
    "os.rename",
    "os.mkdir",
    "os.rmdir",
    "os.link",
    "os.symlink",
    "os.truncate",
    "os.chmod",
    "os.chown",
)
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND

_folder: Path | None = None
_seen: list[str] = []


def _watch(event: str, arguments: tuple[Any, ...]) -> None:
    """Notes what may not happen; an audit hook stays for good, so it looks only within `harmless`."""
    if _folder is None:
        return
    if event in RUNS_CODE or event in REACHES_OUT:
        _seen.append(f"{event} {arguments}")
    elif event in CHANGES or (event == "open" and isinstance(arguments[2], int) and arguments[2] & WRITING):
        for path in arguments[: 2 if event in ("os.rename", "os.link", "os.symlink") else 1]:
            if isinstance(path, str | bytes | os.PathLike) and not _is_within(Path(os.fsdecode(path)), _folder):
                _seen.append(f"{event} {path!r}")


def _is_within(path: Path, folder: Path) -> bool:
    # What a module is compiled to is kept beside it, and nothing is kept in the null device.
    return path == Path(os.devnull) or "__pycache__" in path.parts or path.resolve().is_relative_to(folder)


sys.addaudithook(_watch)


@contextmanager
def harmless(folder: Path, error: type[Exception] = EffsearchError) -> Iterator[None]:
    """Within it an error of one kind may be raised, and is passed over.

    Nothing may be run, loaded by pickle or reached, and no file changed outside the folder.
    """
    global _folder
    _folder = folder.resolve()
    _seen.clear()
    try:
        with suppress(error):
            yield
    finally:
        _folder = None
    assert not _seen, str(_seen)


TEXTS = (
    "",
    "\x1b]8;;http://there\x07",
    "[/]",
    "$\\frac",
    "../../../tmp/there",
    "/etc/passwd",
    "__import__('os').system('id')",
    "{{7*7}}",
    "9" * 400,
    "nan",
    "\u202e",
)
"""What has been trouble somewhere."""

whole = st.one_of(st.integers(-2, 300), st.sampled_from([2**31, 2**53 + 1, 2**63, -(2**63) - 1, 10**30]))
texts = st.one_of(st.sampled_from(TEXTS), st.text(st.characters(exclude_categories=["Cs"]), max_size=30))
scalars = st.one_of(st.booleans(), whole, st.floats(), texts)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(texts, inner, max_size=3)),
    max_leaves=5,
)


def places(document: Any) -> list[tuple[Any, Any]]:
    """Every container of a document with each of its keys."""
    keys = document if isinstance(document, dict) else range(len(document)) if isinstance(document, list) else ()
    return [place for key in list(keys) for place in [(document, key), *places(document[key])]]


@st.composite
def changed(draw: st.DrawFn, document: Any) -> Any:
    """A document that differs in a few places: other values, or none."""
    made = copy.deepcopy(document)
    for _ in range(draw(st.integers(1, 3))):
        found = places(made)
        if not found:
            return draw(values)
        container, key = found[draw(st.integers(0, len(found) - 1))]
        if draw(st.integers(0, 4)) == 0:
            del container[key]
        else:
            container[key] = draw(values)
    return made


@st.composite
def garbled(draw: st.DrawFn, content: bytes) -> bytes:
    """Bytes that are near to these: cut, doubled, or with others in their place; now and then any bytes."""
    if draw(st.integers(0, 9)) == 0:
        return draw(st.binary(max_size=200))
    made = content
    for _ in range(draw(st.integers(1, 3))):
        first = draw(st.integers(0, len(made)))
        last = draw(st.integers(first, min(len(made), first + draw(st.sampled_from([0, 1, 8, 10**9])))))
        put = draw(st.one_of(st.binary(max_size=8), texts.map(str.encode), st.just(made[first:last] * 2)))
        made = made[:first] + put + made[last:]
    return made

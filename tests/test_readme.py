"""The README's lines of Python, run as they stand there."""

import re
from pathlib import Path

import pytest

README = Path(__file__).parent.parent / "README.md"
BLOCKS = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.parametrize("block", [block for block in BLOCKS if "effsearch.api" in block])
def test_the_lines_of_the_readme_run(block):
    names: dict[str, object] = {}
    exec(compile(block, "README.md", "exec"), names)
    assert "network" in names


def test_the_readme_shows_how_to_search_with_a_function_of_ones_own():
    assert any("def evaluate" in block and "search(" in block for block in BLOCKS)

"""Text from others' files as it may be shown: without what a terminal would obey."""

import re

_OBEYED = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""Controls, ends of lines, marks that turn the direction of reading, and bytes of a file name that are no text."""


def printable(text: str) -> str:
    """A text in one line, with a question mark for each control character."""
    return _OBEYED.sub("?", text)

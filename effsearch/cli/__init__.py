"""Arguments in, tables out: related commands in one file, and nothing heavy imported before it is needed."""

from effsearch.cli.app import main

__all__ = ["main"]

"""Arguments in, tables out: one file a command, and nothing heavy imported before it is needed."""

from effsearch.cli.app import main

__all__ = ["main"]

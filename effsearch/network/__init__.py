"""From an architecture to a torch module."""

from effsearch.network.build import Network, build

__all__ = ["Network", "build"]

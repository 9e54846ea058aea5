"""From an architecture to a torch module, and from a file of weights to one."""

from effsearch.network.build import Network, build
from effsearch.network.weights import load

__all__ = ["Network", "build", "load"]

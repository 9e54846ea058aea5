"""From an architecture to an accuracy."""

from effsearch.evaluation.proxy import PROXIES, QUICK, STANDARD, Proxy
from effsearch.evaluation.training import Evaluation, ProxyTraining

__all__ = ["PROXIES", "QUICK", "STANDARD", "Evaluation", "Proxy", "ProxyTraining"]

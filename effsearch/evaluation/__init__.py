"""From an architecture to its accuracy and its speed."""

from effsearch.evaluation.evaluation import Evaluation
from effsearch.evaluation.proxy import PROXIES, QUICK, STANDARD, Proxy, find_proxy

__all__ = ["PROXIES", "QUICK", "STANDARD", "Evaluation", "Proxy", "find_proxy"]

"""From an architecture to an accuracy: by a proxy training (`training`)."""

from effsearch.evaluation.evaluation import Evaluation
from effsearch.evaluation.proxy import PROXIES, QUICK, STANDARD, Proxy

__all__ = ["PROXIES", "QUICK", "STANDARD", "Evaluation", "Proxy"]

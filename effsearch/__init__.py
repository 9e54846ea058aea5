"""Finds a convolutional network for a compute budget, finds how it should grow, and grows it (1905.11946).

    space -> architecture -> network -> training on proxy data -> accuracy --+
                  |                                                          +-> reward -> trial -> run -> report
                  +---------------> cost (FLOPs, parameters) ----------------+

`search` samples architectures of a space under the reward ACC x (FLOPS/T)^-0.07 and ends with a baseline like B0;
`grid` searches alpha, beta and gamma with alpha * beta^2 * gamma^2 ~ 2 by short trainings of what that baseline grows
into; `scale` grows it by d = alpha^phi, w = beta^phi, r = gamma^phi; `verify` trains what was found for long beside its
rivals; `train` and `export` make it useful. All of them are in `effsearch.api`, imported when first asked for, since
torch takes seconds.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # For editors and type checkers: at run time names are imported when first asked for.
    from effsearch.api import *

__version__ = "0.2.0"


__all__ = [
    "Architecture",
    "Coefficients",
    "Cost",
    "Found",
    "Outcome",
    "Rounding",
    "Run",
    "Space",
    "Status",
    "__version__",
    "build",
    "cost",
    "curves",
    "evaluate",
    "export",
    "grid",
    "load_network",
    "load_space",
    "parse",
    "predict",
    "report",
    "scale",
    "search",
    "train",
    "verify",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'effsearch' has no attribute {name!r}")
    from effsearch import api

    return getattr(api, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

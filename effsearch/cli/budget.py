"""What a search is to aim at, and what its networks must not exceed."""

from collections.abc import Callable, Mapping
from typing import Any

from effsearch.errors import QuantityError
from effsearch.reward import Measure, Reward
from effsearch.text import parse_count, parse_latency

_PARSE: Mapping[Measure, Callable[[str, str], float]] = {
    "flops": parse_count,
    "params": parse_count,
    "latency": parse_latency,
}

NO_TARGET = (
    "nas needs --target-flops, such as --target-flops 400M, or --target-params 5M or --target-latency 20ms, "
    "or --resume RUN"
)


def target(flops: str | None, params: str | None, latency: str | None) -> dict[str, Any]:
    """The settings of the one target that was given, if any; raises QuantityError for several."""
    found = _given(flops, params, latency)
    if len(found) > 1:
        options = " and ".join(f"--target-{measure}" for measure in found)
        raise QuantityError(f"a search has one target, got {options}; what must not be exceeded is a --max-...")
    return {
        name: value
        for measure, text in found.items()
        for name, value in (("target", _PARSE[measure](text, f"--target-{measure}")), ("measure", measure))
    }


def limits(flops: str | None, params: str | None, latency: str | None) -> dict[str, float]:
    """The settings of the limits that were given; raises QuantityError."""
    found = _given(flops, params, latency)
    return {f"max_{measure}": _PARSE[measure](text, f"--max-{measure}") for measure, text in found.items()}


def short(score: Reward) -> str:
    """The target as a run's name has it: 400M, 5M-params, 20ms."""
    return score.aim.replace(" FLOPs", "").replace(" parameters", "-params").replace(" ", "").replace(",", "")


def _given(flops: str | None, params: str | None, latency: str | None) -> dict[Measure, str]:
    options: dict[Measure, str | None] = {"flops": flops, "params": params, "latency": latency}
    return {measure: text for measure, text in options.items() if text is not None}

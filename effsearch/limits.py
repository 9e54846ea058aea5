"""Ranges that more than one part of the settings has."""

from effsearch.errors import QuantityError

SEEDS = (0, 2**31 - 1)


def check_options(**given: tuple[int | None, int, int]) -> None:
    """Raises QuantityError for an option out of range; each is a number, None where it is not given, and the limits."""
    for name, (value, low, high) in given.items():
        if value is not None:
            check_range(f"--{name}", value, low, high)


def check_range(name: str, value: int, low: int, high: int) -> None:
    """Raises QuantityError for a number out of range."""
    if not low <= value <= high:
        raise QuantityError(f"{name} must be from {low} to {high:,}, got {value}")

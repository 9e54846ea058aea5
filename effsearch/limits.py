"""Ranges that more than one part of the settings has."""

from effsearch.errors import QuantityError

SEEDS = (0, 2**31 - 1)


def check_range(name: str, value: int, low: int, high: int) -> None:
    """Raises QuantityError for a number out of range."""
    if not low <= value <= high:
        raise QuantityError(f"{name} must be from {low} to {high:,}, got {value}")

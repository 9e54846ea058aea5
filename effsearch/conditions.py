"""Under which conditions a latency is measured."""

from dataclasses import dataclass

from effsearch.errors import QuantityError, listed

DEVICES = ("cpu", "cuda")


@dataclass(frozen=True)
class LatencyConditions:
    """How latency is measured: on the CPU, with so many threads, or the GPU of that `name`, `batch` images at a time.

    Raises QuantityError for a value out of range.
    """

    device: str = "cpu"
    name: str = ""
    batch: int = 1
    threads: int = 1

    def __post_init__(self) -> None:
        check_conditions(self.device, self.batch, self.threads, "--latency-")


def check_conditions(device: str, batch: int, threads: int, option: str) -> None:
    """Raises QuantityError for conditions out of range, by the names of options that begin with `option`."""
    if device not in DEVICES:
        raise QuantityError(f"{option}device must be one of {listed(DEVICES)}, got {device!r}")
    for name, value, most in (("batch", batch, 4096), ("threads", threads, 256)):
        if not 1 <= value <= most:
            raise QuantityError(f"{option}{name} must be from 1 to {most:,}, got {value}")

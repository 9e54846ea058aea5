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
        if self.device not in DEVICES:
            raise QuantityError(f"--latency-device must be one of {listed(DEVICES)}, got {self.device!r}")
        for name, value, most in (("batch", self.batch, 4096), ("threads", self.threads, 256)):
            if not 1 <= value <= most:
                raise QuantityError(f"--latency-{name} must be from 1 to {most:,}, got {value}")

"""Which Ray cluster was asked for."""

import re
from dataclasses import dataclass

from effsearch.errors import QuantityError

_ADDRESS = re.compile(r"auto|local|(ray://)?[A-Za-z0-9._\[\]:-]+:\d{1,5}")


@dataclass(frozen=True)
class Cluster:
    """A Ray cluster, and the share of a GPU that a training asks it for (None: a whole one where there are any)."""

    address: str
    gpus: float | None


def cluster(ray: str | None, gpus_per_trial: float | None) -> Cluster | None:
    """The cluster that was asked for; raises QuantityError."""
    if gpus_per_trial is not None and ray is None:
        raise QuantityError("--gpus-per-trial is for --ray; --workers says how many share the GPUs here")
    if gpus_per_trial is not None and not (0 <= gpus_per_trial <= 1 or gpus_per_trial in range(2, 17)):
        raise QuantityError(f"--gpus-per-trial must be from 0 to 1, or whole up to 16, got {gpus_per_trial:g}")
    if ray is None:
        return None
    if not _ADDRESS.fullmatch(ray):
        raise QuantityError(f"--ray must be auto, local, HOST:PORT or ray://HOST:PORT, got {ray[:80]!r}")
    return Cluster(ray, gpus_per_trial)

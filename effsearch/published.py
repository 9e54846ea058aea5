"""The paper's tables 2, 3 and 5 of others' networks and its own (1905.11946), and our counts of them.

Published numbers are strings, since 0.70B is more precise than 0.7B. Accuracies are in % on ImageNet.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from effsearch.architecture import Architecture
from effsearch.costs import cost
from effsearch.families import FAMILIES, PUBLISHED, find
from effsearch.files import read_toml
from effsearch.scaling import Multipliers, grow


class Measured(NamedTuple):
    """FLOPs and parameters at `resolution` px and 1000 classes, and what counted them."""

    flops: int
    params: int
    resolution: int
    by: str


def measure(architecture: Architecture) -> Measured:
    """Counts an architecture at its own resolution, in closed form."""
    flops, params, _ = cost(architecture)
    return Measured(flops, params, architecture.resolution, "closed form")


@dataclass(frozen=True, slots=True)
class Scaled:
    """A row of table 3: a baseline and its multipliers, None where they are not published."""

    name: str
    baseline: Architecture
    method: str
    by: Multipliers | None
    flops: str
    top1: float

    @property
    def measured(self) -> Measured | None:
        """The cost of the baseline grown by these multipliers, or None where they are not published."""
        return None if self.by is None else measure(grow(self.baseline, self.by))


@dataclass(frozen=True, slots=True)
class TorchvisionNetwork:
    """A network of torchvision with its count by fvcore (convolutions and linear layers) at `resolution` px."""

    name: str
    resolution: int
    flops: int
    params: int


@dataclass(frozen=True, slots=True)
class Classifier:
    """A row of table 2; ratios are to the EfficientNet above it, and `network` is the one to count, where known."""

    name: str
    top1: float
    top5: float
    params: str
    params_ratio: str
    flops: str | None
    flops_ratio: str | None
    network: Architecture | TorchvisionNetwork | None = None

    @property
    def measured(self) -> Measured | None:
        """The cost of `network` at the published input resolution, or None."""
        if isinstance(self.network, TorchvisionNetwork):
            return Measured(self.network.flops, self.network.params, self.network.resolution, "fvcore")
        return measure(self.network) if self.network else None


@dataclass(frozen=True, slots=True)
class Transferred:
    """A row of table 5: an EfficientNet on an image set, and the network that it is compared with.

    `against` is public or reported: the best that could be had, or that was reported, of networks trained on ImageNet.
    """

    set: str
    classes: int
    against: str
    rival: str
    rival_top1: float
    rival_params: str | None
    ours: str
    top1: float
    params: str | None
    ratio: str | None

    @property
    def measured_params(self) -> int:
        """The parameters of the EfficientNet with a classifier of the set's classes."""
        return cost(PUBLISHED[self.ours].architecture, classes=self.classes).params


def _scaled(row: dict[str, Any]) -> Scaled:
    by = row.pop("by", None)
    return Scaled(**row | {"baseline": FAMILIES[row["baseline"]], "by": None if by is None else Multipliers(*by)})


def _classifier(row: dict[str, Any]) -> Classifier:
    ours, theirs = row.pop("ours", None), row.pop("torchvision", None)
    network = find(ours) if ours is not None else None if theirs is None else TorchvisionNetwork(**theirs)
    return Classifier(**{"flops": None, "flops_ratio": None, **row}, network=network)


_TABLES = read_toml(Path(__file__).parent / "published.toml")
SCALED = tuple(map(_scaled, _TABLES["scaled"]))  # table 3, "Scaling Up MobileNets and ResNet"
IMAGENET = tuple(map(_classifier, _TABLES["imagenet"]))  # table 2: single networks, one crop


_UNSAID = {"rival_params": None, "params": None, "ratio": None}
TRANSFER = tuple(Transferred(**{**_UNSAID, **row}) for row in _TABLES["transfer"])  # table 5
GEO_MEANS = {"public": "4.7x", "reported": "9.6x"}  # of the ratios, as printed there


def agrees(printed: str, value: float) -> bool:
    """Whether a count rounds to what is printed, such as 4.089e9 to 4.1B."""
    number, unit = printed[:-1], {"M": 1e6, "B": 1e9}[printed[-1]]
    decimals = len(number.partition(".")[2])
    return f"{value / unit:.{decimals}f}" == number

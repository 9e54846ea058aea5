"""ImageNet top-1 against parameters and against FLOPs, as in figures 1 and 5 of the paper, with own networks."""

from collections.abc import Sequence
from typing import Any, Literal

from effsearch.costs import CONVENTION
from effsearch.errors import listed
from effsearch.published import Classifier
from effsearch.reports.compared_networks import ComparedNetwork, published_networks
from effsearch.reports.figures import Chart, Series

FAMILY = "EfficientNet-"
OTHERS, OURS, OWN, ELSEWHERE = "others", "EfficientNet", "own networks", "own, on other images"  # names of series
Measure = Literal["params", "flops"]
PANELS: tuple[tuple[Measure, float, str], ...]
PANELS = (("params", 1e6, "parameters (millions)"), ("flops", 1e9, "FLOPs (billions of multiply-adds)"))
AS_PUBLISHED = "EfficientNets and others: accuracy, parameters and FLOPs as published (1905.11946, table 2), one crop"


def imagenet_charts(rows: Sequence[Classifier], added: Sequence[ComparedNetwork] = ()) -> list[Chart]:
    """Accuracy against parameters, and against FLOPs; each network is drawn where its cost is known."""
    published = published_networks(rows)
    caption = "\n".join(_captions(published, added))
    elsewhere = any(network.data for network in added)
    y = "top-1 (%): ImageNet unless another set is named" if elsewhere else "ImageNet top-1 (%)"
    return [
        Chart(
            f"Accuracy against {x.partition(' (')[0]}",
            x,
            y,
            _series(published, added, measure, scale),
            caption,
            log=True,
        )
        for measure, scale, x in PANELS
    ]


def _series(
    published: Sequence[ComparedNetwork], added: Sequence[ComparedNetwork], measure: Measure, scale: float
) -> list[Series]:
    """The points of a panel from the lowest layer up, without empty series."""
    groups: list[tuple[str, list[ComparedNetwork], dict[str, Any]]] = [
        (OTHERS, [n for n in published if not n.name.startswith(FAMILY)], {"colour": "grey", "opacity": 0.75}),
        (OURS, [n for n in published if n.name.startswith(FAMILY)], {"colour": "vermillion", "line": "solid"}),
        (OWN, [n for n in added if not n.data], {"colour": "blue", "mark": "square"}),
        (ELSEWHERE, [n for n in added if n.data], {"colour": "blue", "mark": "circle-open"}),
    ]
    series = []
    for name, networks, style in groups:
        known = [(cost / scale, network) for network in networks if (cost := getattr(network, measure)) is not None]
        x, y = [cost for cost, _ in known], [network.top1 for _, network in known]
        series.append(Series(name, x, y, size=9, labels=[label(network) for _, network in known], **style))
    return [each for each in series if each.x]


def label(network: ComparedNetwork) -> str:
    """What is written beside a point: B0 of the family, else the name, with the images that an accuracy is of."""
    name = network.name.removeprefix(FAMILY)
    return f"{name} ({network.data})" if network.data else name


def _captions(published: Sequence[ComparedNetwork], added: Sequence[ComparedNetwork]) -> list[str]:
    lines = [AS_PUBLISHED, CONVENTION]
    for measure, what in (("flops", "FLOPs"), ("params", "parameters")):
        if unknown := [network.name for network in (*published, *added) if getattr(network, measure) is None]:
            lines[-1] += f"; not drawn, as {what} are not known: {listed(unknown)}"
    if added:
        lines.append(f"{OWN}: a run's parameters and FLOPs are counted at the px of its training and 1000 classes")
    if elsewhere := [f"{network.name} on {network.data}" for network in added if network.data]:
        lines.append(f"{ELSEWHERE}: not accuracies on ImageNet, and not comparable with them: {listed(elsewhere)}")
    return lines

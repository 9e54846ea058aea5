"""The paper's tables 2, 3 and 5 with our counts beside the published ones."""

from collections.abc import Iterable
from statistics import geometric_mean
from typing import Any

from effsearch.costs import CONVENTION
from effsearch.published import GEO_MEANS, Classifier, Scaled, Transferred, agrees
from effsearch.reports.text_table import Columns, cell
from effsearch.scaling import AXES
from effsearch.text import parse_count

MARKS = "m/p: measured / published; = where measured rounds to published"

SCALING_CAPTION = f"""\
top-1 and FLOPs as published (1905.11946, table 3)
measured and params: of the network grown here from 224 px and 1000 classes,
layers rounded up, channels to multiples of 8
{MARKS}
{CONVENTION}
ResNet-50: the published FLOPs of depth and width look exchanged: 4 x the layers
are 14.6B (published 16.2B), 2 x the channels 16.1B (published 14.7B).
MobileNetV1: by r it is 4 x its convolutions, 2.27B, without any rounding; how
the paper rounds is not known: with layers to the nearest, d, w and r are 2.18B.
compound: the multipliers of these two are not published, so there is nothing to
measure; MobileNetV1's would give 1.44B and 15.9B."""

IMAGENET_CAPTION = f"""\
top-1 to x as published (1905.11946, table 2; its version 5 has EfficientNets at
0.1 or 0.2 points less in top-1); x: ratio to the EfficientNet above
measured: FLOPs at px and 1000 classes, ours in closed form; t: of torchvision's
network, by fvcore (--check counts again); empty: in neither
{MARKS}
{CONVENTION}
ResNeXt-101: the paper does not say which; 64x4d at 320 px has its accuracies in
1611.05431, table 5. Inception-v3: without the auxiliary classifier."""

TRANSFER_CAPTION = """\
accuracy, params and ratio as published (1905.11946, table 5)
of: the rival is the best of all public networks, or of all that were reported
ratio: of the rival's parameters to ours; their geometric means:
{}
Oxford-IIIT Pets: 58M over 17M is 3.4, and 5.6x is printed
here: parameters of ours with a classifier of the set's classes
effsearch transfer makes such a table of your own networks and image sets"""

Published = Scaled | Classifier


def _measured_flops(row: Published) -> str:
    return f"{row.measured.flops / 1e9:#.4g}B" if row.measured and row.flops else ""


def _ratio(row: Published) -> float | None:
    return row.measured.flops / parse_count(row.flops) if row.measured and row.flops else None


def _marks(row: Published) -> str:
    if row.measured is None or row.flops is None:
        return ""
    return ("=" if agrees(row.flops, row.measured.flops) else "") + ("t" if row.measured.by == "fvcore" else "")


SCALING_COLUMNS: Columns[Scaled] = (
    ("network", "l", lambda row: row.name),
    ("scaled by", "l", lambda row: row.method),
    ("top-1 %", "r", lambda row: f"{row.top1:.1f}"),
    ("FLOPs", "r", lambda row: row.flops),
    ("measured", "r", _measured_flops),
    ("m/p", "r", lambda row: cell(_ratio(row), ".2f")),
    ("", "l", _marks),
    ("params", "r", lambda row: f"{row.measured.params / 1e6:#.4g}M" if row.measured else ""),
)

IMAGENET_COLUMNS: Columns[Classifier] = (
    ("model", "l", lambda row: row.name),
    ("top-1 %", "r", lambda row: f"{row.top1:.1f}"),
    ("top-5 %", "r", lambda row: f"{row.top5:.1f}"),
    ("params", "r", lambda row: row.params),
    ("x", "r", lambda row: row.params_ratio),
    ("FLOPs", "r", lambda row: row.flops or "-"),
    ("x", "r", lambda row: row.flops_ratio or "-"),
    ("measured", "r", _measured_flops),
    ("m/p", "r", lambda row: cell(_ratio(row), ".2f")),
    ("", "l", _marks),
    ("px", "r", lambda row: str(row.measured.resolution) if row.measured else ""),
)


TRANSFER_COLUMNS: Columns[Transferred] = (
    ("set", "l", lambda row: row.set),
    ("of", "l", lambda row: {"public": "public", "reported": "all"}[row.against]),
    ("rival", "l", lambda row: row.rival),
    ("acc %", "r", lambda row: f"{row.rival_top1:.1f}"),
    ("params", "r", lambda row: row.rival_params or "-"),
    ("ours", "l", lambda row: row.ours),
    ("acc %", "r", lambda row: f"{row.top1:.1f}"),
    ("params", "r", lambda row: row.params or "-"),
    ("ratio", "r", lambda row: row.ratio or "-"),
    ("here", "r", lambda row: f"{row.measured_params / 1e6:#.3g}M"),
)


def transfer_caption(rows: Iterable[Transferred]) -> str:
    """What the columns of table 5 are, with the geometric means of its ratios beside those that it prints."""
    rows, means = list(rows), []
    for against, printed in GEO_MEANS.items():
        ratios = [float(row.ratio[:-1]) for row in rows if row.against == against and row.ratio]
        means.append(f"{geometric_mean(ratios):.2f}x {against} (printed {printed})")
    return TRANSFER_CAPTION.format(", ".join(means))


def published_transfer_records(rows: Iterable[Transferred]) -> list[dict[str, Any]]:
    """Table 5 for programs: parameters as numbers, accuracies in %."""
    return [
        {
            "set": row.set,
            "against": row.against,
            "rival": row.rival,
            "rival_top1_percent": row.rival_top1,
            "rival_params": parse_count(row.rival_params) if row.rival_params else None,
            "model": f"EfficientNet-{row.ours.upper()}",
            "top1_percent": row.top1,
            "params": parse_count(row.params) if row.params else None,
            "ratio": float(row.ratio[:-1]) if row.ratio else None,
            "measured_params": row.measured_params,
        }
        for row in rows
    ]


def scaling_records(rows: Iterable[Scaled]) -> list[dict[str, Any]]:
    """Table 3 for programs: FLOPs and parameters as numbers, accuracies in %."""
    return [
        {
            "network": row.name,
            "scaled_by": row.method,
            **{axis: getattr(row.by, axis, None) for axis in AXES},
            "top1_percent": row.top1,
            "flops": parse_count(row.flops),
            **_measured_record(row),
        }
        for row in rows
    ]


def imagenet_records(rows: Iterable[Classifier]) -> list[dict[str, Any]]:
    """Table 2 for programs: FLOPs and parameters as numbers, accuracies in %."""
    return [
        {
            "model": row.name,
            "top1_percent": row.top1,
            "top5_percent": row.top5,
            "params": parse_count(row.params),
            "params_ratio": float(row.params_ratio[:-1]),
            "flops": parse_count(row.flops) if row.flops else None,
            "flops_ratio": float(row.flops_ratio[:-1]) if row.flops_ratio else None,
            **_measured_record(row),
        }
        for row in rows
    ]


def _measured_record(row: Published) -> dict[str, Any]:
    names, ratio = ("measured_flops", "measured_params", "measured_at_px", "measured_by"), _ratio(row)
    measured = dict(zip(names, row.measured or [None] * len(names), strict=True))
    return measured | {"ratio": None if ratio is None else round(ratio, 4)}

"""Published tables with what we count beside them. Every number has its unit beside it, in its heading or caption."""

from collections.abc import Iterable
from typing import Any

from effsearch.cost import CONVENTION
from effsearch.published import Classifier, Measured, Scaled, agrees
from effsearch.reports.text_table import TextTable
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


def scaling_table(rows: Iterable[Scaled]) -> TextTable:
    """Table 3 of the paper, with what the networks grown here cost."""
    headings = ("network", "scaled by", "top-1 %", "FLOPs", "measured", "m/p", "", "params")
    cells = []
    for row in rows:
        flops, ratio, mark = _measured(row.flops, row.measured)
        params = f"{row.measured.params / 1e6:#.4g}M" if row.measured else ""
        cells.append((row.name, row.method, f"{row.top1:.1f}", row.flops, flops, ratio, mark, params))
    return TextTable(headings, "llrrrrlr", cells)


def imagenet_table(rows: Iterable[Classifier]) -> TextTable:
    """Table 2 of the paper, with what our networks and torchvision's cost."""
    headings = ("model", "top-1 %", "top-5 %", "params", "x", "FLOPs", "x", "measured", "m/p", "", "px")
    cells = []
    for row in rows:
        flops, ratio, mark = _measured(row.flops, row.measured)
        published = (row.params, row.params_ratio, row.flops or "-", row.flops_ratio or "-")
        side = str(row.measured.resolution) if row.measured else ""
        cells.append((row.name, f"{row.top1:.1f}", f"{row.top5:.1f}", *published, flops, ratio, mark, side))
    return TextTable(headings, "lrrrrrrrrlr", cells)


def scaling_records(rows: Iterable[Scaled]) -> list[dict[str, Any]]:
    """Table 3 for programs: FLOPs and parameters as numbers, accuracies in %."""
    return [
        {
            "network": row.name,
            "scaled_by": row.method,
            "depth": row.by.depth if row.by else None,
            "width": row.by.width if row.by else None,
            "resolution": row.by.resolution if row.by else None,
            "top1_percent": row.top1,
            "flops": parse_count(row.flops),
            **_measured_record(row.flops, row.measured),
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
            **_measured_record(row.flops, row.measured),
        }
        for row in rows
    ]


def _measured(printed: str | None, measured: Measured | None) -> tuple[str, str, str]:
    """FLOPs in billions, their ratio to what is printed, and marks."""
    if measured is None or printed is None:
        return "", "", ""
    marks = ("=" if agrees(printed, measured.flops) else "") + ("t" if measured.by == "fvcore" else "")
    return f"{measured.flops / 1e9:#.4g}B", f"{measured.flops / parse_count(printed):.2f}", marks


def _measured_record(printed: str | None, measured: Measured | None) -> dict[str, Any]:
    return {
        "measured_flops": measured.flops if measured else None,
        "measured_params": measured.params if measured else None,
        "measured_at_px": measured.resolution if measured else None,
        "measured_by": measured.by if measured else None,
        "ratio": round(measured.flops / parse_count(printed), 4) if measured and printed else None,
    }

"""The figures of the page as plotly takes them, with colours by name, and rows of the ranking in `customdata`."""

import html
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from effsearch.evaluation.scores import Scores
from effsearch.reports.evaluation import matrix_classes, short_names
from effsearch.reports.figures import LIGHT, Chart, Field, Series

COUNTS = 16  # classes up to which the cells of a confusion matrix have room for numbers
DECISIONS = 24  # decisions, from the most important, that are drawn
FEW_EPOCHS = 12  # up to which every whole number is on the axis
Trace = dict[str, Any]

HOVERS: dict[str, Trace] = {
    "": {"hovertemplate": "epoch %{x}: %{y}<extra></extra>", "showlegend": False},
    "best so far": {"hovertemplate": "best of %{x}: reward %{y:.4f}<extra></extra>"},
    "optimum, drawn": {"hoverinfo": "skip"},
}
"""What is shown on hovering over series that are no networks, by name."""


@dataclass(frozen=True)
class Figure:
    """A figure with its title, its caption, and its height in px."""

    title: str
    traces: Sequence[Trace]
    layout: Mapping[str, Any]
    caption: str = ""
    height: int = 400


def colour(name: str) -> str:
    """A colour of the palette, dark or light as the reader has it; other colours as they are."""
    return f"var(--{name})" if name in (*LIGHT, "panel") else name


def _digits(values: Iterable[float | None]) -> list[float | None]:
    """Five significant digits, more than can be seen, so that the page is small."""
    return [float(f"{value:.5g}") if isinstance(value, float) else value for value in values]


def _axis(title: str, **more: Any) -> dict[str, Any]:
    return {"title": {"text": title, "standoff": 10}, "automargin": True, **more}


def figure_of_chart(chart: Chart, index: Mapping[str, int]) -> Figure:
    """A chart as plotly takes it; `index` are rows of the ranking by the keys of their networks."""
    x, y = _axis(chart.x), _axis(chart.y)
    known = [value for series in chart.series for value in series.x if value is not None]
    if chart.whole:
        x["dtick"] = 1 if max(known, default=0) <= FEW_EPOCHS else None
    if chart.log:
        x |= {"type": "log", **_log_ticks(known)}
    traces, layout = [_trace(series, index) for series in chart.series], {"xaxis": x, "yaxis": y}
    for number, series in enumerate(chart.series):
        if series.group:
            earlier = [before.group for before in chart.series[:number]]
            traces[number] |= {"legendgroup": series.group, "showlegend": series.group not in earlier}
    if chart.field is None:
        return Figure(chart.title, traces, layout, chart.caption)
    return Figure(chart.title, *_on_field(chart.field, traces, layout), chart.caption, height=600)


def _trace(series: Series, index: Mapping[str, int]) -> Trace:
    name, tone = html.escape(series.name, quote=False), colour(series.colour)  # Plotly reads some tags.
    parts = [part for part, drawn in (("lines", series.line), ("markers", series.mark)) if drawn]
    trace: Trace = {"name": name, "x": _digits(series.x), "y": _digits(series.y), "mode": "+".join(parts)}
    if series.mark:
        trace["marker"] = {"size": series.size, "symbol": series.mark, "color": list(series.values) or tone}
    if series.outline:
        trace["marker"]["line"] = {"width": 1.5, "color": colour(series.outline)}
    if series.line:
        kind = {"shape": "hv"} if series.line == "steps" else {"dash": series.line}
        trace["line"] = {"color": tone, "width": 2 if series.opacity == 1 else 1, **kind}
    if series.opacity < 1:  # Marks that lie on one another are darker; a line and its marks are not.
        (trace if series.line else trace["marker"])["opacity"] = series.opacity
    if series.bars:
        trace["error_y"] = {"array": _digits(series.bars), "color": tone, "thickness": 1, "width": 3}
    if series.keys:
        trace["customdata"] = [index.get(key) for key in series.keys]
    return trace | HOVERS.get(series.name, {})


def _on_field(field: Field, traces: Sequence[Trace], layout: Trace) -> tuple[list[Trace], Trace]:
    shade: Trace = {
        "type": "contour",
        "x": _digits(field.alpha.tolist()),
        "y": _digits(field.beta.tolist()),
        "z": [[None if math.isnan(value) else round(value, 2) for value in line] for line in field.shade.tolist()],
        **{"colorscale": "Viridis", "zmin": field.low, "zmax": field.high, "ncontours": 24, "line": {"width": 0}},
        "colorbar": {"orientation": "h", "thickness": 12, "y": -0.16, "yanchor": "top"}
        | {"title": {"side": "bottom", "text": "accuracy at equal FLOPs in %"}},
        "hovertemplate": "alpha %{x:.2f}, beta %{y:.2f}: %{z:.1f}<extra>fit</extra>",
    }
    x, y = field.beyond
    cover: Trace = {"x": _digits(x), "y": _digits(y), "mode": "lines", "fill": "toself", "fillcolor": colour("panel")}
    cover |= {"line": {"color": colour("panel"), "width": 0}, "hoverinfo": "skip", "showlegend": False}
    for trace in traces:
        trace["marker"] |= {"colorscale": "Viridis", "cmin": field.low, "cmax": field.high}
        if "hoverinfo" not in trace:
            trace["hovertemplate"] = f"alpha %{{x:.3f}}, beta %{{y:.3f}}<extra>{trace['name']}</extra>"
    for axis, span in zip(("xaxis", "yaxis"), field.spans, strict=True):
        layout[axis] |= {"range": list(span), "showgrid": False}
    return [shade, cover, *traces], {"legend": {"itemsizing": "constant"}, **layout}


def _log_ticks(values: Sequence[float]) -> dict[str, Any]:
    """Few round numbers from the least to the most, since a logarithmic axis names powers of ten alone."""
    known = [value for value in values if value > 0]
    if not known:
        return {}
    powers = range(math.floor(math.log10(min(known))), math.ceil(math.log10(max(known))) + 1)
    rounds = [float(f"{digit}e{power}") for power in powers for digit in (1, 1.5, 2, 3, 4, 5, 7)]
    return {"tickvals": rounds, "ticktext": [f"{value:g}" for value in rounds]}


def confusion_figure(scores: Scores) -> Figure:
    """The confusion matrix of all classes, or of those that are confused most often; coloured by shares of a row."""
    numbers = matrix_classes(scores)
    names = [html.escape(name, quote=False) for name in short_names(scores, numbers)]
    matrix, totals = scores.matrix(numbers), [scores.totals.get(number, 0) for number in numbers]
    roomy = len(names) <= COUNTS
    trace: Trace = {
        **{"type": "heatmap", "colorscale": "Viridis", "zmin": 0, "zmax": 100, "xgap": int(roomy), "ygap": int(roomy)},
        "z": [_shares(row, total) for row, total in zip(matrix, totals, strict=True)],
        "text": [[str(count) if count else "" for count in row] for row in matrix],
        "texttemplate": "%{text}" if roomy else "",
        "colorbar": {"thickness": 12, "title": {"side": "right", "text": "% of the true class"}},
        "hovertemplate": "true %{y}, predicted %{x}: %{text} (%{z:.1f} %)<extra></extra>",
    }
    ticks = {"tickvals": list(range(len(names))), "ticktext": names, "showgrid": False}
    axes = {"xaxis": _axis("predicted", **ticks, tickangle=-45), "yaxis": _axis("true", **ticks, autorange="reversed")}
    caption = "a row is a true class; colours are shares of its images" + ("; numbers are of images" if roomy else "")
    if len(numbers) < len(scores.classes):
        caption += f"; the {len(numbers)} of {len(scores.classes):,} classes that are confused most often"
    return Figure("Confusion matrix", [trace], axes, caption, height=220 + 20 * max(8, len(names)))


def _shares(counts: Sequence[int], total: int) -> list[float | None]:
    """Counts in % of a total, or nothing where there is none."""
    return [round(100 * count / total, 2) if total else None for count in counts]


def importances_figure(shares: Mapping[str, float]) -> Figure:
    """How well each decision separates the best networks from the rest, the most important on top."""
    first = list(shares.items())[:DECISIONS][::-1]
    trace: Trace = {
        "type": "bar",
        "orientation": "h",
        "x": [round(100 * share, 2) for _, share in first],
        "y": [html.escape(name, quote=False) for name, _ in first],
        "marker": {"color": colour("blue")},
        "hovertemplate": "%{y}: %{x:.1f} %<extra></extra>",
        "showlegend": False,
    }
    layout = {"xaxis": _axis("share of the importance (%)"), "yaxis": _axis("", type="category"), "bargap": 0.35}
    rest = len(shares) - len(first)
    more = f"; {rest} more weigh less" if rest else ""
    caption = f"PED-ANOVA (2304.10255) of Optuna: how far a decision tells the best tenth from the rest{more}"
    return Figure("Importance of decisions", [trace], layout, caption, height=110 + 22 * len(first))

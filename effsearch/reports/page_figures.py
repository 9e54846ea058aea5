"""The figures of the page, as plotly takes them: plain values, with colours by name, which the page resolves.

`customdata` is a row of the ranking, from which the page makes what is shown on hovering.
"""

import html
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from effsearch.reports.coefficients import coefficients_of
from effsearch.reports.growth_curves import Point
from effsearch.reports.learning_curves import EpochLine, LearningCurve, ProgressPoint
from effsearch.reports.pictures import SHADE, surface_title
from effsearch.reports.ranking_table import half_width
from effsearch.reports.scatter import CYCLE, REFERENCES, accuracy_label, axis_of, scatter
from effsearch.reports.surface import Surface, measured
from effsearch.reward import NAMES, Measure
from effsearch.runs.manifest import Manifest
from effsearch.runs.ranking import Noise, Row
from effsearch.runs.settings import GridSettings
from effsearch.scaling import PAPER

SHOWN = 100
"""Networks, from the best, whose trainings are drawn."""

NAMED = 4
"""Of them those with a colour of their own."""

DECISIONS = 24
DRAWS = 200
SIDE = 81
"""Values of alpha and of beta at which the surface is drawn."""

Trace = dict[str, Any]


@dataclass(frozen=True)
class Figure:
    """A figure with its title, what is written under it, and its height in px."""

    title: str
    traces: Sequence[Trace]
    layout: Mapping[str, Any]
    caption: str = ""
    height: int = 400


def colour(name: str) -> str:
    """A colour of the palette, dark or light as the reader has it."""
    return f"var(--{name})"


def safe(text: str) -> str:
    """Text of a run as text, since plotly reads some tags."""
    return html.escape(text, quote=False)


def _axis(title: str, **more: Any) -> dict[str, Any]:
    return {"title": {"text": title, "standoff": 10}, "automargin": True, **more}


def _percent(accuracy: float | None) -> float | None:
    return None if accuracy is None else round(100 * accuracy, 3)


def pareto_figure(
    manifest: Manifest, done: Sequence[Row], index: Mapping[str, int], measure: Measure, noise: Noise | None
) -> Figure:
    """Accuracy against a cost with the Pareto front, as in the paper's figure 1."""
    scale, label = axis_of(done, measure)
    shown = scatter(done, measure)

    def trace(name: str, rows: Sequence[Row], **style: Any) -> Trace:
        return {
            "name": name,
            "x": [float(f"{getattr(row, measure) / scale:.5g}") for row in rows],
            "y": [_percent(row.accuracy) for row in rows],
            "customdata": [index[row.key] for row in rows],
            "mode": "markers",
            **style,
        }

    thin = {"size": 7, "color": colour("blue"), "opacity": 0.55}
    front: Trace = {"mode": "lines+markers", "marker": {"size": 8, "symbol": "diamond", "color": colour("vermillion")}}
    front["line"] = {"color": colour("vermillion"), "width": 2}
    if noise is not None:
        bars = [round(half_width(row, noise), 3) for row in shown.front]
        front["error_y"] = {"array": bars, "color": colour("vermillion"), "thickness": 1, "width": 3}
    traces = [
        trace("networks", shown.others, marker=thin),
        trace("Pareto front", shown.front, **front),
        trace("rank 1", [shown.first], marker=_mark("star", "purple", 15)),
    ]
    if shown.shorter:
        open_ = {"size": 6, "symbol": "circle-open", "color": colour("grey")}
        traces.insert(0, trace("fewer epochs", shown.shorter, marker=open_))
    if shown.reference is not None:
        reference = REFERENCES[shown.reference.source]
        traces.append(trace(reference, [shown.reference], marker=_mark("square", "green", 11)))
    layout = {"xaxis": _axis(label), "yaxis": _axis(accuracy_label(manifest))}
    title = f"Accuracy against {NAMES[measure]}"
    return Figure(title, traces, layout, "" if noise is None else "bars: 95 % interval of a mean over seeds")


def _mark(symbol: str, name: str, size: int) -> dict[str, Any]:
    return {"symbol": symbol, "size": size, "color": colour(name), "line": {"width": 1.5, "color": colour("panel")}}


def progress_figure(steps: Sequence[ProgressPoint], index: Mapping[str, int], what: str) -> Figure:
    """The reward of each training as they ended, and the best until then; `what` is counted."""
    numbers = [step.number for step in steps]
    known = [index.get(step.key) for step in steps]
    traces: list[Trace] = [
        {
            "name": "one network",
            "x": numbers,
            "y": [round(step.reward, 5) for step in steps],
            "customdata": known,
            "mode": "markers",
            "marker": {"size": 6, "color": colour("blue"), "opacity": 0.55},
        },
        {
            "name": "best so far",
            "x": numbers,
            "y": [round(step.best, 5) for step in steps],
            "mode": "lines",
            "line": {"shape": "hv", "width": 2, "color": colour("vermillion")},
            "hovertemplate": "best of %{x}: reward %{y:.4f}<extra></extra>",
        },
    ]
    layout = {"xaxis": _axis(what), "yaxis": _axis("reward")}
    return Figure("Best so far", traces, layout)


def losses_figure(curves: Sequence[LearningCurve], index: Mapping[str, int]) -> Figure:
    """The training loss of each network, epoch by epoch."""
    traces = _curve_traces(curves, index, lambda curve: tuple(enumerate(curve.losses, 1)))
    layout = {"xaxis": _axis("epoch", dtick=_whole(curves)), "yaxis": _axis("training loss (nats)")}
    return Figure("Learning curves", traces, layout, "one line a training, of the mean loss of an epoch")


def rungs_figure(curves: Sequence[LearningCurve], index: Mapping[str, int]) -> Figure:
    """Validation accuracy of trainings in parts: what went on, and what was stopped where."""
    traces = _curve_traces(
        curves, index, lambda curve: tuple((at, 100 * accuracy) for at, accuracy in curve.accuracies)
    )
    layout = {"xaxis": _axis("epoch", dtick=_whole(curves)), "yaxis": _axis("validation top-1 (%)")}
    return Figure("Rungs", traces, layout, "a line that ends early is a network that was not trained on")


def _whole(curves: Sequence[LearningCurve]) -> int | None:
    """Whole epochs on an axis, where there are few."""
    most = max((len(curve.losses) for curve in curves), default=0)
    return 1 if most <= 12 else None


def _curve_traces(
    curves: Sequence[LearningCurve],
    index: Mapping[str, int],
    points: Callable[[LearningCurve], Sequence[tuple[int, float]]],
) -> list[Trace]:
    """The best networks in a colour each, all others as one grey trace with gaps."""
    named = list(dict.fromkeys(curve.key for curve in curves))[:NAMED]
    grey: Trace = {"name": "others", "x": [], "y": [], "customdata": [], "mode": "lines+markers"}
    grey |= {"line": {"color": colour("grey"), "width": 1}, "marker": {"size": 4}, "opacity": 0.6}
    traces: list[Trace] = []
    for curve in curves:
        row, found = index[curve.key], points(curve)
        if curve.key not in named:
            grey["x"] += [*(at for at, _ in found), None]
            grey["y"] += [*(round(value, 4) for _, value in found), None]
            grey["customdata"] += [row] * (len(found) + 1)
            continue
        number = named.index(curve.key)
        traces.append(
            {
                "name": f"rank {row + 1}",
                "legendgroup": f"{row}",
                "showlegend": not any(trace["legendgroup"] == f"{row}" for trace in traces),
                "x": [at for at, _ in found],
                "y": [round(value, 4) for _, value in found],
                "customdata": [row] * len(found),
                "mode": "lines+markers",
                "line": {"color": colour(CYCLE[number]), "width": 2},
                "marker": {"size": 6, "symbol": SYMBOLS[number]},
            }
        )
    return ([grey] if grey["x"] else []) + traces


SYMBOLS = ("circle", "square", "diamond", "triangle-up", "triangle-down", "cross")


def importances_figure(shares: Mapping[str, float]) -> Figure:
    """How much each decision told the best from the rest, the most on top."""
    first = list(shares.items())[:DECISIONS][::-1]
    trace: Trace = {
        "type": "bar",
        "orientation": "h",
        "x": [round(100 * share, 2) for _, share in first],
        "y": [safe(name) for name, _ in first],
        "marker": {"color": colour("blue")},
        "hovertemplate": "%{y}: %{x:.1f} %<extra></extra>",
        "showlegend": False,
    }
    layout = {"xaxis": _axis("share of the importance (%)"), "yaxis": _axis("", type="category"), "bargap": 0.35}
    rest = len(shares) - len(first)
    more = f"; {rest} more weigh less" if rest else ""
    caption = f"PED-ANOVA (2304.10255) of Optuna: how far a decision tells the best tenth from the rest{more}"
    return Figure("Importance of decisions", [trace], layout, caption, height=110 + 22 * len(first))


def surface_figure(surface: Surface, rows: Sequence[Row], settings: GridSettings, index: Mapping[str, int]) -> Figure:
    """The fitted reward over alpha and beta, gamma following from the constraint, with what was trained."""
    target, trained = surface.target, measured(rows)
    alphas, betas = np.linspace(1, target, SIDE), np.linspace(1, target**0.5, SIDE)
    alpha, beta = np.meshgrid(alphas, betas)
    gamma = np.sqrt(target / alpha) / beta
    means = surface.mean(np.column_stack([alpha.ravel(), beta.ravel(), gamma.ravel()])).reshape(alpha.shape)
    # A little more than the constraint allows is drawn, and covered, so that the border is a smooth line.
    shades = np.where(gamma >= 0.96, 1000 * (means - trained.best), np.nan)
    rewards = [1000 * ((row.reward or 0.0) - trained.best) for row in trained.ended]
    inside = [*rewards, *shades[gamma >= 1].tolist()]
    least, most = min(inside), max(inside)
    scale = {"colorscale": "Viridis", "zmin": least, "zmax": most}
    bar = {"orientation": "h", "thickness": 12, "y": -0.16, "yanchor": "top"}
    field: Trace = {
        "type": "contour",
        "x": [round(float(value), 4) for value in alphas],
        "y": [round(float(value), 4) for value in betas],
        "z": [[None if math.isnan(value) else round(value, 2) for value in line] for line in shades.tolist()],
        **scale,
        "ncontours": 24,
        "line": {"width": 0},
        "colorbar": bar | {"title": {"side": "bottom", "text": "thousandths of the reward"}},
        "hovertemplate": "alpha %{x:.2f}, beta %{y:.2f}: %{z:.1f}<extra>fit</extra>",
    }
    best, outline = surface.best, {"width": 1.2, "color": "#111"}
    draws = surface.optima[:DRAWS]
    traces = [
        field,
        _beyond(target),
        _at("optimum, drawn", draws[:, 0], draws[:, 1], size=5, color="#ff5a4c", opacity=0.6, hover=False),
        _at("stopped earlier", *_axes(trained.stopped), size=5, symbol="circle-open", color="#fff"),
        _at("trained to the end", *_axes(trained.ended), size=12, color=rewards, line=outline)
        | {"customdata": [index[row.key] for row in trained.ended]},
        _at("optimum of the fit", [best.alpha], [best.beta], size=18, symbol="star", color="#ff5a4c", line=outline),
        _at("the paper's", [PAPER.alpha], [PAPER.beta], size=12, symbol="x", color="#f0a030", line=outline),
    ]
    traces[4]["marker"] |= {"colorscale": "Viridis", "cmin": least, "cmax": most}
    margin = 0.02 * (target - 1)
    layout = {
        "legend": {"itemsizing": "constant"},
        "xaxis": _axis("alpha (depth)", range=[1 - margin, target + margin], showgrid=False),
        "yaxis": _axis("beta (width)", range=[1 - margin / 2, target**0.5 + margin / 2], showgrid=False),
    }
    drawn = [trace for trace in traces if len(trace["x"])]
    return Figure(surface_title(settings), drawn, layout, SHADE, height=600)


def _beyond(target: float) -> Trace:
    """Covers what would need a gamma below 1."""
    alphas = np.linspace(1, target, SIDE)
    x, y = [*alphas, 2 * target, 2 * target, 1], [*np.sqrt(target / alphas), 1, 2 * target, 2 * target]
    cover: Trace = {"x": [round(float(value), 4) for value in x], "y": [round(float(value), 4) for value in y]}
    line = {"color": colour("panel"), "width": 0}
    return cover | {"mode": "lines", "fill": "toself", "fillcolor": colour("panel"), "line": line} | SILENT


SILENT = {"hoverinfo": "skip", "showlegend": False}


def _axes(rows: Sequence[Row]) -> tuple[list[float], list[float]]:
    found = [coefficients_of(row) for row in rows]
    return [by.alpha for by in found], [by.beta for by in found]


def _at(name: str, alphas: Iterable[float], betas: Iterable[float], hover: bool = True, **marker: Any) -> Trace:
    x, y = ([round(float(value), 4) for value in values] for values in (alphas, betas))
    shown = {"hovertemplate": f"alpha %{{x:.3f}}, beta %{{y:.3f}}<extra>{name}</extra>"} if hover else {}
    return {"name": name, "x": x, "y": y, "mode": "markers", "marker": marker, **(shown or {"hoverinfo": "skip"})}


def curves_figure(title: str, found: Sequence[Point], noise: Noise | None, index: Mapping[str, int]) -> Figure:
    """Accuracy against FLOPs, a line a curve: the paper's figure 3 or 4."""
    known = [(point.curve, point.row) for point in found if point.row is not None]
    scale, label = axis_of([row for _, row in known], "flops")
    traces: list[Trace] = []
    for number, name in enumerate(dict.fromkeys(curve for curve, _ in known)):
        rows = [row for curve, row in known if curve == name]
        tone = colour(CYCLE[number % len(CYCLE)])
        trace: Trace = {
            "name": safe(name),
            "x": [float(f"{row.flops / scale:.5g}") for row in rows],
            "y": [_percent(row.accuracy) for row in rows],
            "customdata": [index[row.key] for row in rows],
            "mode": "lines+markers",
            "line": {"color": tone, "width": 2, "dash": DASHES[number % len(DASHES)]},
            "marker": {"size": 8, "symbol": SYMBOLS[number % len(SYMBOLS)]},
        }
        if noise is not None:
            bars = [round(half_width(row, noise), 3) for row in rows]
            trace["error_y"] = {"array": bars, "thickness": 1, "width": 3, "color": tone}
        traces.append(trace)
    ticks = _log_ticks([value for trace in traces for value in trace["x"]])
    layout = {"xaxis": _axis(label, type="log", **ticks), "yaxis": _axis("validation top-1 (%)")}
    caption = "" if noise is None else "bars: 95 % interval of a mean over seeds"
    return Figure(f"{title[0].upper()}{title[1:]}", traces, layout, caption)


def _log_ticks(values: Sequence[float]) -> dict[str, Any]:
    """Few round numbers from the least to the most, since a logarithmic axis names powers of ten alone."""
    known = [value for value in values if value > 0]
    if not known:
        return {}
    powers = range(math.floor(math.log10(min(known))), math.ceil(math.log10(max(known))) + 1)
    rounds = [float(f"{digit}e{power}") for power in powers for digit in (1, 1.5, 2, 3, 4, 5, 7)]
    return {"tickvals": rounds, "ticktext": [f"{value:g}" for value in rounds]}


DASHES = ("solid", "dash", "dot", "dashdot")


def training_figures(history: Sequence[EpochLine]) -> list[Figure]:
    """The validation accuracy and the training loss of one training, epoch by epoch."""
    epochs = [line.epoch for line in history]
    dtick = 1 if len(epochs) <= 12 else None
    figures = []
    for title, values, label, tone in (
        ("Validation accuracy", [_percent(line.accuracy) for line in history], "validation top-1 (%)", "blue"),
        ("Training loss", [round(float(line.loss), 4) for line in history], "training loss (nats)", "vermillion"),
    ):
        trace: Trace = {
            "x": epochs,
            "y": values,
            "mode": "lines+markers",
            "line": {"color": colour(tone), "width": 2},
            "marker": {"size": 6},
            "hovertemplate": "epoch %{x}: %{y}<extra></extra>",
            "showlegend": False,
        }
        figures.append(Figure(title, [trace], {"xaxis": _axis("epoch", dtick=dtick), "yaxis": _axis(label)}))
    return figures

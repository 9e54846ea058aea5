"""How soon each sampler found the best of a table: as a table, as JSON, and as a picture."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path

import matplotlib.ticker
from matplotlib.figure import Figure

from effsearch.reports.pictures import SIZE, save_figure
from effsearch.reports.text_table import Columns, TextTable, cell
from effsearch.runs.regret import MARKS, REGRETS, FinalRegret, Replay

FLOOR = 1e-4  # regrets below this are drawn as this: the axis is logarithmic


def replay_table(replays: Sequence[Replay]) -> TextTable:
    marks = [mark for mark in MARKS if any(mark <= replay.trials for replay in replays)]
    noisy = any(replay.selected is not None for replay in replays)
    columns: Columns[Replay] = (
        ("sampler", "l", lambda row: row.sampler),
        # With noise what counts is what is named at the end, and not when a network was looked at.
        *(((f"to {100 * regret:g} %", "r", partial(_reached, regret)) for regret in REGRETS) if not noisy else ()),
        *((f"at {mark}", "r", lambda row, mark=mark: cell(row.regret[mark], ".2f", 100)) for mark in marks),
        *(((name, "r", partial(_final, name)) for name in ("selected", "naive")) if noisy else ()),
        ("ms", "r", lambda row: f"{1000 * row.seconds:.1f}"),
    )
    return TextTable.of(columns, replays)


def _final(name: str, replay: Replay) -> str:
    final: FinalRegret | None = getattr(replay, name)
    return "" if final is None else f"{100 * final.median:.2f} / {100 * final.p90:.2f}"


def _reached(regret: float, replay: Replay) -> str:
    reached = replay.evaluations[regret]
    middle, most = ("-" if value is None else f"{value:g}" for value in (reached.median, reached.p90))
    share = "" if reached.success == 1 else f" ({100 * reached.success:.0f} %)"
    return f"{middle} / {most}{share}"


REPLAY_CAPTION = (
    "to R %: evaluations until the regret of the reward, relative to the table's best, is at most R %, median / 90th "
    "percentile over seeds (share of them that got there; -: less than half, or than nine tenths); at N: mean regret "
    "in % after N evaluations; ms: of CPU for a proposal"
)
NOISE_CAPTION = (
    "at N: mean regret, by true accuracies, of the best network looked at in N evaluations, in % of the table's best "
    "reward; selected: of the network that the search names, after a fifth of its evaluations repeat the likely best; "
    "naive: of the largest single measurement of as many evaluations; median / 90th percentile over seeds; ms: of CPU "
    "for a proposal"
)


def replay_json(replays: Sequence[Replay]) -> str:
    """A list of objects, one a sampler; what was not reached is null, regrets are fractions."""
    documents = [
        {
            **{name: getattr(replay, name) for name in ("sampler", "seeds", "trials")},
            "evaluations": {f"{regret:g}": asdict(reached) for regret, reached in replay.evaluations.items()},
            "regret": replay.regret,
            "seconds_per_proposal": replay.seconds,
            **{name: asdict(final) for name in ("selected", "naive") if (final := getattr(replay, name)) is not None},
        }
        for replay in replays
    ]
    return json.dumps(documents, indent=2)


def write_regret_curves(replays: Sequence[Replay], path: Path, title: str) -> None:
    """Draws regret against evaluations, a line for each sampler; raises ReportError where it cannot be written."""
    figure = Figure(figsize=SIZE, layout="constrained")
    axes = figure.subplots()
    for replay in replays:
        count = range(1, len(replay.curve) + 1)
        line = axes.plot(count, [max(FLOOR, value) for value in replay.curve], label=replay.sampler, linewidth=1.5)
        low, high = ([max(FLOOR, value) for value in band] for band in (replay.low, replay.high))
        axes.fill_between(count, low, high, color=line[0].get_color(), alpha=0.12, linewidth=0)
    axes.set(xlabel="evaluations", ylabel="regret of the reward, relative", yscale="log", title=title)
    axes.set_xlim(1, max(len(replay.curve) for replay in replays))
    axes.yaxis.set_major_formatter(matplotlib.ticker.PercentFormatter(1))
    axes.legend(title=f"mean of {replays[0].seeds} seeds, middle half", fontsize=8, title_fontsize=8)
    save_figure(figure, path)

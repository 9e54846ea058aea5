"""A run as one HTML file: sections of sentences, tables and figures, and the script that draws them, all inside.

A run's folder may be a stranger's: text is escaped in HTML, values in the script, and the page's policy lets nothing
run but its two scripts and nothing be loaded.
"""

import base64
import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, is_dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from effsearch.evaluation.scores import WORST, Scores, WorstImage
from effsearch.reports import (
    check_suffix,
    evaluation,
    figures as charts,
    ranking_table as ranked,
    trainings,
    write_report,
)
from effsearch.reports.coefficients import FAMILY_CAPTION, Answer
from effsearch.reports.figures import DARK, LIGHT, REFERENCES, Chart
from effsearch.reports.growth_curves import CURVES_CAPTION, curve_points, curves_table
from effsearch.reports.page_figures import Figure, confusion_figure, figure_of_chart, importances_figure
from effsearch.reports.ranking_table import PageRanking, costs, counts_line, half_width, how_evaluated, noise_line
from effsearch.reports.surface import surface_chart
from effsearch.reports.text_table import TextTable
from effsearch.reports.transfer import TransferResult, summary_table, transfer_captions, transfer_table
from effsearch.reports.verification import Verification, VerifiedRow, verification_captions, verified_table
from effsearch.runs.folder import Run
from effsearch.runs.history import History, importances, longest, read_history
from effsearch.runs.manifest import Manifest
from effsearch.runs.ranking import Noise, Row, measure_noise
from effsearch.runs.schema import flatten
from effsearch.runs.settings import CurvesSettings, GridSettings, TrainSettings
from effsearch.text import counted, format_count, sanitize

SUFFIXES = (".html", ".htm")
SHOWN = 100  # networks, from the best, whose trainings are drawn
CARDS = 4  # networks that are verified whose accuracies are read first
CLASSES = 40  # names of classes that are shown


@dataclass(frozen=True)
class Card:
    """A number that is read first: what it is, the number with its unit, and what stands beside it."""

    label: str
    value: str
    note: str = ""
    notation: str = ""


@dataclass(frozen=True)
class Photograph:
    """A picture in a data URI, with the lines under it."""

    uri: str
    lines: Sequence[str]


@dataclass(frozen=True)
class Section:
    """A part of the page, in this order: sentences, figures, photographs, the ranking, tables, small print.

    `code` is a command.
    """

    title: str
    lines: Sequence[str] = ()
    figures: Sequence[Figure] = ()
    photographs: Sequence[Photograph] = ()
    ranking: PageRanking | None = None
    tables: Sequence[tuple[str, TextTable]] = ()
    small: Sequence[str] = ()
    code: str = ""


@dataclass(frozen=True)
class Page:
    """What is shown of a run: its name, a line on it, the numbers that are read first, and the rest."""

    name: str
    subtitle: str
    cards: Sequence[Card]
    sections: Sequence[Section]


def render(page: Page) -> str:
    """The page as HTML in UTF-8, with nothing left to load."""
    options: dict[str, Any] = {"trim_blocks": True, "lstrip_blocks": True, "undefined": StrictUndefined}
    loader = PackageLoader("effsearch.reports")
    environment = Environment(loader=loader, autoescape=True, finalize=_shown, **options)
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":"), "allow_nan": False}
    own = environment.get_template("page.js").render()
    # Both have \n at the ends of lines, as browsers read them, since a digest is of the bytes.
    scripts = [Markup(get_plotlyjs().replace("\r\n", "\n")), Markup(own)]
    digests = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]
    figures = [figure for section in page.sections for figure in section.figures]
    data = {
        "figures": [(figure.traces, figure.layout, figure.height) for figure in figures],
        "ranking": next((section.ranking for section in page.sections if section.ranking), None),
    }
    return environment.get_template("page.html").render(
        page=page,
        data=_plain(data),
        scripts=scripts,
        policy=" ".join(f"'sha256-{digest}'" for digest in digests),
        palettes={"light": LIGHT, "dark": DARK},
    )


def _plain(value: Any) -> Any:
    """Values as JSON has them: what is not a number is null."""
    if is_dataclass(value) and not isinstance(value, type):
        return _plain(asdict(value))
    if isinstance(value, dict):
        return {sanitize(str(name)): _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, str):
        return sanitize(value)
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _shown(value: Any) -> Any:
    """What the template puts into the page: its own text, and that of a run without control characters."""
    return sanitize(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def write_page(page: Page, path: Path) -> int:
    """Writes the page, whole or not at all, over an earlier one, and says its bytes; raises ReportError."""
    check_suffix(path, SUFFIXES)
    content = render(page).encode()
    write_report(path, content)
    return len(content)


@dataclass(frozen=True)
class Results:
    """The ranking, its finished rows, the noise between seeds (None: nothing was trained), and row numbers by key."""

    manifest: Manifest
    rows: Sequence[Row]
    done: Sequence[Row]
    noise: Noise | None
    index: Mapping[str, int]

    @cached_property
    def answer(self) -> Answer | None:
        """What a search for coefficients found; None for other runs."""
        settings = self.manifest.settings
        return Answer.of(settings, self.rows) if isinstance(settings, GridSettings) else None

    def figures(self, *found: Chart) -> list[Figure]:
        return [figure_of_chart(chart, self.index) for chart in found]


def page_of(run: Run) -> Page:
    """Reads a run's folder and nothing else; raises RunError where no training has finished."""
    manifest = run.manifest()
    if run.kind == "train":
        return _training_page(run, manifest)
    if run.kind == "verify":
        return _verification_page(run, manifest)
    if run.kind == "transfer":
        return _transfer_page(run, manifest)
    rows = ranked.read_rows(run)
    noise = measure_noise(rows) if manifest.trains else None
    index = {row.key: number for number, row in enumerate(rows)}
    found = Results(manifest, rows, charts.finished(run, rows), noise, index)
    costs = [charts.pareto_chart(manifest, found.done, cost, noise) for cost in charts.measures(found.done)]
    sections = [
        *_growth_sections(found),
        Section("Accuracy and cost", figures=found.figures(*costs)),
        _ranking_section(found),
        *_history_sections(found, read_history(run)),
        _origin_section(manifest),
    ]
    return Page(run.name, _subtitle(manifest, counts_line(rows, how_evaluated(manifest))), _cards(found), sections)


def _subtitle(manifest: Manifest, what: str) -> str:
    about = manifest.run
    return " · ".join(filter(None, (f"effsearch {about.kind}", what, manifest.data.name, about.created[:10])))


def _cards(found: Results) -> list[Card]:
    cards, noise, best = [], found.noise, ranked.best_within_target(found.rows)
    if found.answer is not None:
        by = found.answer.coefficients
        cards = [
            Card("alpha", f"{by.alpha:.4g}", "depth", found.answer.best.notation),
            Card("beta", f"{by.beta:.4g}", "width"),
            Card("gamma", f"{by.gamma:.4g}", "resolution"),
        ]
    elif best is not None and found.manifest.run.kind == "nas":
        cards = [_accuracy_card(ranked.within(found.manifest.score), best, noise)]
    shown = charts.scatter(found.done)
    cards.append(_accuracy_card("most accurate", max(shown.front, key=lambda row: row.accuracy or 0.0), noise))
    if shown.reference is not None:
        cards.append(_accuracy_card(REFERENCES[shown.reference.source], shown.reference, noise))
    if noise is not None:
        note = f"sd of accuracy, over {counted(noise.networks, 'network')}"
        cards.append(Card("Noise between seeds", f"{100 * noise.sd:.1f} points", note))
    return cards


def _accuracy_card(label: str, row: Row, noise: Noise | None) -> Card:
    interval = "" if noise is None else f"± {half_width(row, noise):.1f} points; "
    note = f"{interval}rank {row.rank}, {costs(row)}"
    return Card(_capital(label), f"{100 * (row.accuracy or 0.0):.1f} %", note, row.notation)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _growth_sections(found: Results) -> Iterator[Section]:
    settings, answer = found.manifest.settings, found.answer
    if answer is not None:
        surface, name = answer.surface, answer.settings.name
        chart = [] if surface is None else [surface_chart(surface, found.rows, answer.settings)]
        yield Section("Alpha, beta and gamma", list(map(_capital, answer.lines())), found.figures(*chart))
        family = (f"{name} grown by these coefficients", answer.family())
        yield Section("The family", tables=[family], small=[FAMILY_CAPTION])
    if isinstance(settings, CurvesSettings):
        points = curve_points(settings, found.rows)
        figures = found.figures(*charts.growth_charts(points, found.noise))
        tables = [("", curves_table(points, found.noise))]
        yield Section("Growth along each axis", figures=figures, tables=tables, small=[CURVES_CAPTION])


def _ranking_section(found: Results) -> Section:
    manifest = found.manifest
    small = [*ranked.captions(manifest), *([noise_line(found.rows)] if manifest.trains else [])]
    noise = None if manifest.run.kind == "nas" else found.noise
    return Section("Ranking", ranking=ranked.page_ranking(found.rows, noise, manifest.score.measure), small=small)


def _history_sections(found: Results, history: History | None) -> Iterator[Section]:
    title = "Progress of the search"
    if history is None:
        yield Section(title, ["The run's folder has no journal, so the order of its trainings is not known."])
        return
    steps = trainings.best_so_far(history)
    yield Section(title, figures=found.figures(*([charts.progress_chart(steps, found.manifest)] if steps else [])))
    curves = trainings.learning_curves(history, [row.key for row in found.done[:SHOWN]])
    drawn = charts.learning_charts(curves, found.index)
    if drawn:
        count = len(found.done)
        lines = [f"The trainings of the first {SHOWN} of {count:,} networks."] if count > SHOWN else []
        yield Section("Learning curves", lines, found.figures(*drawn))
    shares, title = importances(history, longest(history.records)), "Which decisions matter"
    if isinstance(shares, str):
        yield Section(title, [_capital(f"{shares}.")])
    else:
        yield Section(title, figures=[importances_figure(shares)])


def _training_page(run: Run, manifest: Manifest) -> Page:
    history, result, settings = trainings.read_metrics(run), trainings.read_result(run), run.settings(TrainSettings)
    cards = []
    for split, found in (result or {}).items():
        first, *others = [name for name in found if name.startswith("top")]
        rest = ", ".join(f"top-{name[3:]} {100 * found[name]:.2f} %" for name in others)
        cards.append(Card(f"{_capital(split)} top-{first[3:]}", f"{100 * found[first]:.2f} %", rest))
    figures = [figure_of_chart(chart, {}) for chart in charts.training_charts(history)]
    sections = [
        Section("Learning curve", list(map(_capital, trainings.result_lines(settings, history, result))), figures),
        *_evaluation_sections(evaluation.read_evaluation(run)),
        Section("Network", code=settings.notation),
        _origin_section(manifest),
    ]
    return Page(run.name, _subtitle(manifest, trainings.time_line(history)), cards, sections)


def _evaluation_sections(scores: Scores | None) -> Iterator[Section]:
    if scores is None:
        return
    tables, small = evaluation.evaluation_tables(scores, "scores"), evaluation.evaluation_captions(scores)
    yield Section("What the network confuses", figures=[confusion_figure(scores)], tables=tables, small=small)
    if worst := scores.worst[:WORST]:
        line = "Those whose true class got the least probability: that class, and what was predicted."
        yield Section("The worst images", [line], photographs=[_photograph(scores, each) for each in worst])


def _photograph(scores: Scores, worst: WorstImage) -> Photograph:
    return Photograph(evaluation.image_uri(worst), evaluation.image_lines(scores, worst))


def _verification_page(run: Run, manifest: Manifest) -> Page:
    of, rows = Verification.read(run), ranked.read_rows(run)
    charts.finished(run, rows)
    index = {row.key: number for number, row in enumerate(rows)}
    found = Results(manifest, rows, [row for row in rows if row.rank is not None], measure_noise(rows), index)
    long = Section(
        "After long training",
        list(map(_capital, of.lines())),
        found.figures(charts.verification_chart(of)),
        tables=[("", verified_table(of))],
        small=verification_captions(of, manifest),
    )
    history = [*_history_sections(found, read_history(run))][1:-1]  # Neither in which order, nor by which decisions.
    small = ["reward: the accuracy; F/T: FLOPs relative to the network that has most", noise_line(rows)]
    ranking = Section("Ranking", ranking=ranked.page_ranking(rows, found.noise), small=small)
    sections = [long, ranking, *history, _origin_section(manifest)]
    cards = [_verified_card(of, row) for row in of.rows if row.accuracy is not None]
    return Page(run.name, _subtitle(manifest, counts_line(rows)), cards[:CARDS], sections)


def _verified_card(of: Verification, row: VerifiedRow) -> Card:
    half = "" if row.accuracy_high is None else f"± {100 * (row.accuracy_high - (row.accuracy or 0.0)):.1f} points; "
    note = f"{half}{counted(row.seeds, 'seed')}, {format_count(row.flops)} FLOPs"
    return Card(_capital(of.names[row.key]), f"{100 * (row.accuracy or 0.0):.1f} %", note, row.notation)


def _transfer_page(run: Run, manifest: Manifest) -> Page:
    result, rows = TransferResult.read(run), ranked.read_rows(run)
    charts.finished(run, rows)
    section = Section(
        "Transfer",
        figures=[figure_of_chart(chart, {}) for chart in charts.transfer_charts(result)],
        tables=[("", transfer_table(result)), ("over all sets", summary_table(result))],
        small=transfer_captions(result),
    )
    best = sorted(result.summaries, key=lambda each: -(each.accuracy or 0.0))[:CARDS]
    cards = [Card(each.network, f"{100 * each.accuracy:.1f} %", "mean over sets") for each in best if each.accuracy]
    return Page(run.name, _subtitle(manifest, counts_line(rows)), cards, [section, _origin_section(manifest)])


def _origin_section(manifest: Manifest) -> Section:
    document = manifest.to_document()
    document["versions"] = document["run"].pop("versions", {})
    command = document["run"].pop("command", "")
    names = ("run", "versions", "settings", "limits", "data")
    tables = []
    for name in names:
        lines = [(key, text) for key, value in flatten(document.get(name, {})) if (text := _listed(value))]
        tables += [(name, TextTable(("", ""), "ll", lines))] if lines else []
    return Section("How the run was made", tables=tables, code=command)


def _listed(value: Any) -> str:
    if not isinstance(value, list):
        return str(value)
    more = f" and {len(value) - CLASSES} more" if len(value) > CLASSES else ""
    return ", ".join(map(str, value[:CLASSES])) + more

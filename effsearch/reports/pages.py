"""What the page of a run shows, by the command that made it."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from effsearch.reports import ranking_table as ranked
from effsearch.reports.coefficients import FAMILY_CAPTION, coefficients_of, conclusions, grown_family, winner
from effsearch.reports.growth_curves import CAPTION, curves_table, panels, points
from effsearch.reports.learning_curves import (
    best_so_far,
    learning_curves,
    read_metrics,
    read_result,
    result_lines,
    time_line,
)
from effsearch.reports.page import Card, Page, Section
from effsearch.reports.page_figures import (
    SHOWN,
    curves_figure,
    importances_figure,
    losses_figure,
    pareto_figure,
    progress_figure,
    rungs_figure,
    surface_figure,
    training_figures,
)
from effsearch.reports.ranking_table import half_width, noise_line, page_ranking
from effsearch.reports.scatter import REFERENCES, finished, measures, scatter
from effsearch.reports.summary import best_within_target, captions, costs, counts_line, how, within
from effsearch.reports.surface import fit
from effsearch.reports.text_table import TextTable
from effsearch.runs.folder import Run
from effsearch.runs.history import History, importances, longest, read_history
from effsearch.runs.manifest import Manifest
from effsearch.runs.ranking import Noise, Row, measure_noise
from effsearch.runs.schema import flatten
from effsearch.runs.settings import CurvesSettings, GridSettings, TrainSettings
from effsearch.text import counted

NO_JOURNAL = "the run's folder has no journal, so the order of its trainings is not known"
CLASSES = 40
"""Names of classes that are shown."""


def page_of(run: Run) -> Page:
    """Reads a run's folder and nothing else; raises RunError where no training has finished."""
    manifest = run.manifest()
    if run.kind == "train":
        return _training_page(run, manifest)
    rows = ranked.read(run)
    done = finished(run, rows)
    history = read_history(run)
    noise = measure_noise(rows) if manifest.trains else None
    index = {row.key: number for number, row in enumerate(rows)}
    answers = {"grid": _grid_sections, "curves": _curves_sections}.get(run.kind, _no_sections)
    sections = [
        *answers(manifest, rows, noise, index),
        Section(
            "Accuracy and cost", figures=[pareto_figure(manifest, done, index, cost, noise) for cost in measures(done)]
        ),
        _ranking_section(manifest, rows, noise),
        *_history_sections(manifest, history, done, index),
        made(manifest),
    ]
    subtitle = _subtitle(manifest, counts_line(rows, how(manifest)))
    return Page(run.name, subtitle, _cards(run, manifest, rows, done, noise), sections)


def _subtitle(manifest: Manifest, what: str) -> str:
    about = manifest.run
    parts = (f"effsearch {about.kind}", what, manifest.data.name, about.created[:10])
    return " · ".join(part for part in parts if part)


def _cards(run: Run, manifest: Manifest, rows: Sequence[Row], done: Sequence[Row], noise: Noise | None) -> list[Card]:
    cards = []
    best, answer = best_within_target(rows), winner(rows) if run.kind == "grid" else None
    if answer is not None:
        found = coefficients_of(answer)
        cards += [
            Card(name, f"{value:.4g}", note, answer.notation if name == "alpha" else "")
            for name, value, note in (
                ("alpha", found.alpha, "depth"),
                ("beta", found.beta, "width"),
                ("gamma", found.gamma, "resolution"),
            )
        ]
    elif best is not None and run.kind == "nas":
        cards.append(_accuracy_card(within(manifest.score), best, noise))
    shown = scatter(done)
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


def _no_sections(*_: Any) -> Iterator[Section]:
    return iter(())


def _grid_sections(
    manifest: Manifest, rows: Sequence[Row], noise: Noise | None, index: Mapping[str, int]
) -> Iterator[Section]:
    settings, best = manifest.settings, winner(rows)
    if best is None or not isinstance(settings, GridSettings):
        return
    surface = fit(rows, noise, settings.grid.target)
    figures = [] if surface is None else [surface_figure(surface, rows, settings, index)]
    yield Section("Alpha, beta and gamma", [_capital(line) for line in conclusions(settings, rows)], figures)
    family = (f"{settings.name} grown by these coefficients", grown_family(settings, best))
    yield Section("The family", tables=[family], small=[FAMILY_CAPTION])


def _curves_sections(
    manifest: Manifest, rows: Sequence[Row], noise: Noise | None, index: Mapping[str, int]
) -> Iterator[Section]:
    assert isinstance(manifest.settings, CurvesSettings)
    found = points(manifest.settings, rows)
    figures = [curves_figure(title, chosen, noise, index) for title, chosen in panels(found)]
    yield Section("Growth along each axis", figures=figures, tables=[("", curves_table(found, noise))], small=[CAPTION])


def _ranking_section(manifest: Manifest, rows: Sequence[Row], noise: Noise | None) -> Section:
    small = [*captions(manifest), *([noise_line(rows)] if manifest.trains else [])]
    grows = manifest.run.kind != "nas"
    ranking = page_ranking(rows, noise if grows else None, manifest.score.measure)
    return Section("Ranking", ranking=ranking, small=small)


def _history_sections(
    manifest: Manifest, history: History | None, done: Sequence[Row], index: Mapping[str, int]
) -> Iterator[Section]:
    if history is None:
        yield Section("Progress of the search", [_capital(f"{NO_JOURNAL}.")])
        return
    steps = best_so_far(history)
    figure = progress_figure(steps, index, f"networks {'looked up' if manifest.on_table else how(manifest)}")
    yield Section("Progress of the search", figures=[figure] if steps else [])
    found = learning_curves(history, [row.key for row in done[:SHOWN]])
    figures = [losses_figure(found, index)] if any(curve.losses for curve in found) else []
    in_parts = [curve for curve in found if curve.parts > 1]
    figures += [rungs_figure(in_parts, index)] if in_parts else []
    if figures:
        lines = [f"The trainings of the first {SHOWN} of {len(done):,} networks."] if len(done) > SHOWN else []
        yield Section("Learning curves", lines, figures)
    shares = importances(history, longest(history.records))
    if isinstance(shares, str):
        yield Section("Which decisions matter", [_capital(f"{shares}.")])
    else:
        yield Section("Which decisions matter", figures=[importances_figure(shares)])


def _training_page(run: Run, manifest: Manifest) -> Page:
    history, result = read_metrics(run), read_result(run)
    assert isinstance(manifest.settings, TrainSettings)
    cards = []
    for split, found in (result or {}).items():
        tops = [name for name in found if name.startswith("top")]
        rest = ", ".join(f"top-{name[3:]} {100 * found[name]:.2f} %" for name in tops[1:])
        cards.append(Card(f"{_capital(split)} top-{tops[0][3:]}", f"{100 * found[tops[0]]:.2f} %", rest))
    sections = [
        Section(
            "Learning curve", [_capital(line) for line in result_lines(history, result)], training_figures(history)
        ),
        Section("Network", code=manifest.settings.notation),
        made(manifest),
    ]
    return Page(run.name, _subtitle(manifest, time_line(history)), cards, sections)


def made(manifest: Manifest) -> Section:
    """How a run was made: everything that run.toml says."""
    document = manifest.to_document()
    about = document["run"]
    names = ("command", "versions")
    tables = [
        ("run", _listing({name: value for name, value in about.items() if name not in names})),
        ("versions", _listing(about.get("versions", {}))),
        *((name, _listing(document.get(name, {}))) for name in ("settings", "limits", "data")),
    ]
    filled = [(title, table) for title, table in tables if table.cells]
    return Section("How the run was made", tables=filled, code=manifest.run.command)


def _listing(values: Mapping[str, Any]) -> TextTable:
    return TextTable(("", ""), "ll", [(name, text) for name, value in flatten(values) if (text := _listed(value))])


def _listed(value: Any) -> str:
    if not isinstance(value, list):
        return str(value)
    more = f" and {len(value) - CLASSES} more" if len(value) > CLASSES else ""
    return ", ".join(map(str, value[:CLASSES])) + more

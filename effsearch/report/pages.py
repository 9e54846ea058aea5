"""What the page of a run shows, by the command that made it."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from effsearch.report import ranking_table as ranked
from effsearch.report.coefficients import (
    FAMILY_CAPTION,
    Grown,
    coefficients_of,
    conclusions,
    grown_family,
    winner,
)
from effsearch.report.growth_curves import CAPTION, curves_grid, panels, points
from effsearch.report.learning_curves import best_so_far, courses, read_metrics, read_result, result_lines, time_line
from effsearch.report.page import Card, Page, Section
from effsearch.report.page_figures import (
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
from effsearch.report.ranking_table import half_width, noise_line, ranking_table
from effsearch.report.scatter import REFERENCES, cloud, finished, measures
from effsearch.report.summary import (
    best_within_target,
    captions,
    costs,
    counts_line,
    how,
    is_trained,
    measure_of,
    on_table,
    within,
)
from effsearch.report.surface import fit
from effsearch.report.text_table import Grid
from effsearch.runs.folder import Run
from effsearch.runs.history import History, importances, longest, read_history
from effsearch.runs.ranking import Noise, Row, measure_noise
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
    noise = measure_noise(rows) if is_trained(manifest) else None
    index = {row.key: number for number, row in enumerate(rows)}
    answers = {"grid": _grid_sections, "curves": _curves_sections}.get(run.kind, _no_sections)
    sections = [
        *answers(manifest, rows, noise, index),
        Section(
            "Accuracy and cost",
            figures=[pareto_figure(manifest, done, index, cost, noise) for cost in measures(done)],
        ),
        _ranking_section(manifest, rows, noise),
        *_history_sections(manifest, history, done, index),
        made(manifest),
    ]
    subtitle = _subtitle(manifest, counts_line(rows, how(manifest)))
    return Page(run.name, subtitle, _cards(run, manifest, rows, done, noise), sections)


def _subtitle(manifest: Mapping[str, Any], what: str) -> str:
    about, data = _table(manifest, "run"), _table(manifest, "data")
    created = str(about.get("created", ""))[:10]
    parts = (f"effsearch {about.get('kind', '')}", what, str(data.get("name", "")), created)
    return " · ".join(part for part in parts if part)


def _table(manifest: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = manifest.get(name)
    return found if isinstance(found, dict) else {}


def _cards(
    run: Run, manifest: Mapping[str, Any], rows: Sequence[Row], done: Sequence[Row], noise: Noise | None
) -> list[Card]:
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
        cards.append(_accuracy_card(within(_table(manifest, "settings")), best, noise))
    shown = cloud(done)
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
    manifest: Mapping[str, Any], rows: Sequence[Row], noise: Noise | None, index: Mapping[str, int]
) -> Iterator[Section]:
    grown, best = Grown.of(manifest), winner(rows)
    if best is None:
        return
    surface = fit(rows, noise, grown.target)
    figures = [] if surface is None else [surface_figure(surface, rows, grown, index)]
    yield Section("Alpha, beta and gamma", [_capital(line) for line in conclusions(grown, rows)], figures)
    family = (f"{grown.name} grown by these coefficients", grown_family(grown, best))
    yield Section("The family", grids=[family], small=[FAMILY_CAPTION])


def _curves_sections(
    manifest: Mapping[str, Any], rows: Sequence[Row], noise: Noise | None, index: Mapping[str, int]
) -> Iterator[Section]:
    found = points(manifest, rows)
    figures = [curves_figure(title, chosen, noise, index) for title, chosen in panels(found)]
    yield Section("Growth along each axis", figures=figures, grids=[("", curves_grid(found, noise))], small=[CAPTION])


def _ranking_section(manifest: dict[str, Any], rows: Sequence[Row], noise: Noise | None) -> Section:
    small = [*captions(manifest), *([noise_line(rows)] if is_trained(manifest) else [])]
    grows = manifest["run"]["kind"] != "nas"
    ranking = ranking_table(rows, noise if grows else None, measure_of(_table(manifest, "settings")))
    return Section("Ranking", ranking=ranking, small=small)


def _history_sections(
    manifest: dict[str, Any], history: History | None, done: Sequence[Row], index: Mapping[str, int]
) -> Iterator[Section]:
    if history is None:
        yield Section("Course of the search", [_capital(f"{NO_JOURNAL}.")])
        return
    steps = best_so_far(history)
    figure = progress_figure(steps, index, f"networks {'looked up' if on_table(manifest) else how(manifest)}")
    yield Section("Course of the search", figures=[figure] if steps else [])
    found = courses(history, [row.key for row in done[:SHOWN]])
    figures = [losses_figure(found, index)] if any(course.losses for course in found) else []
    in_parts = [course for course in found if course.parts > 1]
    figures += [rungs_figure(in_parts, index)] if in_parts else []
    if figures:
        lines = [f"The trainings of the first {SHOWN} of {len(done):,} networks."] if len(done) > SHOWN else []
        yield Section("Course of the trainings", lines, figures)
    shares = importances(history, longest(history.records))
    if isinstance(shares, str):
        yield Section("Which decisions matter", [_capital(f"{shares}.")])
    else:
        yield Section("Which decisions matter", figures=[importances_figure(shares)])


def _training_page(run: Run, manifest: dict[str, Any]) -> Page:
    history, result = read_metrics(run), read_result(run)
    settings = _table(manifest, "settings")
    cards = []
    for split, found in (result or {}).items():
        tops = [name for name in found if name.startswith("top")]
        rest = ", ".join(f"top-{name[3:]} {100 * found[name]:.2f} %" for name in tops[1:])
        cards.append(Card(f"{_capital(split)} top-{tops[0][3:]}", f"{100 * found[tops[0]]:.2f} %", rest))
    sections = [
        Section(
            "Learning curve", [_capital(line) for line in result_lines(history, result)], training_figures(history)
        ),
        Section("Network", code=str(settings.get("notation", ""))),
        made(manifest),
    ]
    return Page(run.name, _subtitle(manifest, time_line(history)), cards, sections)


def made(manifest: Mapping[str, Any]) -> Section:
    """How a run was made: everything that run.toml says."""
    about = _table(manifest, "run")
    names = ("command", "versions")
    grids = [
        ("run", _listing({name: value for name, value in about.items() if name not in names})),
        ("versions", _listing(_table(about, "versions"))),
        ("settings", _listing(_table(manifest, "settings"))),
        ("limits", _listing(_table(manifest, "limits"))),
        ("data", _listing(_table(manifest, "data"))),
    ]
    filled = [(title, grid) for title, grid in grids if grid.cells]
    return Section("How the run was made", grids=filled, code=str(about.get("command", "")))


def _listing(values: Mapping[str, Any]) -> Grid:
    return Grid(("", ""), "ll", [(name, value) for name, value in _flat(values) if value])


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        elif isinstance(value, list):
            more = f" and {len(value) - CLASSES} more" if len(value) > CLASSES else ""
            yield f"{prefix}{name}", ", ".join(map(str, value[:CLASSES])) + more
        else:
            yield f"{prefix}{name}", str(value)

"""What is printed about a coefficient search: the ranking, what is too close to call, the fit, and the family."""

from collections.abc import Sequence
from dataclasses import asdict, astuple
from typing import Any

from effsearch.errors import RunError
from effsearch.families import find
from effsearch.reports.architecture_tables import family_table
from effsearch.reports.ranking_table import half_width, noise_line, ranking_table
from effsearch.reports.summary import captions, counts_line
from effsearch.reports.surface import Surface, fit_surface
from effsearch.reports.text_table import NOTATION_FROM, TextTable, console
from effsearch.runs.folder import Run
from effsearch.runs.ranking import Noise, Row, is_tie, measure_noise
from effsearch.runs.settings import GridSettings
from effsearch.scaling import Coefficients

AXES = ("alpha", "beta", "gamma")
ANSWER = "candidate"
"""Prefix of a candidate's source; other networks are references and cannot be the answer."""


def winner(rows: Sequence[Row]) -> Row | None:
    """The best candidate of the ranking, leaving out references."""
    return next(iter(_answers(rows)), None)


def _answers(rows: Sequence[Row]) -> list[Row]:
    return [row for row in rows if row.rank is not None and row.source.startswith(ANSWER)]


def coefficients_of(row: Row) -> Coefficients:
    """What a network was grown by; raises RunError where the ranking does not say."""
    if row.alpha is None or row.beta is None or row.gamma is None:
        raise RunError(f"network {row.key} of the ranking does not say what it was grown by")
    return Coefficients(row.alpha, row.beta, row.gamma)


def coefficients_document(run: Run, rows: Sequence[Row]) -> dict[str, Any] | None:
    """For coefficients.json: the answer, how sure it is, and the optimum of the fit; None without an answer."""
    best = winner(rows)
    if best is None:
        return None
    settings, found = run.settings(GridSettings), coefficients_of(best)
    surface = fit_surface(rows, measure_noise(rows), settings.grid.target)
    return {
        **asdict(found),
        "baseline": settings.baseline,
        "phi": settings.grid.phi,
        "accuracy": best.accuracy,
        "seeds": best.seeds,
        "reward": best.reward,
        "flops_ratio_to_target": best.target_ratio,
        "tied": [[row.alpha, row.beta, row.gamma] for row in tied(rows) if row.key != best.key],
        "fit": None if surface is None else _fit_document(surface),
    }


def _fit_document(surface: Surface) -> dict[str, Any]:
    intervals = {f"{name}_80": list(surface.interval(axis)) for axis, name in enumerate(AXES)}
    return {**asdict(surface.best), **intervals, "networks": surface.networks}


def tied(rows: Sequence[Row]) -> list[Row]:
    """The candidates that are tied with the best one within the noise between seeds, itself included."""
    best, noise = winner(rows), measure_noise(rows)
    if best is None:
        return []
    return [row for row in _answers(rows) if row.key == best.key or is_tie(best, row, noise)]


def print_coefficients(run: Run, rows: Sequence[Row], chosen: Sequence[Row]) -> None:
    """The chosen rows of the ranking, then what they say of alpha, beta and gamma."""
    out = console()
    settings, noise = run.settings(GridSettings), measure_noise(rows)
    wide = out.width >= NOTATION_FROM
    out.print(ranking_table(chosen, notation=wide, noise=noise).rich(f"{run.name}: {counts_line(rows)}"))
    out.print_dim(captions(run.manifest()))
    out.print(noise_line(rows))
    best = winner(rows)
    if best is None:
        return
    first, *others = conclusions(settings, rows)
    out.print(f"\n{first}", style="bold")
    for line in (*others, ""):
        out.print(line)
    out.print(grown_family(settings, best).rich(f"{settings.name} grown by these coefficients"))
    out.print(FAMILY_CAPTION, style="dim")


FAMILY_CAPTION = "measured: FLOPs relative to phi = 0; formula: (alpha * beta^2 * gamma^2)^phi"


def grown_family(settings: GridSettings, best: Row) -> TextTable:
    """What the baseline grows into by the coefficients of a row, for phi 0 to 7."""
    return family_table(
        settings.architecture, coefficients_of(best), range(8), settings.grid.rounding, settings.classes
    )


def conclusions(settings: GridSettings, rows: Sequence[Row]) -> list[str]:
    """What a ranking says of alpha, beta and gamma, the answer first; nothing without one."""
    best, noise = winner(rows), measure_noise(rows)
    if best is None:
        return []
    accurate = max((row for row in _answers(rows) if row.epochs == best.epochs), key=lambda row: row.accuracy or 0.0)
    return [
        f"best at equal FLOPs: {_result(best, settings, noise)}",
        *([f"most accurate: {_result(accurate, settings, noise)}"] if accurate.key != best.key else []),
        _close(rows, best),
        _fit_line(fit_surface(rows, noise, settings.grid.target)),
    ]


def _result(row: Row, settings: GridSettings, noise: Noise | None) -> str:
    within = "" if noise is None else f" +- {half_width(row, noise):.1f} points"
    ratio = row.target_ratio * settings.grid.target**settings.grid.phi
    accuracy = f"{100 * (row.accuracy or 0.0):.1f} %{within}"
    return f"{coefficients_of(row)}: {accuracy}, x {ratio:.2f} the FLOPs of {settings.name}"


def _close(rows: Sequence[Row], best: Row) -> str:
    others = [row for row in tied(rows) if row.key != best.key]
    if not others:
        return "no other network comes within the noise of it"
    shown = ", ".join(f"({row.alpha:.4g}, {row.beta:.4g}, {row.gamma:.4g})" for row in others[:6])
    more = f" and {len(others) - 6} more" if len(others) > 6 else ""
    return f"too close to call: {shown}{more} (alpha, beta, gamma)"


def _fit_line(surface: Surface | None) -> str:
    if surface is None:
        return "fit: none, since too few networks were trained to the end, or none under two seeds"
    intervals = ["{:.2f} to {:.2f}".format(*surface.interval(axis)) for axis in range(3)]
    begin = f"fit through {surface.networks} networks"
    if surface.is_flat:
        spans = ", ".join(f"{name} {interval}" for name, interval in zip(AXES, intervals, strict=True))
        return (
            f"{begin}: these trainings do not tell where the optimum is (80 % intervals: {spans}); more repeats or a "
            "longer proxy would"
        )
    values = zip(AXES, astuple(surface.best), intervals, strict=True)
    optimum = ", ".join(f"{name} {value:.2f} ({interval})" for name, value, interval in values)
    return f"{begin}: optimum at {optimum}, 80 % intervals; networks lie {surface.misfit:.4f} of reward off it"


def grow_command(run: Run, where: str) -> str:
    """The command that grows the baseline by what was found."""
    settings = run.settings(GridSettings)
    what = settings.name if find(settings.name) else f"'{settings.baseline}'"
    return f"effsearch scale {what} --from {run.name} --phi 2{where}   (or --target-flops 2G)"

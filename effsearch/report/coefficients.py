"""What is printed about a coefficient search: the ranking, what is too close to call, the fit, and the family."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from effsearch.architecture import Architecture, parse
from effsearch.errors import EffsearchError, RunError
from effsearch.families import find
from effsearch.report.architecture_tables import family_grid
from effsearch.report.ranking_table import half_width, noise_line, ranking_grid
from effsearch.report.summary import captions, counts_line
from effsearch.report.surface import Surface, fit
from effsearch.report.text_table import NOTATION_FROM, Grid, console
from effsearch.runs.folder import Run
from effsearch.runs.ranking import Noise, Row, is_tie, measure_noise
from effsearch.scaling import Coefficients, Rounding

ANSWER = "candidate"
"""What the source of a network begins with that may be the answer; others are references."""


@dataclass(frozen=True)
class Grown:
    """What a run says of its baseline and constraint."""

    baseline: Architecture
    name: str
    target: float
    phi: float
    rounding: Rounding
    classes: int

    @classmethod
    def of(cls, manifest: Mapping[str, Any]) -> "Grown":
        """Reads run.toml; raises RunError."""
        try:
            settings = manifest["settings"]
            grid = settings["grid"]
            return cls(
                parse(settings["baseline"]),
                str(settings["name"]),
                float(grid["target"]),
                float(grid["phi"]),
                Rounding(**grid["rounding"]),
                int(settings["classes"]),
            )
        except (KeyError, TypeError, ValueError, EffsearchError) as error:
            raise RunError(f"run.toml does not say what was grown: {error}") from None


def winner(rows: Sequence[Row]) -> Row | None:
    """The first of the ranking that may be the answer."""
    return next(iter(_answers(rows)), None)


def _answers(rows: Sequence[Row]) -> list[Row]:
    return [row for row in rows if row.rank is not None and row.source.startswith(ANSWER)]


def coefficients_of(row: Row) -> Coefficients:
    """What a network was grown by; raises RunError where the ranking does not say."""
    if row.alpha is None or row.beta is None or row.gamma is None:
        raise RunError(f"network {row.key} of the ranking does not say what it was grown by")
    return Coefficients(row.alpha, row.beta, row.gamma)


def document(run: Run, rows: Sequence[Row]) -> dict[str, Any] | None:
    """For coefficients.json: the answer, how sure it is, and the optimum of the fit; None without an answer."""
    best = winner(rows)
    if best is None:
        return None
    grown, found = Grown.of(run.manifest()), coefficients_of(best)
    surface = fit(rows, measure_noise(rows), grown.target)
    return {
        "alpha": found.alpha,
        "beta": found.beta,
        "gamma": found.gamma,
        "baseline": grown.baseline.notation,
        "phi": grown.phi,
        "accuracy": best.accuracy,
        "seeds": best.seeds,
        "reward": best.reward,
        "flops_ratio_to_target": best.target_ratio,
        "tied": [[row.alpha, row.beta, row.gamma] for row in tied(rows) if row.key != best.key],
        "fit": None if surface is None else _fit_document(surface),
    }


def _fit_document(surface: Surface) -> dict[str, Any]:
    names = ("alpha", "beta", "gamma")
    intervals = {f"{name}_80": list(surface.interval(axis)) for axis, name in enumerate(names)}
    best = surface.best
    return {"alpha": best.alpha, "beta": best.beta, "gamma": best.gamma, **intervals, "networks": surface.networks}


def tied(rows: Sequence[Row]) -> list[Row]:
    """Those that may be the answer and that the seeds do not tell from the first that may."""
    best, noise = winner(rows), measure_noise(rows)
    if best is None:
        return []
    return [row for row in _answers(rows) if row.key == best.key or is_tie(best, row, noise)]


def print_grid(run: Run, rows: Sequence[Row], chosen: Sequence[Row]) -> None:
    """The chosen rows of the ranking, then what they say of alpha, beta and gamma."""
    out = console()
    manifest = run.manifest()
    grown, noise = Grown.of(manifest), measure_noise(rows)
    wide = out.width >= NOTATION_FROM
    out.print(ranking_grid(chosen, notation=wide, noise=noise).rich(f"{run.name}: {counts_line(rows)}"))
    for line in captions(manifest):
        out.print(line, style="dim")
    out.print(noise_line(rows))
    best = winner(rows)
    if best is None:
        return
    out.print()
    first, *others = conclusions(grown, rows)
    out.print(first, style="bold")
    for line in others:
        out.print(line)
    out.print()
    out.print(grown_family(grown, best).rich(f"{grown.name} grown by these coefficients"))
    out.print(FAMILY_CAPTION, style="dim")


FAMILY_CAPTION = "measured: FLOPs relative to phi = 0; formula: (alpha * beta^2 * gamma^2)^phi"


def grown_family(grown: Grown, best: Row) -> Grid:
    """What the baseline grows into by the coefficients of a row, for phi 0 to 7."""
    return family_grid(grown.baseline, coefficients_of(best), range(8), grown.rounding, grown.classes)


def conclusions(grown: Grown, rows: Sequence[Row]) -> list[str]:
    """What a ranking says of alpha, beta and gamma, the answer first; nothing without one."""
    best, noise = winner(rows), measure_noise(rows)
    if best is None:
        return []
    accurate = max((row for row in _answers(rows) if row.epochs == best.epochs), key=lambda row: row.accuracy or 0.0)
    return [
        f"best at equal FLOPs: {_result(best, grown, noise)}",
        *([f"most accurate: {_result(accurate, grown, noise)}"] if accurate.key != best.key else []),
        _close(rows, best),
        _fit_line(fit(rows, noise, grown.target)),
    ]


def _result(row: Row, grown: Grown, noise: Noise | None) -> str:
    within = "" if noise is None else f" +- {half_width(row, noise):.1f} points"
    ratio = row.target_ratio * grown.target**grown.phi
    return (
        f"{coefficients_of(row)}: {100 * (row.accuracy or 0.0):.1f} %{within}, x {ratio:.2f} the FLOPs of {grown.name}"
    )


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
    names, best = ("alpha", "beta", "gamma"), surface.best
    intervals = ["{:.2f} to {:.2f}".format(*surface.interval(axis)) for axis in range(3)]
    begin = f"fit through {surface.networks} networks"
    if surface.is_flat:
        spans = ", ".join(f"{name} {interval}" for name, interval in zip(names, intervals, strict=True))
        return (
            f"{begin}: these trainings do not tell where the optimum is (80 % intervals: {spans}); more repeats or a "
            "longer proxy would"
        )
    values = zip(names, (best.alpha, best.beta, best.gamma), intervals, strict=True)
    optimum = ", ".join(f"{name} {value:.2f} ({interval})" for name, value, interval in values)
    return f"{begin}: optimum at {optimum}, 80 % intervals; networks lie {surface.misfit:.4f} of reward off it"


def grow_command(run: Run, where: str) -> str:
    """The command that grows the baseline by what was found."""
    grown = Grown.of(run.manifest())
    what = grown.name if find(grown.name) else f"'{grown.baseline.notation}'"
    return f"effsearch scale {what} --from {run.name} --phi 2{where}   (or --target-flops 2G)"

"""What is printed about a coefficient search: the ranking, what is too close to call, the fit, and the family."""

from collections.abc import Sequence
from dataclasses import asdict, astuple, dataclass
from functools import cached_property
from typing import Any

import numpy as np

from effsearch.errors import RunError
from effsearch.families import find
from effsearch.reports.architecture_tables import family_table
from effsearch.reports.ranking_table import captions, counts_line, half_width, noise_line, ranking_table
from effsearch.reports.text_table import NOTATION_FROM, TextTable, console
from effsearch.runs.folder import Run
from effsearch.runs.ranking import Noise, Row, is_tie, measure_noise
from effsearch.runs.settings import GridSettings
from effsearch.runs.surface import LEAST_NETWORKS, Surface, fit_surface
from effsearch.scaling import Coefficients

NAMES = ("alpha", "beta", "gamma")
ANSWER = "candidate"  # how the source of a candidate begins; other networks are references and cannot be the answer
UNTOLD = 0.5  # share of its range from which the interval of a coefficient does not tell it
FAMILY_CAPTION = "measured: FLOPs relative to phi = 0; formula: (alpha * beta^2 * gamma^2)^phi"


@dataclass(frozen=True)
class Answer:
    """What a ranking says of alpha, beta and gamma: the ranked `candidates`, the best first, without references."""

    settings: GridSettings
    rows: Sequence[Row]
    candidates: Sequence[Row]

    @classmethod
    def of(cls, settings: GridSettings, rows: Sequence[Row]) -> "Answer | None":
        """The answer, or None as long as no candidate is ranked."""
        candidates = [row for row in rows if row.rank is not None and row.source.startswith(ANSWER)]
        return cls(settings, rows, candidates) if candidates else None

    @property
    def best(self) -> Row:
        return self.candidates[0]

    @property
    def coefficients(self) -> Coefficients:
        return _coefficients_of(self.best)

    @cached_property
    def noise(self) -> Noise | None:
        return measure_noise(self.rows)

    @cached_property
    def surface(self) -> Surface | None:
        return fit_surface(self.rows, self.settings.grid.target)

    @property
    def tied(self) -> list[Row]:
        """The other candidates that are tied with the best within the noise between seeds."""
        return [row for row in self.candidates[1:] if is_tie(self.best, row, self.noise)]

    def family(self) -> TextTable:
        """What the baseline grows into by the coefficients found, for phi 0 to 7."""
        baseline, rounding = self.settings.architecture, self.settings.grid.rounding
        return family_table(baseline, self.coefficients, range(8), rounding, self.settings.classes)

    def document(self) -> dict[str, Any]:
        """For coefficients.json: the answer, how sure it is, and the optimum of the fit."""
        best, surface, fit = self.best, self.surface, None
        if surface is not None:
            intervals = {f"{name}_80": list(surface.interval(axis)) for axis, name in enumerate(NAMES)}
            counts = {"networks": len(surface.networks.keys), "trainings": surface.trainings}
            sds = {"accuracy_per_doubling": surface.slope, "noise_sd": surface.noise, "misfit_sd": surface.misfit}
            fit = {**asdict(surface.best), **intervals, **counts, **sds}
        return {
            **asdict(self.coefficients),
            "baseline": self.settings.baseline,
            "phi": self.settings.grid.phi,
            "accuracy": best.accuracy,
            "seeds": best.seeds,
            "reward": best.reward,
            "flops_ratio_to_target": best.target_ratio,
            "tied": [[row.alpha, row.beta, row.gamma] for row in self.tied],
            "fit": fit,
        }

    def lines(self) -> list[str]:
        """The answer in words, then the most accurate network if it is another, what is tied, and the fit."""
        best, trained_alike = self.best, [row for row in self.candidates if row.epochs == self.best.epochs]
        accurate = max(trained_alike, key=lambda row: row.accuracy or 0.0)
        return [
            f"best at equal FLOPs: {self._result(best)}",
            *([f"most accurate: {self._result(accurate)}"] if accurate.key != best.key else []),
            _tied_line(self.tied, self.noise),
            *_fit_lines(self.surface),
        ]

    def _result(self, row: Row) -> str:
        within = "" if self.noise is None else f" +- {half_width(row, self.noise):.1f} points"
        ratio = row.target_ratio * self.settings.grid.target**self.settings.grid.phi
        accuracy = f"{100 * (row.accuracy or 0.0):.1f} %{within}"
        return f"{_coefficients_of(row)}: {accuracy}, x {ratio:.2f} the FLOPs of {self.settings.name}{_judged(row)}"


def _judged(row: Row) -> str:
    if row.expected is None or row.probability_best is None:
        return ""
    best = f"the best of those trained with a probability of {100 * row.probability_best:.0f} %"
    return f"; {100 * row.expected:.1f} % to be expected at equal FLOPs, {best}"


def _coefficients_of(row: Row) -> Coefficients:
    if row.alpha is None or row.beta is None or row.gamma is None:
        raise RunError(f"network {row.key} of the ranking does not say what it was grown by")
    return Coefficients(row.alpha, row.beta, row.gamma)


def _tied_line(tied: Sequence[Row], noise: Noise | None) -> str:
    if noise is None:
        return "how close the others come is not known, since no network was trained under two seeds"
    if not tied:
        return "no other network comes within the noise of it"
    shown = ", ".join(f"({row.alpha:.4g}, {row.beta:.4g}, {row.gamma:.4g})" for row in tied[:6])
    more = f" and {len(tied) - 6} more" if len(tied) > 6 else ""
    return f"too close to call: {shown}{more} (alpha, beta, gamma)"


def _fit_lines(surface: Surface | None) -> list[str]:
    if surface is None:
        return [f"fit: none, since fewer than {LEAST_NETWORKS} networks were trained to the end"]
    begin = f"fit through {len(surface.networks.keys)} networks and {surface.trainings} trainings"
    intervals = ["{:.2f} to {:.2f}".format(*surface.interval(axis)) for axis in range(3)]
    values = zip(NAMES, astuple(surface.best), intervals, strict=True)
    optimum = ", ".join(f"{name} {value:.2f} ({interval})" for name, value, interval in values)
    lines = [f"{begin}: optimum at {optimum}, 80 % intervals", _fitted_line(surface)]
    if surface.is_flat:
        spans = ", ".join(f"{name} {interval}" for name, interval in zip(NAMES, intervals, strict=True))
        more = _rounded(max(map(surface.trainings_needed, range(3))))
        lines[0] = (
            f"{begin}: these trainings do not tell where the optimum is (80 % intervals: {spans}); it would take more "
            f"than {more} more of them"
        )
        return lines
    for axis in np.flatnonzero(surface.widths > UNTOLD).tolist():
        more = _rounded(surface.trainings_needed(axis))
        lines.append(
            f"{NAMES[axis]} is not told by these trainings ({intervals[axis]}): about {more} more would be needed"
        )
    return lines


def _fitted_line(surface: Surface) -> str:
    slope, noise, misfit = (f"{100 * value:.1f}" for value in (surface.slope, surface.noise, surface.misfit))
    return (
        f"fitted: a doubling of FLOPs brings {slope} points; sd between seeds {noise} points, and of networks off the "
        f"surface {misfit}"
    )


def _rounded(count: int) -> str:
    """A count with two digits, since it is known no better."""
    return f"{int(float(f'{count:.2g}')):,}"


def print_coefficients(run: Run, rows: Sequence[Row], chosen: Sequence[Row]) -> None:
    """The chosen rows of the ranking, then what they say of alpha, beta and gamma."""
    out, settings = console(), run.settings(GridSettings)
    table = ranking_table(chosen, notation=out.width >= NOTATION_FROM, noise=measure_noise(rows))
    out.print(table.rich(f"{run.name}: {counts_line(rows)}"))
    out.print_dim(captions(run.manifest()))
    out.print(noise_line(rows))
    answer = Answer.of(settings, rows)
    if answer is None:
        return
    first, *others = answer.lines()
    out.print(f"\n{first}", style="bold")
    for line in (*others, ""):
        out.print(line)
    out.print(answer.family().rich(f"{settings.name} grown by these coefficients"))
    out.print(FAMILY_CAPTION, style="dim")


def grow_command(run: Run, where: str) -> str:
    """The command that grows the baseline by what was found."""
    settings = run.settings(GridSettings)
    what = settings.name if find(settings.name) else f"'{settings.baseline}'"
    return f"effsearch scale {what} --from {run.name} --phi 2{where}   (or --target-flops 2G)"

"""What long trainings say of networks that a search found: means, paired differences, and what follows in words."""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path

import pandas as pd
from scipy import stats

from effsearch.costs import CONVENTION, Cost, cost
from effsearch.errors import RunError
from effsearch.families import EFFICIENTNET_B0
from effsearch.reports.ranking_table import write_rows
from effsearch.reports.text_table import Columns, TextTable, cell, console
from effsearch.runs.comparison import MOST_SEEDS, Estimate, PairedModel
from effsearch.runs.folder import Run
from effsearch.runs.history import read_history
from effsearch.runs.manifest import Manifest
from effsearch.runs.records import Record
from effsearch.runs.settings import VerifiedNetwork, VerifySettings
from effsearch.scaling import AXES
from effsearch.text import counted, format_count, sanitize

FOUND, COMPOUND, RANDOM = "found", "compound", "random"
REFERENCES = ("paper", *AXES, "baseline")  # of a grid, by the names of its cells
ROLES = (FOUND, COMPOUND, RANDOM, *REFERENCES)  # which no network that is named otherwise may have
LEAST_FOR_TAU = 4  # networks in both runs; the order of fewer is said in words
PLAN_CAPTION = "in the run: accuracy there (%), where it trained the network as long as its first"


@dataclass(frozen=True)
class VerifiedRow:
    """A network after long training: its mean accuracy over `seeds` trainings, and its difference to that of another.

    All are fractions with the ends of their 95 % intervals; None where trainings do not tell. The other is the network
    of comparison, which has no difference.
    """

    key: str
    notation: str
    role: str
    flops: int
    params: int
    accuracy: float | None
    accuracy_low: float | None
    accuracy_high: float | None
    seeds: int
    difference: float | None
    difference_low: float | None
    difference_high: float | None


class Verification:
    """The trainings of a run that verifies another, by its records."""

    def __init__(self, settings: VerifySettings, records: Sequence[Record]) -> None:
        self.settings = settings
        self.networks = {network.architecture.key: network for network in settings.networks}
        self.names = dict(zip(self.networks, map(sanitize, settings.names), strict=True))
        self.run = sanitize(settings.run)
        found: dict[str, dict[int, float]] = {key: {} for key in self.networks}
        for record in records:
            key = record.candidate.key
            if record.accuracy is not None and record.epochs == settings.proxy.epochs and key in found:
                found[key][record.candidate.seed] = record.accuracy
        self.accuracies = found
        self.model = PairedModel(found) if any(found.values()) else None

    @classmethod
    def read(cls, run: Run) -> "Verification":
        """The verification of a run's folder; raises RunError where its trainings are not known."""
        if (history := read_history(run)) is None:
            raise RunError(f"run {run.name} has no journal, so the accuracy under each seed is not known")
        return cls(run.settings(VerifySettings), history.records)

    @cached_property
    def compared(self) -> str | None:
        """The network that others are compared with: B0, of a grid the best single axis, else the first rival."""
        trained = {key: network for key, network in self.networks.items() if self.accuracies[key]}
        axes = [key for key, network in trained.items() if network.role in AXES]
        b0 = [key for key, network in trained.items() if _is_b0(network) and network.role not in (FOUND, COMPOUND)]
        if axes and any(network.role == COMPOUND for network in self.networks.values()):
            return max(axes, key=lambda key: self._mean(key).value)
        others = [key for key, network in trained.items() if network.role not in (FOUND, COMPOUND)]
        return next(iter([*b0, *others, *list(trained)[1:]]), None)

    @property
    def choices(self) -> int:
        """How many networks the one of comparison is the best of, by these trainings."""
        roles = [network.role for network in self.networks.values()]
        return max(1, sum(role in AXES for role in roles)) if COMPOUND in roles else 1

    @cached_property
    def rows(self) -> list[VerifiedRow]:
        return [self._row(key, network) for key, network in self.networks.items()]

    def cost(self, key: str) -> Cost:
        return cost(self.networks[key].architecture, classes=self.settings.classes)

    def lines(self) -> list[str]:
        """What follows, in words: of each network found against the others, and of the order that the run saw."""
        found = [key for key, network in self.networks.items() if network.role in (FOUND, COMPOUND)]
        randoms = [key for key, network in self.networks.items() if network.role == RANDOM and self.accuracies[key]]
        lines = []
        for key in found:
            if not self.accuracies[key]:
                lines.append(f"{self.names[key]}: no training has finished")
                continue
            if self.compared is not None and key != self.compared:
                lines.append(self._verdict(key, self.names[self.compared], [self.compared], self.choices))
            if len(randoms) > 1:
                lines.append(self._verdict(key, f"the mean of {len(randoms)} random networks", randoms))
        return [*lines, self._agreement()]

    def _row(self, key: str, network: VerifiedNetwork) -> VerifiedRow:
        total, seeds = self.cost(key), len(self.accuracies[key])
        mean = self._mean(key) if seeds else None
        against = None
        if seeds and self.model is not None and self.compared not in (None, key):
            against = self.model.difference(key, [str(self.compared)], self.choices)
        return VerifiedRow(
            *(key, network.notation, sanitize(network.role), total.flops, total.params),
            *_numbers(mean),
            seeds,
            *_numbers(against),
        )

    def _mean(self, key: str) -> Estimate:
        assert self.model is not None
        return self.model.mean(key)

    def _verdict(self, key: str, other: str, others: Sequence[str], choices: int = 1) -> str:
        """Whether a network is better than others, and how sure that is."""
        assert self.model is not None
        name, by = self.names[key], self.model.difference(key, others, choices)
        if by is None:
            return f"{name} and {other} share no seed, so they cannot be compared"
        ratio = self.cost(key).flops * len(others) / sum(self.cost(each).flops for each in others)
        cost = f"at {ratio:.2f} of {'its' if len(others) == 1 else 'their'} FLOPs"
        points = 100 * by.value
        if by.low is None or by.high is None:
            return f"{name} against {other}: {points:+.1f} points, {cost}, under too few seeds for an interval"
        if by.low > 0:
            return f"{name} is better than {other} by {points:.1f} points ({_span(by.low, by.high)}), {cost}"
        if by.high < 0:
            return f"{name} is worse than {other} by {-points:.1f} points ({_span(-by.high, -by.low)}), {cost}"
        needed = self.model.seeds_needed(by.value, len(others), choices)
        count = f"more than {MOST_SEEDS:,} seeds" if needed is None else f"about {counted(needed, 'seed')}"
        return (
            f"{name} is not told apart from {other}: {points:+.1f} points ({_span(by.low, by.high)}), {cost}; {count} "
            "would be needed"
        )

    def _agreement(self) -> str:
        """How the run's own ranking agrees with what long training says."""
        pairs = [(key, each.accuracy) for key, each in self.networks.items() if self.accuracies[key]]
        before = {key: accuracy for key, accuracy in pairs if accuracy is not None}
        if len(before) < 2:
            return f"{self.run} trained too few of these networks to say whether its order holds"
        after = {key: self._mean(key).value for key in before}
        tau = float(stats.kendalltau(list(before.values()), list(after.values())).statistic)
        if len(before) >= LEAST_FOR_TAU and not math.isnan(tau):
            return f"Kendall's tau between accuracies in {self.run} and here: {tau:.2f} ({len(before)} networks)"
        then, now = (self._order(accuracies) for accuracies in (before, after))
        if then == now:
            return f"the order of accuracies in {self.run} holds: {now}"
        return f"the order of accuracies in {self.run} was {then}; after long training it is {now}"

    def _order(self, accuracies: dict[str, float]) -> str:
        return " > ".join(self.names[key] for key in sorted(accuracies, key=lambda key: -accuracies[key]))


def _is_b0(network: VerifiedNetwork) -> bool:
    found = network.architecture
    return found.key == replace(EFFICIENTNET_B0, resolution=found.resolution).key


def _numbers(estimate: Estimate | None) -> tuple[float | None, float | None, float | None]:
    return (None, None, None) if estimate is None else (estimate.value, estimate.low, estimate.high)


def _span(low: float, high: float) -> str:
    return f"95 % interval {100 * low:.1f} to {100 * high:.1f}"


def plan_table(settings: VerifySettings) -> TextTable:
    """The networks that are to be trained, with what they cost."""
    return _table(Verification(settings, ()), ("network", "FLOPs", "params", "in the run", "key"))


def verified_table(of: Verification) -> TextTable:
    """One line for each network: cost, accuracy, and the difference to the network of comparison."""
    headings = ["network", "FLOPs", "F/F0", "params", "acc %", "+- (n)", "difference", "+-", "in the run", "key"]
    return _table(of, headings if of.compared is not None else [name for name in headings if name != "F/F0"])


def _table(of: Verification, headings: Sequence[str]) -> TextTable:
    base = of.cost(of.compared).flops if of.compared is not None else 1
    columns: Columns[VerifiedRow] = (
        ("network", "l", lambda row: of.names[row.key]),
        ("FLOPs", "r", lambda row: format_count(row.flops)),
        ("F/F0", "r", lambda row: f"{row.flops / base:.2f}"),
        ("params", "r", lambda row: format_count(row.params)),
        ("acc %", "r", lambda row: cell(row.accuracy, ".1f", 100)),
        ("+- (n)", "r", _accuracy_interval),
        ("difference", "r", lambda row: cell(row.difference, "+.1f", 100)),
        ("+-", "r", lambda row: _half(row.difference, row.difference_high)),
        ("in the run", "r", lambda row: cell(of.networks[row.key].accuracy, ".1f", 100)),
        ("key", "l", lambda row: row.key),
    )
    return TextTable.of([column for column in columns if column[0] in headings], of.rows)


def _accuracy_interval(row: VerifiedRow) -> str:
    return f"{_half(row.accuracy, row.accuracy_high)} ({row.seeds})".lstrip() if row.seeds else ""


def _half(value: float | None, high: float | None) -> str:
    return "" if value is None or high is None else f"{100 * (high - value):.1f}"


def verification_captions(of: Verification, manifest: Manifest) -> list[str]:
    """What the numbers of the table are."""
    settings, proxy, data = of.settings, of.settings.proxy, manifest.data
    sides = {network.architecture.resolution for network in settings.networks}
    side = "each network's own px" if len(sides) > 1 else f"{settings.resolution} px"
    kind = " (synthetic images)" if data.synthetic else ""
    epochs, before = counted(proxy.epochs, "epoch"), counted(settings.run_epochs, "epoch")
    before += f" of {settings.run_images:,}" if settings.run_images else ""
    compared = "" if of.compared is None else f"F/F0 and difference: to {of.names[of.compared]}; "
    best = f", and of {of.choices} together, since the best of these is compared with" if of.choices > 1 else ""
    return [
        f"acc: {settings.split} top-1 on {data.name}{kind}, {len(data.classes)} classes, after {epochs} of "
        f"{counted(data.train, 'image')} ({of.run} had {before}; {proxy.name} proxy, {proxy.resolution} px, channels x "
        f"{proxy.width:g}), mean over n seeds that {of.run} did not use",
        f"{compared}+-: half of the 95 % interval; differences are paired by seeds, in points of accuracy{best}",
        PLAN_CAPTION,
        f"{CONVENTION}, at {side} and {settings.classes} classes",
    ]


def print_verification(run: Run, of: Verification) -> None:
    """The table of a run that verifies another, and what its numbers are."""
    out, done = console(), sum(map(len, of.accuracies.values()))
    out.print(
        verified_table(of).rich(f"{run.name}: {counted(done, 'training')} of {counted(len(of.networks), 'network')}")
    )
    out.print_dim(verification_captions(of, run.manifest()))


def verification_json(of: Verification) -> str:
    return json.dumps([asdict(row) for row in of.rows], indent=2)


def verification_frame(of: Verification) -> pd.DataFrame:
    """One line for each network."""
    return pd.DataFrame([asdict(row) for row in of.rows])


def show_verification(run: Run, form: str, out: Path | None = None) -> None:
    """Prints a run that verifies another, or writes its rows to a file; raises RunError, ReportError."""
    of = Verification.read(run)
    if out is not None:
        write_rows(out, lambda: verification_frame(of), lambda: verification_json(of))
        print(f"wrote {counted(len(of.rows), 'row')} to {out}")
        return
    show_verified(run, of, form)
    if form in ("table", "markdown"):
        out_of = console(wide=False)
        for line in of.lines():
            out_of.print(line, soft_wrap=form == "markdown")


def show_verified(run: Run, of: Verification, form: str) -> None:
    """Prints the networks of a verification as a table with its captions, csv, json or markdown."""
    if form == "json":
        print(verification_json(of))
    elif form == "csv":
        print(verification_frame(of).to_csv(index=False), end="")
    elif form == "markdown":
        captions = map(sanitize, verification_captions(of, run.manifest()))
        print(verified_table(of).markdown(), "\n".join(captions), sep="\n\n")
    else:
        print_verification(run, of)

"""Completes a benchmark table: a predictor fitted to its rows stands in for those that it lacks."""

import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from scipy.stats import kendalltau

from effsearch.benchmark_table import Entry, Quality, Table, notation
from effsearch.engine.gaussian_process import Array, Encoding, Posterior, fit, unknown
from effsearch.errors import TableError
from effsearch.evaluation.tables import Listing
from effsearch.space import FieldValues

FITTED = 400
"""Rows that the parameters of a predictor are fitted to."""

MOST = {"accuracy": 4000, "flops": 2500, "params": 2500}
"""Rows that a predictor is conditioned on: its cost grows with their cube."""

AT_ONCE, ALL = 1000, 100_000
"""Rows that are predicted together; so many combinations are predicted at once, of more those that are asked for."""

LEAST_ROWS = 20
"""Rows without which there is nothing to fit."""


@dataclass(frozen=True)
class Predictor:
    """One measurement of any combination of choices, learnt as it is or by its logarithm, within `low` and `high`."""

    encoding: Encoding
    posterior: Posterior
    centre: float
    spread: float
    logarithm: bool
    low: float
    high: float

    def __call__(self, codes: Array) -> Array:
        """The expected values for encoded networks."""
        return self.scaled(self.posterior.mean(unknown(codes)))

    def scaled(self, standard: Array) -> Array:
        """Standardised values as they are measured."""
        found = standard * self.spread + self.centre
        return np.clip(np.exp(found) if self.logarithm else found, self.low, self.high)

    @property
    def left_out(self) -> tuple[Array, Array]:
        """Each of its rows as it is predicted from the others, and as it is."""
        return self.scaled(self.posterior.left_out()), self.scaled(self.posterior.values)


@dataclass
class Predictions(Mapping[FieldValues, Entry]):
    """An entry for each combination of choices: the row where there is one, else predicted when it is asked for."""

    listing: Listing
    predictors: Mapping[str, Predictor]
    found: dict[FieldValues, Entry] = field(default_factory=dict)

    @cached_property
    def _names(self) -> list[str]:
        return [decision.name for decision in self.listing.table.decisions]

    @cached_property
    def _choices(self) -> list[frozenset[object]]:
        return [frozenset(decision.choices) for decision in self.listing.table.decisions]

    def __len__(self) -> int:
        return self.listing.combinations

    def __iter__(self) -> Iterator[FieldValues]:
        return itertools.product(*(decision.choices for decision in self.listing.table.decisions))

    def __getitem__(self, row: FieldValues) -> Entry:
        listed = self.listing.table.entries.get(row)
        if listed is not None:
            return listed
        if row not in self.found:
            if len(row) != len(self._choices) or any(v not in c for v, c in zip(row, self._choices, strict=True)):
                raise KeyError(row)
            self.prepare([row])
        return self.found[row]

    def prepare(self, rows: Iterable[FieldValues]) -> None:
        """Predicts many at once, in a fraction of the time that one after another takes."""
        entries = self.listing.table.entries
        missing = [row for row in rows if row not in entries and row not in self.found]
        for start in range(0, len(missing), AT_ONCE):
            some = missing[start : start + AT_ONCE]
            values = [dict(zip(self._names, row, strict=True)) for row in some]
            codes = self.predictors["accuracy"].encoding.encode(values)
            got = {name: predictor(codes) for name, predictor in self.predictors.items()}
            params = got.get("params", np.zeros(len(some)))
            columns = got["accuracy"].tolist(), got["flops"].tolist(), params.tolist()
            for row, point, *(accuracy, flops, param) in zip(some, values, *columns, strict=True):
                self.found[row] = Entry(notation(point), accuracy, flops, param, predicted=True)


def complete(listing: Listing) -> tuple[Table, list[Quality]]:
    """The table with all combinations, and how well they are predicted; raises TableError for too few rows."""
    table = listing.table
    if table.size < LEAST_ROWS:
        raise TableError(
            f"table {table.name} has {table.size} of {listing.combinations:,} combinations, too few to predict the "
            f"others (at least {LEAST_ROWS}); search its rows alone by --pool"
        )
    values = list(table.walk())
    rows = [table.decode(point) for point in values]
    measured = {"accuracy": np.array([entry.accuracy for entry in rows])}
    measured["flops"] = np.array([entry.flops for entry in rows])
    if all(entry.params > 0 for entry in rows):
        measured["params"] = np.array([entry.params for entry in rows])
    encoding = Encoding(table.decisions)
    codes = encoding.encode(values)
    predictors, qualities = {}, []
    for name, column in measured.items():
        predictors[name] = predictor = _train(encoding, codes, column, name)
        guessed, true = predictor.left_out
        tau = float(kendalltau(guessed, true).statistic)
        qualities.append(Quality(name, _error(predictor, relative=name != "accuracy"), tau, len(true)))
    entries = Predictions(listing, predictors)
    if len(entries) <= ALL:
        entries.prepare(entries)
    return Table(table.name, table.decisions, entries), qualities


def _error(predictor: Predictor, relative: bool) -> float:
    guessed, true = predictor.left_out
    return float(np.sqrt(np.mean(np.square((guessed - true) / (true if relative else 1.0)))))


def _train(encoding: Encoding, codes: Array, column: Array, name: str) -> Predictor:
    """Counts add up in some spaces and multiply in others: on a few rows both are tried."""
    order = np.random.default_rng(0).permutation(len(column))
    few, many = codes[order[:FITTED]], codes[order[: MOST[name]]]
    accuracy = name == "accuracy"
    low, high = (0.0, 1.0) if accuracy else (float(column.min()) / 4, float(column.max()) * 4)
    tried = []
    for logarithm in (False,) if accuracy else (False, True):
        values = np.log(column) if logarithm else column
        centre, spread = float(values.mean()), max(float(values.std()), 1e-12)
        standard = (values - centre) / spread
        kernel = fit(encoding, unknown(few), standard[order[:FITTED]])
        small = Posterior(kernel, unknown(few), standard[order[:FITTED]])
        predictor = Predictor(encoding, small, centre, spread, logarithm, low, high)
        tried.append((_error(predictor, relative=not accuracy), predictor, standard))
    _, best, standard = min(tried, key=lambda found: found[0])
    whole = Posterior(best.posterior.kernel, unknown(many), standard[order[: MOST[name]]])
    return replace(best, posterior=whole)

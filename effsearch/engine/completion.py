"""Completes a benchmark table: Gaussian processes fitted to its rows predict the missing ones."""

import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from scipy.stats import kendalltau

from effsearch.benchmark_table import Entry, Quality, Table, notation
from effsearch.engine.gaussian_process import Array, Encoding, Points, Posterior, fit
from effsearch.errors import TableError
from effsearch.evaluation.tables import Listing
from effsearch.space import FieldValues

FITTED = 400  # the hyperparameters are fitted to this many random rows at most
MOST = {"accuracy": 4000, "flops": 2500, "params": 2500}  # rows to condition on, at most: time grows with their cube
BATCH, ALL = 1000, 100_000  # rows predicted together; size of a space up to which all are predicted beforehand
LEAST_ROWS = 20  # with fewer rows a table is not completed


@dataclass(frozen=True)
class Predictor:
    """Predicts one measurement, clipped to `low`..`high`; `posterior` has it, or its logarithm, standardised."""

    encoding: Encoding
    posterior: Posterior
    centre: float
    spread: float
    logarithm: bool
    low: float
    high: float

    def __call__(self, codes: Array) -> Array:
        return self._measurements(self.posterior.mean(Points.of(codes)))

    def _measurements(self, standard: Array) -> Array:
        """Undoes the standardisation, and the logarithm if there is one."""
        found = standard * self.spread + self.centre
        return np.asarray(np.clip(np.exp(found) if self.logarithm else found, self.low, self.high))

    @property
    def leave_one_out(self) -> tuple[Array, Array]:
        """Of each row that the posterior is conditioned on: its prediction from all others, and its measurement."""
        return self._measurements(self.posterior.leave_one_out()), self._measurements(self.posterior.values)

    def error(self, relative: bool) -> float:
        """The root mean square of the leave-one-out errors."""
        predicted, true = self.leave_one_out
        return float(np.sqrt(np.mean(np.square((predicted - true) / (true if relative else 1.0)))))


@dataclass
class Predictions(Mapping[FieldValues, Entry]):
    """Maps every combination of choices to its entry: the table's if it has one, else a prediction, kept in `found`."""

    listing: Listing
    predictors: Mapping[str, Predictor]
    found: dict[FieldValues, Entry] = field(default_factory=dict)

    def __len__(self) -> int:
        return self.listing.combinations

    def __iter__(self) -> Iterator[FieldValues]:
        return itertools.product(*(decision.choices for decision in self.listing.table.decisions))

    def __getitem__(self, row: FieldValues) -> Entry:
        if (listed := self.listing.table.entries.get(row)) is not None:
            return listed
        if row not in self.found:
            decisions = self.listing.table.decisions
            if len(row) != len(decisions) or any(v not in d.choices for v, d in zip(row, decisions, strict=True)):
                raise KeyError(row)
            self.prepare([row])
        return self.found[row]

    def prepare(self, rows: Iterable[FieldValues]) -> None:
        """Predicts the missing ones of these rows in batches, much faster than one at a time."""
        entries, names = self.listing.table.entries, [decision.name for decision in self.listing.table.decisions]
        missing = [row for row in rows if row not in entries and row not in self.found]
        for start in range(0, len(missing), BATCH):
            some = missing[start : start + BATCH]
            values = [dict(zip(names, row, strict=True)) for row in some]
            codes = self.predictors["accuracy"].encoding.encode(values)
            got = {name: predictor(codes) for name, predictor in self.predictors.items()}
            params = got.get("params", np.zeros(len(some)))
            columns = got["accuracy"].tolist(), got["flops"].tolist(), params.tolist()
            for row, point, *(accuracy, flops, param) in zip(some, values, *columns, strict=True):
                self.found[row] = Entry(notation(point), accuracy, flops, param, predicted=True)


def complete(listing: Listing) -> tuple[Table, list[Quality]]:
    """The table with missing rows predicted, and how good predictions are; raises TableError for too few rows."""
    table = listing.table
    if table.size < LEAST_ROWS:
        raise TableError(
            f"table {table.name} has {table.size} of {listing.combinations:,} combinations, too few to predict the "
            f"others (at least {LEAST_ROWS}); search its rows alone by --pool"
        )
    values, encoding = list(table.walk()), Encoding(table.decisions)
    rows = [table.decode(point) for point in values]
    measured = {name: np.array([getattr(entry, name) for entry in rows]) for name in MOST}
    if not all(measured["params"] > 0):
        del measured["params"]
    codes = encoding.encode(values)
    predictors, qualities = {}, []
    for name, column in measured.items():
        predictors[name] = predictor = _train(encoding, codes, column, name)
        predicted, true = predictor.leave_one_out
        tau = float(kendalltau(predicted, true).statistic)
        qualities.append(Quality(name, predictor.error(relative=name != "accuracy"), tau, len(true)))
    entries = Predictions(listing, predictors)
    if len(entries) <= ALL:
        entries.prepare(entries)
    return Table(table.name, table.decisions, entries), qualities


def _train(encoding: Encoding, codes: Array, column: Array, name: str) -> Predictor:
    """Fits one measurement; FLOPs and params, which may be products, also as logarithms, if that predicts better."""
    order = np.random.default_rng(0).permutation(len(column))
    few, many = codes[order[:FITTED]], codes[order[: MOST[name]]]
    accuracy = name == "accuracy"
    low, high = (0.0, 1.0) if accuracy else (float(column.min()) / 4, float(column.max()) * 4)
    tried = []
    for logarithm in (False,) if accuracy else (False, True):
        values = np.log(column) if logarithm else column
        centre, spread = float(values.mean()), max(float(values.std()), 1e-12)
        standard = (values - centre) / spread
        kernel = fit(encoding, Points.of(few), standard[order[:FITTED]])
        small = Posterior(kernel, Points.of(few), standard[order[:FITTED]])
        predictor = Predictor(encoding, small, centre, spread, logarithm, low, high)
        tried.append((predictor.error(relative=not accuracy), predictor, standard))
    _, best, standard = min(tried, key=lambda found: found[0])
    whole = Posterior(best.posterior.kernel, Points.of(many), standard[order[: MOST[name]]])
    return replace(best, posterior=whole)

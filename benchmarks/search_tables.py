"""Benchmark tables of different character: some by formula and seed, three made of Accel-NASBench's trainings."""

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from effsearch.benchmark_table import Entry, Table, notation
from effsearch.costs import cost
from effsearch.evaluation.tables import read_table
from effsearch.families import EFFICIENTNET_B0
from effsearch.space import Decision, Value, Values

Row = tuple[Value, ...]
Codes = NDArray[np.int64]
Array = NDArray[np.float64]


def table(name: str, sizes: Sequence[int], accuracy: Array, flops: Array, texts: bool = False) -> Table:
    """A complete table; choices are numbers, or texts, whose order says nothing."""
    decisions = tuple(
        Decision(f"d{index}", tuple(f"op{value}" if texts else value for value in range(size)))
        for index, size in enumerate(sizes)
    )
    entries = {}
    rows = itertools.product(*(decision.choices for decision in decisions))
    names = [decision.name for decision in decisions]
    for row, reached, count in zip(rows, accuracy.tolist(), flops.tolist(), strict=True):
        text = notation(dict(zip(names, row, strict=True)))
        entries[row] = Entry(text, min(1.0, max(0.0, reached)), round(count), 0.0)
    return Table(name, decisions, entries)


def grid(sizes: Sequence[int]) -> Codes:
    return np.array(list(itertools.product(*map(range, sizes))))


def summed(rng: np.random.Generator, codes: Codes, sizes: Sequence[int]) -> Array:
    """FLOPs that each decision adds to."""
    base = rng.uniform(0.5, 2, len(sizes))
    total = np.full(len(codes), 0.3 * base.sum())
    for index, size in enumerate(sizes):
        levels = np.sort(rng.uniform(0, 1, size))
        levels[0] *= rng.random() < 0.5
        total += base[index] * levels[codes[:, index]]
    return 30e6 * total


def multiplied(rng: np.random.Generator, codes: Codes, sizes: Sequence[int]) -> Array:
    """FLOPs of stages, each the product of two decisions, and of a last decision for all if their number is odd."""
    total = np.full(len(codes), 0.3)
    for index in range(0, len(sizes) - 1, 2):
        layers = np.linspace(1, rng.uniform(2, 4), sizes[index])[codes[:, index]]
        width = np.linspace(1, rng.uniform(1.5, 3), sizes[index + 1])[codes[:, index + 1]]
        total += rng.uniform(0.3, 1) * layers * width
    if len(sizes) % 2:
        total *= np.linspace(0.7, 1.6, sizes[-1])[codes[:, -1]]
    return 20e6 * total


def additive(seed: int = 1, texts: bool = False) -> Table:
    """Each decision counts, every pair interacts a little; with texts in no order."""
    rng, sizes = np.random.default_rng(seed), [4] * 7
    codes = grid(sizes)
    flops, alone, together = summed(rng, codes, sizes), np.zeros(len(codes)), np.zeros(len(codes))
    for index, size in enumerate(sizes):
        effect = np.sqrt(np.linspace(0, 1, size)) * rng.uniform(0.2, 1) + rng.normal(0, 0.15, size)
        alone += (rng.permutation(effect) if texts else effect)[codes[:, index]]
    for one, other in itertools.combinations(range(len(sizes)), 2):
        effect = rng.normal(0, 1, (sizes[one], sizes[other])) * rng.exponential()
        together += effect[codes[:, one], codes[:, other]]
    quality = alone / alone.std() + (0.5 if texts else 0.3) * together / together.std()
    name = "operators" if texts else "additive"
    return table(name, sizes, 0.70 + 0.02 * quality + rng.normal(0, 0.002, len(codes)), flops, texts)


def saturating(seed: int = 2) -> Table:
    """Accuracy saturates with size, and some choices make better use of it."""
    rng, sizes = np.random.default_rng(seed), [3, 4, 3, 4, 3, 3, 3, 3]
    codes = grid(sizes)
    flops = multiplied(rng, codes, sizes)
    use = sum(rng.normal(0, 0.25, size)[codes[:, index]] for index, size in enumerate(sizes))
    accuracy = 0.78 - 0.06 * np.exp(-0.9 * (np.log(flops / np.median(flops)) + use))
    return table("saturating", sizes, accuracy + rng.normal(0, 0.0015, len(codes)), flops)


def stages(seed: int = 3) -> Table:
    """Eight positions with no layer, a small or a large one, in three stages that each saturate."""
    rng, sizes = np.random.default_rng(seed), [3] * 8
    codes = grid(sizes)
    stage = np.arange(8) * 3 // 8
    flops = 8 + sum(3 * np.array([0, 1, 2.6])[codes[:, d]] * (1.3, 0.9, 0.8)[stage[d]] for d in range(8))
    worth = np.array([[0, 1, 1.5]] * 8) * rng.uniform(0.6, 1.2, (8, 1))
    accuracy = np.full(len(codes), 0.86)
    for part in range(3):
        depth = sum(worth[d][codes[:, d]] for d in range(8) if stage[d] == part)
        accuracy += rng.uniform(0.015, 0.03) * (1 - np.exp(-depth * rng.uniform(0.7, 1.2)))
    return table("stages", sizes, accuracy + rng.normal(0, 0.0015, len(codes)), 1e6 * flops)


def plateau(seed: int = 4) -> Table:
    """A tenth of the networks are alike but for noise, and one training in a hundred has failed to learn."""
    rng, sizes = np.random.default_rng(seed), [4] * 7
    codes = grid(sizes)
    flops = summed(rng, codes, sizes)
    use = sum(rng.normal(0, 0.25, size)[codes[:, index]] for index, size in enumerate(sizes))
    accuracy = 0.78 - 0.06 * np.exp(-0.9 * (np.log(flops / np.median(flops)) + use))
    top = np.quantile(accuracy, 0.9)
    accuracy = np.minimum(accuracy, top) + 0.05 * np.maximum(accuracy - top, 0) + rng.normal(0, 0.002, len(codes))
    failed = rng.random(len(codes)) < 0.01
    return table("plateau", sizes, np.where(failed, rng.uniform(0.1, 0.5, len(codes)), accuracy), flops)


def rugged(seed: int = 5) -> Table:
    """Every decision interacts with two others in no order at all (an NK landscape with K = 2)."""
    rng, sizes = np.random.default_rng(seed), [3] * 8
    codes = grid(sizes)
    flops, quality = summed(rng, codes, sizes), np.zeros(len(codes))
    for index in range(len(sizes)):
        others = rng.choice([other for other in range(len(sizes)) if other != index], 2, replace=False)
        group = (index, *others.tolist())
        effect = rng.normal(0, 1, [sizes[member] for member in group])
        quality += effect[tuple(codes[:, member] for member in group)]
    accuracy = 0.70 + 0.015 * quality / quality.std() + 0.01 * np.log(flops / np.median(flops))
    return table("rugged", sizes, accuracy + rng.normal(0, 0.001, len(codes)), flops)


MADE: dict[str, Callable[[], Table]] = {
    "additive": additive,
    "operators": lambda: additive(texts=True),
    "saturating": saturating,
    "stages": stages,
    "plateau": plateau,
    "rugged": rugged,
}


@dataclass(frozen=True)
class Tree:
    """A regression tree: at each node of a level a column and a limit; then a value for each leaf."""

    columns: list[NDArray[np.int64]]
    limits: list[Array]
    leaves: Array

    def __call__(self, codes: Array) -> Array:
        node = np.zeros(len(codes), int)
        for columns, limits in zip(self.columns, self.limits, strict=True):
            node = 2 * node + (codes[np.arange(len(codes)), columns[node]] > limits[node])
        return self.leaves[node]


def grow(codes: Array, target: Array, depth: int, ridge: float = 5.0) -> Tree:
    """Level by level, at each node the split that lowers the squared error the most."""
    node, columns, limits = np.zeros(len(codes), int), [], []
    for level in range(depth):
        count = 2**level
        best, column, limit = np.full(count, -np.inf), np.zeros(count, int), np.full(count, np.inf)
        for index in range(codes.shape[1]):
            for value in np.unique(codes[:, index])[:-1]:
                side = codes[:, index] > value
                sums = np.bincount(2 * node + side, target, 2 * count).reshape(-1, 2)
                sizes = np.bincount(2 * node + side, minlength=2 * count).reshape(-1, 2)
                gain = (sums**2 / (sizes + ridge)).sum(1)
                better = gain > best
                best, column, limit = (
                    np.where(better, new, old) for new, old in ((gain, best), (index, column), (value, limit))
                )
        columns.append(column)
        limits.append(limit)
        node = 2 * node + (codes[np.arange(len(codes)), column[node]] > limit[node])
    leaves = 2**depth
    return Tree(columns, limits, np.bincount(node, target, leaves) / (np.bincount(node, minlength=leaves) + ridge))


def boost(codes: Array, target: Array, trees: int = 150, depth: int = 5, rate: float = 0.1) -> list[Tree]:
    """Gradient boosting of the squared error (Friedman 2001), after the mean is taken off."""
    left, found = target - target.mean(), []
    for _ in range(trees):
        found.append(grow(codes, rate * left, depth))
        left = left - found[-1](codes)
    return found


VARIED = (*(f"stage{stage}_expansion" for stage in range(2, 7)), *(f"stage{stage}_layers" for stage in range(4, 7)))
FIELDS = ("expansion", "kernel", "layers", "se_ratio")
B0 = {
    f"stage{index}_{name}": getattr(stage, name)
    for index, stage in enumerate(EFFICIENTNET_B0.stages, 1)
    for name in FIELDS
}


@dataclass(frozen=True)
class Boosted:
    """Accuracies in B0's skeleton by boosted trees that are fitted to all rows of Accel-NASBench; FLOPs are exact."""

    pool: Table
    trees: list[Tree]
    centre: float

    @classmethod
    def fitted(cls, folder: Path) -> "Boosted":
        pool = accel(folder)
        points = list(pool.walk())
        target = np.array([pool.decode(point).accuracy for point in points])
        return cls(pool, boost(placed(pool.decisions, points), target), float(target.mean()))

    def __call__(self, points: Sequence[Values]) -> list[Entry]:
        """What each network would reach, without the noise of a training."""
        codes = placed(self.pool.decisions, points)
        accuracy = self.centre + sum(tree(codes) for tree in self.trees)
        return [predicted(point, reached) for point, reached in zip(points, accuracy.tolist(), strict=True)]


def placed(decisions: Sequence[Decision], points: Sequence[Values]) -> Array:
    """The places of the choices among those of their decisions."""
    places = {d.name: {choice: index for index, choice in enumerate(d.choices)} for d in decisions}
    return np.array([[places[name][point[name]] for name in places] for point in points], float)


def predicted(point: Values, accuracy: float) -> Entry:
    """A network of B0's skeleton by its choices."""
    stages = tuple(
        replace(stage, op="mbconv", **{name: point[f"stage{index}_{name}"] for name in FIELDS})
        for index, stage in enumerate(EFFICIENTNET_B0.stages, 1)
    )
    total = cost(replace(EFFICIENTNET_B0, stages=stages))
    return Entry(notation(point), accuracy, total.flops, total.params, predicted=True)


def boosted(folder: Path, seed: int = 0, noise: float = 0.0025) -> Table:
    """Eight decisions of Accel-NASBench, the others as in B0: accuracy by boosted trees, plus the noise of a seed."""
    predictor = Boosted.fitted(folder)
    decisions = tuple(decision for decision in predictor.pool.decisions if decision.name in VARIED)
    names = [decision.name for decision in decisions]
    rows = list(itertools.product(*(decision.choices for decision in decisions)))
    chosen = [dict(zip(names, row, strict=True)) for row in rows]
    found = predictor([B0 | point for point in chosen])
    drawn = np.random.default_rng(seed).normal(0, noise, len(rows)).tolist()
    entries = {
        row: replace(entry, notation=notation(point), accuracy=entry.accuracy + luck)
        for row, point, entry, luck in zip(rows, chosen, found, drawn, strict=True)
    }
    return Table("accel boosted", decisions, entries)


@dataclass
class Completion(Mapping[Row, Entry]):
    """All combinations of Accel-NASBench's 28 decisions, each predicted when it is asked for."""

    predictor: Boosted
    found: dict[Row, Entry] = field(default_factory=dict)

    def __len__(self) -> int:
        return math.prod(len(decision.choices) for decision in self.predictor.pool.decisions)

    def __iter__(self) -> Iterator[Row]:
        return itertools.product(*(decision.choices for decision in self.predictor.pool.decisions))

    def __getitem__(self, row: Row) -> Entry:
        self.prepare([row])
        return self.found[row]

    def prepare(self, rows: Iterable[Row]) -> None:
        """Predicts many at once."""
        names = [decision.name for decision in self.predictor.pool.decisions]
        missing = [row for row in rows if row not in self.found]
        if missing:
            entries = self.predictor([dict(zip(names, row, strict=True)) for row in missing])
            self.found.update(zip(missing, entries, strict=True))


def completed(folder: Path) -> Table:
    """Accel-NASBench's whole space, completed by boosted trees."""
    predictor = Boosted.fitted(folder)
    return Table("accel completed", predictor.pool.decisions, Completion(predictor))


def accel(folder: Path) -> Table:
    """The 5,125 trained networks of Accel-NASBench (2404.08005), as a pool."""
    return replace(read_table(folder / "accel_nasbench" / "accel_nasbench.csv").table, name="accel")

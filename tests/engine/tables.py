"""Benchmark tables by formula."""

import itertools
import random
from pathlib import Path

from effsearch.benchmark_table import Entry, Table, notation
from effsearch.space import Decision


def toy_table(choices: int = 3, decisions: int = 5, seed: int = 0, noise: float = 0.002) -> Table:
    """A complete table: accuracy rises with size, by a different amount for each decision, and by chance."""
    rng = random.Random(seed)
    gains = [rng.uniform(0.2, 1) for _ in range(decisions)]
    costs = [rng.uniform(0.5, 2) for _ in range(decisions)]
    kinds = tuple(Decision(f"d{index}", tuple(range(choices))) for index in range(decisions))
    entries = {}
    for row in itertools.product(range(choices), repeat=decisions):
        size = sum(gain * value for gain, value in zip(gains, row, strict=True))
        accuracy = 0.7 + 0.1 * size / (size + 3) + rng.gauss(0, noise)
        flops = 1e7 * (1 + sum(cost * value for cost, value in zip(costs, row, strict=True)))
        values = dict(zip((decision.name for decision in kinds), row, strict=True))
        entries[row] = Entry(notation(values), accuracy, float(round(flops)), float(round(flops / 50)))
    return Table("toy", kinds, entries)


def part_of(table: Table, share: float, seed: int = 0) -> Table:
    """A pool of some of the rows."""
    rng = random.Random(seed)
    rows = {row: entry for row, entry in table.entries.items() if rng.random() < share}
    return Table(table.name, table.decisions, rows, pool=True)


def write(path: Path, lines: list[str]) -> Path:
    path.write_text("\n".join(lines) + "\n")
    return path

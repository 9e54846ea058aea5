"""What a search does next: a pure function of what it has done, so that resuming is reading."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from effsearch.runs.ranking import ranking
from effsearch.runs.records import Candidate, Record
from effsearch.search.faults import FAILURES, due_again, given_up
from effsearch.search.settings import NasSettings
from effsearch.search.steps import Done, Propose, Step, Train, Wait


def next_step(records: Sequence[Record], settings: NasSettings, trials: int, baseline: Candidate | None) -> Step:
    """Search until `trials` architectures are finished, then repeat the finalists and the baseline."""
    states = Counter(record.state for record in records)
    if states["queued"]:
        return Propose()
    first = [record for record in records if record.candidate.seed == settings.seed]
    finished = {record.candidate.key for record in first if record.state == "complete"}
    running = {record.candidate.key for record in first if record.state == "running"} - finished
    broken = given_up(first, max(FAILURES, trials)) if states["failed"] else None
    if broken is not None:
        return Wait() if states["running"] else Done(broken)
    again = due_again(records) if states["failed"] else None
    if again is not None:
        return Train(again)
    if len(finished) + len(running) < trials:
        return Propose()
    return finish(records, settings, baseline, waiting=bool(running))


def finish(records: Sequence[Record], settings: NasSettings, baseline: Candidate | None, waiting: bool = False) -> Step:
    """Repeat the baseline, and, when the search no longer waits for a first training, the finalists.

    A repeat changes the mean, and with it who is a finalist: this goes on until the first `finalists` of the ranking
    are all repeated, but for no more than twice as many networks.
    """
    tried: dict[str, set[int]] = {}
    for record in records:
        if record.state != "interrupted":
            tried.setdefault(record.candidate.key, set()).add(record.candidate.seed)
    chosen = [] if baseline is None else [baseline]
    if not waiting:
        chosen += _finalists(records, settings, tried)
    for candidate in chosen:
        for seed in range(settings.seed, settings.seed + settings.repeats):
            if seed not in tried.get(candidate.key, ()):
                return Train(replace(candidate, seed=seed))
    return Wait() if any(record.state == "running" for record in records) else Done()


def _finalists(records: Sequence[Record], settings: NasSettings, tried: dict[str, set[int]]) -> list[Candidate]:
    """Those that are repeated already, and the first of the ranking while there are not too many."""
    ranks = {row.key: row.rank for row in ranking(records, settings.score) if row.rank is not None}
    repeated = [key for key in ranks if len(tried[key]) > 1]
    fresh = [key for key, rank in ranks.items() if rank <= settings.finalists and key not in repeated]
    keys = repeated + fresh[: max(0, 2 * settings.finalists - len(repeated))]
    known = {record.candidate.key: record.candidate for record in reversed(records)}
    return [known[key] for key in keys]

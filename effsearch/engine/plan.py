"""What a search does next: a pure function of what it has done, so that resuming is reading."""

from collections.abc import Sequence
from dataclasses import replace

from effsearch.engine.retries import FAILURES, due_again, given_up, is_running
from effsearch.engine.rungs import Promotion
from effsearch.engine.steps import Done, Propose, Step, Train, Wait
from effsearch.runs.ranking import ranking
from effsearch.runs.records import Candidate, Record, RecordIndex
from effsearch.runs.settings import NasSettings


def next_step(records: Sequence[Record], settings: NasSettings, trials: int, baseline: Candidate | None) -> Step:
    """Search until `trials` architectures are finished, then repeat the finalists and the baseline."""
    known = RecordIndex.of(records)
    if known.count("queued"):
        return Propose()
    broken = given_up(known, max(FAILURES, trials), settings.seed)
    if broken is not None:
        return Wait() if known.count("running") else Done(broken)
    again = due_again(known)
    if again is not None:
        return _train(again, settings)
    finished, running = known.keys("complete", settings.seed), known.keys("running", settings.seed)
    if len(finished) + sum(key not in finished for key in running) < trials:
        return Propose()
    if settings.rungs:
        going = promotion(records, settings, baseline).next()
        if going is not None:
            return _train(going, settings)
    return finish(records, settings, baseline, waiting=bool(running))


def finish(records: Sequence[Record], settings: NasSettings, baseline: Candidate | None, waiting: bool = False) -> Step:
    """Repeat the baseline, and, when the search no longer waits for a first training, the finalists.

    With rungs, as many as there are finalists reach the last one before that. A repeat changes the mean, and with it
    who is a finalist: this goes on until the first `finalists` of the ranking are all repeated, but for no more than
    twice as many networks. The first of all is repeated for longer, until there are four times as many: the best of
    many single trainings owes some of its rank to luck.
    """
    top = settings.rungs[-1] if settings.rungs else None
    if top is not None and not waiting:
        going = promotion(records, settings, baseline).fill(settings.finalists)
        if going is not None:
            return _train(going, settings)
    tried: dict[str, set[int]] = {}
    for record in records:
        if record.state != "interrupted" and record.candidate.epochs == top:
            tried.setdefault(record.candidate.key, set()).add(record.candidate.seed)
    chosen = [] if baseline is None else [baseline]
    if not waiting:
        chosen += _finalists(records, settings, tried)
    for candidate in chosen:
        for seed in range(settings.seed, settings.seed + settings.repeats):
            # Under the search's own seed a network is promoted from rung to rung.
            if seed not in tried.get(candidate.key, ()) and not (top is not None and seed == settings.seed):
                return _train(replace(candidate, seed=seed, epochs=top), settings)
    return Wait() if is_running(records) else Done()


def promotion(records: Sequence[Record], settings: NasSettings, baseline: Candidate | None) -> Promotion:
    """Where the networks of a search stand on its rungs; the baseline is promoted to the last in any case."""
    return Promotion(records, settings.rungs, settings.seed, () if baseline is None else (baseline.key,))


def _train(candidate: Candidate, settings: NasSettings) -> Train:
    """Beyond the first rung it is one that the sampler has learnt from already."""
    return Train(candidate, again=bool(settings.rungs) and candidate.epochs != settings.rungs[0])


def _finalists(records: Sequence[Record], settings: NasSettings, tried: dict[str, set[int]]) -> list[Candidate]:
    """Those that are repeated already, the first of the ranking, and the next ones while there are not too many."""
    ranks = {row.key: row.rank for row in ranking(records, settings.score) if row.rank is not None and row.key in tried}
    repeated = [key for key in ranks if len(tried[key]) > 1]
    fresh = [key for key, rank in ranks.items() if rank <= settings.finalists and key not in repeated]
    room = 2 * settings.finalists - len(repeated)
    if room <= 0 and len(repeated) < 4 * settings.finalists:
        fresh, room = [key for key in fresh if ranks[key] == 1], 1
    keys = repeated + fresh[: max(0, room)]
    known = {record.candidate.key: record.candidate for record in reversed(records)}
    return [known[key] for key in keys]

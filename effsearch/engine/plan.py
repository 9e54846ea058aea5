"""What an architecture search does next: a pure function of its records, so that a resumed run goes on alike."""

from dataclasses import replace

from effsearch.engine.problem import Done, Propose, Step, Train, Wait
from effsearch.engine.retries import FAILURES, due_again, queued_or_given_up
from effsearch.engine.rungs import Promotion
from effsearch.runs.ranking import ranking
from effsearch.runs.records import Candidate, RecordIndex
from effsearch.runs.settings import NasSettings


def next_step(records: RecordIndex, settings: NasSettings, trials: int, baseline: Candidate | None) -> Step:
    """Search until `trials` architectures are finished, then repeat the finalists and the baseline."""
    if (step := queued_or_given_up(records, max(FAILURES, trials), settings.seed)) is not None:
        return step
    if (again := due_again(records)) is not None:
        return _train(again, settings)
    finished, running = records.keys("complete", settings.seed), records.keys("running", settings.seed)
    if len(finished) + sum(key not in finished for key in running) < trials:
        return Propose()
    if settings.rungs and (going := Promotion(records, settings, baseline).next()) is not None:
        return _train(going, settings)
    return finish(records, settings, baseline, waiting=bool(running))


def finish(records: RecordIndex, settings: NasSettings, baseline: Candidate | None, waiting: bool = False) -> Step:
    """Repeat the baseline under further seeds, and the finalists unless the search is `waiting` for a first training.

    With rungs, that many networks are promoted to the last one before. A repeat changes the mean, and with it the
    ranking: this goes on until the best `finalists` of the ranking are all repeated, for at most twice as many
    networks, and for the best alone, which owes some of its rank to luck, for up to four times as many.
    """
    top = settings.rungs[-1] if settings.rungs else None
    if top is not None and not waiting and (going := Promotion(records, settings, baseline).fill(settings.finalists)):
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
    return Wait() if records.count("running") else Done()


def _train(candidate: Candidate, settings: NasSettings) -> Train:
    return Train(candidate, again=bool(settings.rungs) and candidate.epochs != settings.rungs[0])


def _finalists(records: RecordIndex, settings: NasSettings, tried: dict[str, set[int]]) -> list[Candidate]:
    """Networks that are repeated already, then the best-ranked others while there is room."""
    ranks = {row.key: row.rank for row in ranking(records, settings.score) if row.rank is not None and row.key in tried}
    repeated = [key for key in ranks if len(tried[key]) > 1]
    fresh = [key for key, rank in ranks.items() if rank <= settings.finalists and key not in repeated]
    room = 2 * settings.finalists - len(repeated)
    if room <= 0 and len(repeated) < 4 * settings.finalists:
        fresh, room = [key for key in fresh if ranks[key] == 1], 1
    keys = repeated + fresh[: max(0, room)]
    known = {record.candidate.key: record.candidate for record in reversed(list(records))}
    return [known[key] for key in keys]

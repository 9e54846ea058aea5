"""What an architecture search does next: a pure function of its records, so that a resumed run goes on alike."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from itertools import count

from effsearch.engine.posterior import Judgement
from effsearch.engine.problem import Done, Propose, Step, Train, Wait
from effsearch.engine.retries import FAILURES, due_again, queued_or_given_up
from effsearch.engine.rungs import Promotion
from effsearch.runs.records import Candidate, RecordIndex
from effsearch.runs.settings import NasSettings

Judge = Callable[[RecordIndex], Judgement | None]
FURTHER = 0.25  # further trainings of networks that were trained before, as a share of the networks


def next_step(
    records: RecordIndex, settings: NasSettings, trials: int, baseline: Candidate | None, judge: Judge
) -> Step:
    """Search until `trials` architectures are finished, then train the likely best and the baseline again."""
    if (step := queued_or_given_up(records, max(FAILURES, trials), settings.seed)) is not None:
        return step
    if (again := due_again(records)) is not None:
        return _train(again, settings)
    finished, running = records.keys("complete", settings.seed), records.keys("running", settings.seed)
    if len(finished) + sum(key not in finished for key in running) < trials:
        return Propose()
    if settings.rungs and (going := Promotion(records, settings, baseline).next()) is not None:
        return _train(going, settings)
    return finish(records, settings, baseline, judge, waiting=bool(running))


def finish(
    records: RecordIndex, settings: NasSettings, baseline: Candidate | None, judge: Judge, waiting: bool = False
) -> Step:
    """Train the baseline under further seeds, and the likely best unless the search is `waiting` for a first training.

    With rungs, `finalists` networks are promoted to the last one before. Seeds go where they tell most of which
    network is the best, until one is by all likelihood, or `most_further` of them are used up.
    """
    top = settings.rungs[-1] if settings.rungs else None
    if top is not None and not waiting and (going := Promotion(records, settings, baseline).fill(settings.finalists)):
        return _train(going, settings)
    tried: dict[str, set[int]] = {}
    for record in records:
        if record.state != "interrupted" and record.candidate.epochs == top:
            tried.setdefault(record.candidate.key, set()).add(record.candidate.seed)
    if baseline is not None:
        for seed in range(settings.seed, settings.seed + settings.repeats):
            # Under the search's own seed a network is promoted from rung to rung.
            if seed not in tried.get(baseline.key, ()) and not (top is not None and seed == settings.seed):
                return _train(replace(baseline, seed=seed, epochs=top), settings)
    further = sum(len(seeds) - 1 for key, seeds in tried.items() if baseline is None or key != baseline.key)
    if not waiting and further < most_further(settings, len(tried)) and (found := judge(records)) is not None:
        running = Counter(record.candidate.key for record in records.in_state("running"))
        if (key := found.next_key(running, settings.repeats)) is not None:
            known = next(record.candidate for record in records if record.candidate.key == key)
            seed = next(seed for seed in count(settings.seed) if seed not in tried[key])
            return _train(replace(known, seed=seed, epochs=top), settings)
    return Wait() if records.count("running") else Done()


def most_further(settings: NasSettings, networks: int) -> int:
    """The most trainings under further seeds: as many as would repeat the finalists, or more in a long search."""
    if settings.repeats == 1:
        return 0
    return max(settings.finalists * (settings.repeats - 1), round(FURTHER * networks))


def _train(candidate: Candidate, settings: NasSettings) -> Train:
    return Train(candidate, again=bool(settings.rungs) and candidate.epochs != settings.rungs[0])

"""What an architecture search does next: a pure function of its records, so that a resumed run goes on alike.

With rungs (epochs, rising), each network is trained to the first, and goes on once it is among the best
1/PROMOTION_ETA of those that have reached its rung so far (ASHA, 1810.05934). Unlike there, promotion begins once
`trials` networks are on the first rung: as a sampler improves, nearly each would be among the best when it comes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from effsearch.engine.problem import Done, Propose, Step, Train, Wait
from effsearch.engine.retries import FAILURES, attempt, due_again, is_due, queued_or_given_up
from effsearch.runs.ranking import ranking
from effsearch.runs.records import Candidate, Record, RecordIndex, epochs_alone
from effsearch.runs.settings import NasSettings

PROMOTION_ETA = 4  # one in PROMOTION_ETA networks goes on to the next rung


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


@dataclass(frozen=True)
class Promotion:
    """Asynchronous promotion of the networks of a search under its seed; the baseline goes on whatever it reached."""

    records: RecordIndex
    settings: NasSettings
    baseline: Candidate | None

    @property
    def _kept(self) -> str | None:
        return None if self.baseline is None else self.baseline.key

    def next(self) -> Candidate | None:
        """The promotion to begin now, of the highest rung first, or None."""
        for index in reversed(range(len(self.settings.rungs) - 1)):
            best = self._best(index)
            kept = [record for record in best if record.candidate.key == self._kept]
            free = [record for record in best if record.candidate.key != self._kept]
            if (found := next(self._due(kept + free[: len(free) // PROMOTION_ETA], index + 1), None)) is not None:
                return found
        return None

    def fill(self, count: int) -> Candidate | None:
        """The promotion to begin so that `count` networks reach the last rung; None once they did.

        The best of the highest rung are promoted first.
        """
        for index in reversed(range(len(self.settings.rungs) - 1)):
            above = self._begun(index + 1)
            waiting = [record for record in self._best(index) if record.candidate.key not in above]
            # One whose attempts are used up leaves its place to the next.
            found = next(self._due(waiting, index + 1), None)
            if found is not None and count > len(self._hopeful(index + 1) - {self._kept}):
                return found
        return None

    def _hopeful(self, index: int) -> set[str]:
        """The networks on a rung that have not used up their attempts at a higher one."""
        here = self._begun(index)
        if index + 1 == len(self.settings.rungs):
            return here
        above = self._begun(index + 1)
        done = [record for record in self._best(index) if record.candidate.key not in above]
        lost = {record.candidate.key for record in done} - {given.key for given in self._due(done, index + 1)}
        return here & (self._hopeful(index + 1) | here.difference(above)) - lost

    def _best(self, index: int) -> list[Record]:
        """The complete trainings of a rung, the best first."""
        done = [record for record in self._on(index) if record.state == "complete"]
        return sorted(done, key=lambda record: -(record.reward or 0.0))

    def _begun(self, index: int) -> set[str]:
        """The networks that are trained, training or queued for a rung."""
        counted = ("complete", "running", "queued")
        return {record.candidate.key for record in self._on(index) if record.state in counted}

    def _due(self, records: Sequence[Record], index: int) -> Iterator[Candidate]:
        rung = self.settings.rungs[index]
        for record in records:
            group = self.records.attempts((record.candidate.key, self.settings.seed, rung))
            if is_due(group):
                yield replace(attempt(record.candidate, group), epochs=rung)

    def _on(self, index: int) -> Iterator[Record]:
        here = self.settings.seed, self.settings.rungs[index]
        for record in self.records:
            if record.state != "interrupted" and (record.candidate.seed, record.candidate.epochs) == here:
                yield record


def planned_epochs(rungs: Sequence[int], count: int, last: int) -> int:
    """Epochs of `count` candidates together, of whom at least `last` are promoted to the last rung."""
    total, here = 0, count
    for rung in rungs:
        total += here * epochs_alone(rung, rungs)
        here = min(here, max(here // PROMOTION_ETA, last))
    return total

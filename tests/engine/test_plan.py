from collections.abc import Callable
from dataclasses import replace

from toys import settings

from effsearch.engine import plan
from effsearch.engine.problem import Done, Propose, Step, Train, Wait
from effsearch.engine.retries import FAILURES
from effsearch.runs.records import Candidate, Record, RecordIndex
from effsearch.runs.settings import NasSettings


def next_step(records: list[Record], chosen: NasSettings, trials: int, baseline: Candidate | None) -> Step:
    return plan.next_step(RecordIndex(records), chosen, trials, baseline)


B0 = Candidate("b0key", "b0", 8_000_000, 1, 0, "b0")


def record(
    number: int, state: str = "complete", accuracy: float = 0.5, seed: int = 0, key: str | None = None
) -> Record:
    candidate = Candidate(key or f"key{number}", f"n{number}", 8_000_000, 1, seed, "evolution")
    done = state == "complete"
    return Record(
        number,
        state,  # type: ignore[arg-type]
        candidate,
        accuracy=accuracy if done else None,
        reward=accuracy if done else None,
        epochs=1 if done else None,
        seconds=1.0 if done else None,
        reason="out of memory" if state == "failed" else None,
    )


def test_proposes_until_enough_are_finished_or_running():
    chosen = settings()
    assert next_step([], chosen, 2, None) == Propose()
    assert next_step([record(0)], chosen, 2, None) == Propose()
    assert next_step([record(0), record(1, "running")], chosen, 2, None) == Wait()
    assert next_step([record(0), record(1)], chosen, 2, None) == Done()


def test_a_failed_or_interrupted_training_does_not_count_as_finished():
    assert next_step([record(0), record(1, "failed"), record(2, "interrupted")], settings(), 2, None) == Propose()


def test_what_is_queued_goes_first():
    assert next_step([record(0), record(1), record(2, "queued")], settings(), 2, None) == Propose()


def test_finalists_and_baseline_are_repeated_under_the_next_seeds():
    chosen = settings(seed=5, repeats=2, finalists=1)
    baseline = replace(B0, seed=5)
    records = [record(0, accuracy=0.5, seed=5), record(1, accuracy=0.6, seed=5)]
    records.append(replace(record(2, accuracy=0.4, seed=5), candidate=baseline))
    first = next_step(records, chosen, 3, baseline)
    assert first == Train(replace(baseline, seed=6))
    records.append(replace(record(3, accuracy=0.4), candidate=replace(baseline, seed=6)))
    assert next_step(records, chosen, 3, baseline) == Train(replace(records[1].candidate, seed=6))
    records.append(record(4, "running", seed=6, key="key1"))
    assert next_step(records, chosen, 3, baseline) == Wait()
    records[-1] = record(4, accuracy=0.6, seed=6, key="key1")
    assert next_step(records, chosen, 3, baseline) == Done()


def repeats(chosen: NasSettings, networks: int, luck: Callable[[int], float]) -> tuple[list[str], Step]:
    """Whose repeats a search of so many networks asks for, the accuracy of each by its count, and what comes then."""
    records = [record(number, accuracy=0.6 - 0.01 * number) for number in range(networks)]
    repeated: list[str] = []
    while isinstance(step := next_step(records, chosen, networks, None), Train):
        repeated.append(step.candidate.key)
        accuracy = luck(len(repeated))
        records.append(record(len(records), accuracy=accuracy, seed=step.candidate.seed, key=step.candidate.key))
    return repeated, step


def test_a_repeat_that_changes_the_ranking_makes_new_finalists_but_only_so_many():
    chosen = settings(repeats=2, finalists=1)
    # Every repeat disappoints, so the next one leads.
    repeated, last = repeats(chosen, 6, lambda count: 0.1)
    assert repeated == ["key0", "key1", "key2", "key3"]
    assert last == Done()


def test_the_first_of_the_ranking_is_repeated_beyond_the_room_for_finalists():
    chosen = settings(repeats=2, finalists=2)
    repeated, _ = repeats(chosen, 9, lambda count: 0.1 if count < 5 else 0.9)
    assert repeated == [f"key{number}" for number in range(5)]


def test_a_baseline_that_was_never_trained_is_trained_at_the_end():
    assert next_step([record(0), record(1)], settings(repeats=1), 2, B0) == Train(replace(B0, seed=0))


def test_gives_up_when_trainings_only_fail():
    failed = [record(number, "failed") for number in range(FAILURES)]
    step = next_step(failed, settings(), 20, None)
    assert isinstance(step, Done)
    assert step.problem == f"{FAILURES} trainings failed, the last: out of memory"
    assert next_step([record(9), *failed], settings(), 20, None) == Propose()

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

from toys import settings

from effsearch.engine import plan
from effsearch.engine.posterior import Judgement, judge
from effsearch.engine.problem import Done, Propose, Step, Train, Wait
from effsearch.engine.retries import FAILURES
from effsearch.runs.records import Candidate, Record, RecordIndex
from effsearch.runs.settings import NasSettings


def next_step(records: list[Record], chosen: NasSettings, trials: int, baseline: Candidate | None) -> Step:
    def judged(records: RecordIndex) -> Judgement | None:
        return judge(records, chosen.score)

    return plan.next_step(RecordIndex(records), chosen, trials, baseline, judged)


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


def test_the_baseline_and_the_likely_best_are_trained_under_the_next_seeds():
    chosen = settings(seed=5, repeats=2, finalists=1)
    baseline = replace(B0, seed=5)
    records = [record(0, accuracy=0.3, seed=5), record(1, accuracy=0.6, seed=5)]
    records.append(replace(record(2, accuracy=0.4, seed=5), candidate=baseline))
    first = next_step(records, chosen, 3, baseline)
    assert first == Train(replace(baseline, seed=6))
    records.append(replace(record(3, accuracy=0.4), candidate=replace(baseline, seed=6)))
    # Nothing else comes near, but one training is not enough.
    assert next_step(records, chosen, 3, baseline) == Train(replace(records[1].candidate, seed=6))
    records.append(record(4, "running", seed=6, key="key1"))
    assert next_step(records, chosen, 3, baseline) == Wait()
    records[-1] = record(4, accuracy=0.6, seed=6, key="key1")
    assert next_step(records, chosen, 3, baseline) == Done()


def further(chosen: NasSettings, accuracies: list[float], reached: Callable[[str, int], float]) -> Counter[str]:
    """How often a search trains each network again; `reached` gives the accuracy by key and seed."""
    records = [record(number, accuracy=accuracy) for number, accuracy in enumerate(accuracies)]
    trained = Counter[str]()
    while isinstance(step := next_step(records, chosen, len(accuracies), None), Train):
        key, seed = step.candidate.key, step.candidate.seed
        trained[key] += 1
        assert seed == trained[key]
        records.append(record(len(records), accuracy=reached(key, seed), seed=seed, key=key))
    assert step == Done()
    return trained


def test_further_seeds_end_when_one_is_the_best_by_all_likelihood():
    chosen = settings(repeats=3, finalists=3)
    close = [0.5, 0.51, 0.4, 0.3, 0.2, 0.1]
    trained = further(chosen, close, lambda key, seed: close[int(key[3:])] + 0.001 * (-1) ** seed)
    assert set(trained) == {"key0", "key1"}
    assert trained["key1"] >= 2
    assert trained.total() < plan.most_further(chosen, 6)


def test_further_seeds_of_networks_that_cannot_be_told_apart_end_too():
    chosen = settings(repeats=3, finalists=1)
    trained = further(chosen, [0.5] * 6, lambda key, seed: 0.5 + 0.02 * (-1) ** seed)
    assert trained.total() == plan.most_further(chosen, 6) == 2


def test_a_lucky_first_training_is_found_out():
    chosen = settings(repeats=3, finalists=3)
    trained = further(chosen, [0.6, 0.55, 0.54, 0.53, 0.52, 0.51], lambda key, seed: 0.4 if key == "key0" else 0.55)
    assert trained["key0"] < trained["key1"]


def test_a_long_search_may_train_a_quarter_of_its_networks_again():
    assert plan.most_further(settings(repeats=3, finalists=3), 200) == 50
    assert plan.most_further(settings(repeats=1, finalists=3), 200) == 0


def test_a_baseline_that_was_never_trained_is_trained_at_the_end():
    assert next_step([record(0), record(1)], settings(repeats=1), 2, B0) == Train(replace(B0, seed=0))


def test_gives_up_when_trainings_only_fail():
    failed = [record(number, "failed") for number in range(FAILURES)]
    step = next_step(failed, settings(), 20, None)
    assert isinstance(step, Done)
    assert step.problem == f"{FAILURES} trainings failed, the last: out of memory"
    assert next_step([record(9), *failed], settings(), 20, None) == Propose()

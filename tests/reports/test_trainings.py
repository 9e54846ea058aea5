from datetime import UTC, datetime, timedelta

from folders import record

from effsearch.reports.trainings import best_so_far, learning_curves
from effsearch.runs.history import History, TrialHistory


def history(*trainings):
    return History(tuple(trainings))


def ended(minute, *arguments, **more):
    found = record(*arguments, **more)
    when = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=minute)
    return type(found)(**{**vars(found), "finished": when})


def test_the_best_so_far_goes_by_the_order_of_ending_and_by_whole_trainings():
    flops = 400_000_000
    steps = best_so_far(
        history(
            TrialHistory(ended(3, 0, "a", "n", flops, 0.5)),
            TrialHistory(ended(1, 1, "b", "n", flops, 0.4)),
            TrialHistory(ended(2, 2, "c", "n", flops, 0.9, trained=1)),
            TrialHistory(ended(4, 3, "d", "n", flops, 0.45)),
            TrialHistory(record(4, "e", "n", flops, None)),
        )
    )
    assert [(step.number, step.key, step.reward, step.best) for step in steps] == [
        (1, "b", 0.4, 0.4),
        (2, "a", 0.5, 0.5),
        (3, "d", 0.45, 0.5),
    ]


def test_parts_of_a_training_are_one_course_with_an_accuracy_at_each_rung():
    part = [
        TrialHistory(record(0, "a", "n", 100, 0.3, trained=1), (2.0,), ((1, 0.3),)),
        TrialHistory(record(1, "b", "n", 100, 0.2, trained=1), (3.0,), ((1, 0.2),)),
        TrialHistory(record(2, "a", "n", 100, 0.6, trained=3), (2.0, 1.0, 0.5), ((1, 0.3), (3, 0.6))),
        TrialHistory(record(3, "a", "n", 100, 0.5, seed=1, trained=3), (2.0, 1.1, 0.6), ((3, 0.5),)),
    ]
    found = learning_curves(history(*part), ["a", "b"])
    assert [(course.key, course.seed, course.parts) for course in found] == [("a", 0, 2), ("a", 1, 1), ("b", 0, 1)]
    assert found[0].losses == (2.0, 1.0, 0.5)
    assert found[0].accuracies == ((1, 0.3), (3, 0.6))
    assert [course.key for course in learning_curves(history(*part), ["b"])] == ["b"]

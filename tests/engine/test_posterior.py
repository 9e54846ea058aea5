import numpy as np
import pytest
from scipy import stats

from effsearch.benchmark_table import Entry, Table
from effsearch.engine.gaussian_process import Encoding, Points
from effsearch.engine.posterior import CONDITIONED, Judgement, Prior, Trained, gather, judge, judged_rows, name_best
from effsearch.engine.replay import search_table
from effsearch.engine.space_sampler import Objective, SamplerContext
from effsearch.reward import Reward
from effsearch.runs.ranking import ranking
from effsearch.runs.records import Candidate, Record
from effsearch.space import Decision

HARD = Reward(100.0, "hard")
DECISIONS = tuple(Decision(f"d{index}", (0, 1, 2, 3)) for index in range(4))


def trained(*accuracies: tuple[float, ...]) -> Trained:
    count = len(accuracies)
    return Trained(Points.of(np.zeros((count, 0))), accuracies, np.ones(count), np.zeros(count))


def alone(given: Trained) -> Judgement:
    return Judgement([f"key{row}" for row in range(len(given))], given, Prior.of(Encoding(()), given))


def additive_table() -> Table:
    """Every decision adds 0 to 3 hundredths: the best network has 3 everywhere."""
    entries = {}
    for code in range(256):
        row = tuple(code // 4**place % 4 for place in range(4))
        entries[row] = Entry("-".join(map(str, row)), 0.6 + 0.01 * sum(row), 100, 1)
    return Table("sums", DECISIONS, entries)


def test_without_decisions_a_mean_is_shrunk_by_the_noise_of_its_trainings():
    """Against the conjugate normal formula, with the variances that the prior has estimated."""
    given = trained((0.5, 0.52), (0.6,), (0.55, 0.54, 0.56), (0.5,))
    prior = Prior.of(Encoding(()), given)
    between = prior.covariance[0, 0] - prior.covariance[0, 1]
    found = prior.given(given)
    weights = 1 / (between + prior.noise / given.counts)
    common = float(weights @ given.means / weights.sum())
    share = between / (between + prior.noise / given.counts)
    # The common mean is all but unknown beforehand.
    assert found.accuracy == pytest.approx(common + share * (given.means - common), abs=5e-4)
    assert np.all(np.diff(np.diag(found.covariance)[[1, 0, 2]]) < 0), "more trainings make a network more certain"


def test_the_probability_of_being_the_best_of_two_is_that_of_a_normal_difference():
    found = alone(trained((0.5, 0.51), (0.515, 0.52))).posterior
    difference = found.accuracy[1] - found.accuracy[0]
    variance = found.covariance[0, 0] + found.covariance[1, 1] - 2 * found.covariance[0, 1]
    assert found.probability_best[1] == pytest.approx(stats.norm.cdf(difference / variance**0.5), abs=0.03)
    assert found.probability_best.sum() == 1


def test_the_next_training_is_that_of_the_leader_or_its_rival():
    rival = alone(trained((0.6, 0.61, 0.59, 0.6), (0.6,), (0.5, 0.5)))
    assert rival.next_key({}, 3) == "key1"
    assert rival.next_key({"key1": 9}, 3) == "key0", "as many are running"
    leader = alone(trained((0.605,), (0.6, 0.61, 0.59, 0.6), (0.5, 0.5)))
    assert leader.next_key({}, 3) == "key0"


def test_one_that_is_the_best_needs_no_training_but_its_own_seeds():
    clear = alone(trained((0.8, 0.8, 0.81), (0.5, 0.51), (0.4,)))
    assert clear.posterior.probability_best[0] > 0.99
    assert clear.next_key({}, 3) is None
    assert clear.next_key({}, 4) == "key0"
    assert clear.next_key({"key0": 1}, 4) is None


def test_equal_accuracies_and_a_single_network_can_be_judged():
    for given in (trained((0.5,)), trained(*[(0.5,)] * 8), trained((0.0, 0.0), (0.0,))):
        found = alone(given).posterior
        assert np.isfinite(found.accuracy).all()
        assert found.probability_best.sum() == 1


def test_the_decisions_find_out_a_lucky_training():
    """The network whose measurement leads is poor by those of all networks like it."""
    table, rng = additive_table(), np.random.default_rng(0)
    rows = [tuple(map(int, rng.integers(0, 4, 4))) for _ in range(60)]
    rows = [row for row in dict.fromkeys(rows) if sum(row) > 0] + [(0, 0, 0, 0)]
    values = [dict(zip([each.name for each in DECISIONS], row, strict=True)) for row in rows]
    entries = [table.entries[row] for row in rows]
    measured = [(entry.accuracy + 0.005 * float(rng.standard_normal()),) for entry in entries]
    measured[-1] = (0.75,)
    context = SamplerContext(table, objective=Objective(HARD, lambda entry: entry.flops))
    asked: list[int] = []

    def train(row: int) -> float:
        asked.append(row)
        return entries[row].accuracy

    chosen = name_best(context, gather(context, values, entries, measured), 8, train)
    assert max(range(len(rows)), key=lambda row: measured[row]) == len(rows) - 1
    assert entries[chosen].accuracy >= max(entry.accuracy for entry in entries) - 0.01
    assert len(asked) == 8


def test_of_many_networks_the_best_are_judged():
    rows = judged_rows(np.array([0.3 + 0.001 * row for row in range(2 * CONDITIONED)]))
    assert len(rows) == len(set(rows)) == CONDITIONED
    assert set(range(2 * CONDITIONED - CONDITIONED // 2, 2 * CONDITIONED)) <= set(rows)


def record(number: int, key: str, accuracy: float, seed: int = 0, epochs: int = 1) -> Record:
    candidate = Candidate(key, key, 100, 1, seed, "auto")
    return Record(number, "complete", candidate, accuracy, accuracy, epochs, 1.0)


def test_a_ranking_follows_what_is_expected_and_keeps_what_was_measured():
    lucky = [record(0, "lucky", 0.6)]
    steady = [record(1 + seed, "steady", 0.59, seed) for seed in range(6)]
    others = [record(10 + number, f"other{number}", 0.5 + 0.002 * number) for number in range(6)]
    records = [*lucky, *steady, *others, record(20, "short", 0.9, epochs=0)]
    assert ranking(records, HARD)[0].key == "lucky"
    found = judge(records, HARD)
    assert found is not None
    assert "short" not in found.keys
    rows = ranking(records, HARD, found.by_key)
    by_key = {row.key: row for row in rows}
    assert by_key["lucky"].accuracy == 0.6 > by_key["lucky"].expected
    assert [row.expected for row in rows[:-1]] == sorted((row.expected for row in rows[:-1]), reverse=True)
    assert rows[-1].key == "short"
    assert rows[-1].expected is rows[-1].probability_best is None
    assert judge([], HARD) is None


@pytest.mark.parametrize("sampler", ["random", "auto"])
def test_a_noisy_replay_names_a_better_network_than_luck_does(sampler):
    table = additive_table()
    curves = [search_table(table, HARD, sampler, seed, 60, noise=0.02) for seed in range(6)]
    selected, naive = (sum(getattr(curve, name) for curve in curves) / 6 for name in ("selected", "naive"))
    assert naive + 0.005 < selected <= 0.72
    again = search_table(table, HARD, sampler, 0, 60, noise=0.02)
    assert (again.selected, again.naive, again.best) == (curves[0].selected, curves[0].naive, curves[0].best)
    quiet = search_table(table, HARD, sampler, 0, 20)
    assert quiet.selected is quiet.naive is None

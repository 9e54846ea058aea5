"""On a real cluster: two nodes of Ray, each processes of its own, on this machine's loopback."""

import os
import sys
from collections import Counter

import pytest
import toy_driver
from chaos import Chaos
from ray_tasks import die, fail, lose, sleep, square
from toys import drive, new_run, settings, slow_toy, toy
from user import paint
from victims import RayVictims

from effsearch.architecture import parse
from effsearch.data import prepare
from effsearch.engine.retries import failure_of
from effsearch.errors import ExecutorError
from effsearch.evaluation.fine_tuning import FineTuning, Transfer
from effsearch.executors.local import WorkerLost
from effsearch.training import Recipe

ray = pytest.importorskip("ray", reason="needs Ray: python -m pip install 'effsearch[ray]'")
from ray.cluster_utils import Cluster  # noqa: E402

from effsearch.executors.ray_cluster import RayExecutor  # noqa: E402

TINY = parse("16px-stem_k3_s2_c8-ds_r1_k3_s1_e1_c8-head_c16-silu")


@pytest.fixture
def cache_of_nodes(monkeypatch, tmp_path):
    monkeypatch.setenv("EFFSEARCH_CACHE", str(tmp_path / "nodes"))
    return tmp_path / "nodes"


@pytest.fixture
def cluster(monkeypatch):
    # Nodes import what the tests do, as those of a cluster import what is installed there.
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path for path in sys.path if path))
    found = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    yield found
    ray.shutdown()
    found.shutdown()


def trained(status) -> list[tuple[str, int, float]]:
    return [(r.candidate.key, r.candidate.seed, r.accuracy) for r in status.records if r.state == "complete"]


def test_tasks_end_as_their_functions_do(cluster, tmp_path):
    executor = RayExecutor(cluster.address)
    try:
        assert executor.workers == 1
        assert [executor.submit(square, number).result(60) for number in (2, 3)] == [4, 9]
        error = executor.submit(fail).exception(60)
        assert (type(error), str(error)) == (ValueError, "no such thing")
        assert executor.submit(die, tmp_path / "died").result(60) == "alive"
        # A process that has lost its GPU is not used again.
        assert executor.submit(lose, tmp_path / "lost").result(60) != int((tmp_path / "lost").read_text())
        late = executor.submit(sleep, timeout=0.5).exception(30)
        assert failure_of(late)[0] == "hung"
    finally:
        executor.stop()
    assert not ray.is_initialized()


def test_a_search_over_two_nodes_survives_the_death_of_one_and_ends_as_a_local_one(cluster, tmp_path, monkeypatch):
    node = cluster.add_node(num_cpus=1)
    cluster.wait_for_nodes()
    executor, submitted = RayExecutor(cluster.address), []
    submit = executor.submit

    def counted(*task, **options):
        submitted.append(task)
        # By then both nodes are at work, and much is left to do.
        if len(submitted) == 10:
            cluster.remove_node(node, allow_graceful=False)
        return submit(*task, **options)

    monkeypatch.setattr(executor, "submit", counted)
    assert executor.workers == 2
    chosen = settings(sampler="random")
    status = drive(new_run(tmp_path, "ray"), chosen, 24, slow_toy, executor)
    assert status.problem is None
    assert len(submitted) == 24
    assert max(Counter(trained(status)).values()) == 1
    local = drive(new_run(tmp_path, "local"), chosen, 24, toy)
    assert sorted(trained(status)) == sorted(trained(local))


def test_nodes_without_the_images_train_on_what_reaches_them_through_the_cluster(cache_of_nodes, cluster, tmp_path):
    sets = [paint(tmp_path / name, {"train": count, "test": 4}) for name, count in (("few", 12), ("many", 20))]
    folders = tuple(prepare(root / "images", 16, cache=root / "cache") for root in sets)
    training = FineTuning(folders, None, "cpu", Recipe(batch=8), epochs=1)
    executor = RayExecutor(cluster.address, images=folders)
    try:
        here = [executor.submit(training, Transfer(TINY, None, number), 0).result(120) for number in (0, 1)]
        assert not cache_of_nodes.exists()
        for folder in folders:
            folder.rename(folder.with_name("away"))
        there = [executor.submit(training, Transfer(TINY, None, number), 0).result(120) for number in (0, 1)]
    finally:
        executor.stop()
    assert [(each.accuracy, each.test) for each in there] == [(each.accuracy, each.test) for each in here]
    assert {path.name for path in (cache_of_nodes / "packed").iterdir()} == {folder.name for folder in folders}


# Here, as the tests of one file run one after another: `auto` finds every cluster of the machine.
def test_kills_of_drivers_workers_and_nodes_lose_repeat_and_hang_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", toy_driver.environment()["PYTHONPATH"])
    run = new_run(tmp_path)
    with RayVictims(absence=1.0) as victims:
        command = [sys.executable, toy_driver.__file__, str(run.path), victims.address]
        outcome = Chaos(command, run, 3, 2.0, seed=9, patience=60, victims=victims)()
    assert outcome.sound, outcome
    assert outcome.killed["node"] >= 1, outcome
    assert outcome.killed.total() >= 2, outcome
    assert outcome.finished == 16


def test_a_lost_worker_is_one_fault_wherever_it_was():
    assert failure_of(WorkerLost("on the Ray cluster: NodeDiedError"))[0] == "lost"


@pytest.mark.parametrize("address", ["auto", "127.0.0.1:1"])
def test_no_cluster_is_one_line(address, monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with pytest.raises(ExecutorError, match=f"no Ray cluster at {address}") as error:
        RayExecutor(address)
    assert "\n" not in str(error.value)

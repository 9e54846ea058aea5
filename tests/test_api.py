import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import effsearch
from effsearch import api
from effsearch.errors import QuantityError, RunError, SpaceError
from effsearch.runs.ranking import read_ranking


def large_kernels(network: api.Architecture) -> float:
    """The more 5 x 5 kernels the better."""
    return 0.1 + 0.1 * sum(stage.kernel == 5 for stage in network.stages)


def test_a_search_finds_what_a_function_prefers():
    found = api.search("tiny", large_kernels, target_flops=8e6, trials=30)
    assert len({each.architecture.key for each in found}) == len(found) == 30
    assert [each.reward for each in found] == sorted((each.reward for each in found), reverse=True)
    assert found[0].accuracy == max(each.accuracy for each in found)
    assert all(0.9 <= each.cost.flops / 8e6 <= 1.1 for each in found)
    assert found[0].reward == pytest.approx(found[0].accuracy * (found[0].cost.flops / 8e6) ** -0.07)


@pytest.mark.parametrize("sampler", ["auto", "evolution", "tpe"])
def test_the_same_seed_gives_the_same_search(sampler):
    one, two = (
        api.search("tiny", large_kernels, target_flops=8e6, trials=12, sampler=sampler, seed=5) for _ in range(2)
    )
    assert [each.architecture.key for each in one] == [each.architecture.key for each in two]


def test_networks_to_start_with_are_evaluated_first():
    seen = []

    def note(network):
        seen.append(network)
        return 0.5

    api.search("mbconv", note, target_flops=400e6, trials=3, start=["b0"])
    assert seen[0].key == "8836f82671"


def test_what_was_found_grows_and_is_built():
    best = api.search("tiny", large_kernels, target_flops=8e6, trials=8)[0].architecture
    grown = api.scale(best, phi=1)
    assert api.cost(grown).flops > 1.5 * api.cost(best).flops
    network = api.build(grown, 10).eval()
    assert network(torch.zeros(2, 3, 64, 64)).shape == (2, 10)
    assert api.scale("b0", 0) == api.parse(api.scale("b0", 0).notation)


def test_an_exhausted_window_ends_the_search(monkeypatch):
    monkeypatch.setattr("effsearch.engine.space_sampler.TRIES", 1000)
    found = api.search(
        "tiny", large_kernels, target_flops=8e6, trials=10_000, sampler="random", flops_window=(0.5, 0.5005)
    )
    assert 0 < len(found) < 10_000


@pytest.mark.parametrize(
    ("changes", "error", "said"),
    [
        ({"trials": 0}, QuantityError, "at least 1, got 0"),
        ({"target_flops": -1.0}, QuantityError, "above 0"),
        ({"space": "nowhere"}, SpaceError, "nowhere"),
        ({"sampler": "magic"}, SpaceError, "got 'magic'"),
        ({"evaluate": lambda network: math.nan}, QuantityError, "got nan"),
    ],
)
def test_what_makes_no_sense_is_said(changes, error, said):
    asked = {"space": "tiny", "evaluate": large_kernels, "target_flops": 8e6, "trials": 3} | changes
    with pytest.raises(error, match=said):
        api.search(asked.pop("space"), asked.pop("evaluate"), **asked)


def test_the_package_has_the_names_of_its_library():
    assert sorted({*effsearch.__all__} - {"__version__"}) == sorted(api.__all__)
    for name in api.__all__:
        assert getattr(effsearch, name) is getattr(api, name), name


def test_a_search_in_a_folder_is_continued(tmp_path):
    seen: list[str] = []

    def noted(network):
        seen.append(network.key)
        return large_kernels(network)

    asked = {"target_flops": 8e6, "results": tmp_path, "sampler": "random"}
    first = api.search("tiny", noted, trials=6, run="mine", **asked)
    assert len(first) == 6
    assert len(read_ranking(tmp_path / "mine" / "ranking.csv")) == 6
    more = api.search("tiny", noted, trials=10, resume="mine", **asked)
    assert len(more) == 10
    assert {each.architecture.key for each in first} < {each.architecture.key for each in more}
    assert len(seen) == len(set(seen)) == 10, "what was evaluated is not evaluated again"
    with pytest.raises(RunError, match="other settings: target"):
        api.search("tiny", noted, trials=12, resume="mine", **asked | {"target_flops": 9e6})
    page = api.report("mine", results=tmp_path)
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")


def test_workers_find_the_same_and_a_failure_is_a_failed_trial(tmp_path):
    asked = {"target_flops": 8e6, "trials": 8, "sampler": "random"}
    alone = {each.architecture.key: each.accuracy for each in api.search("tiny", large_kernels, **asked)}
    beside = api.search("tiny", mostly_large_kernels, workers=2, run="two", results=tmp_path, **asked)
    rows = read_ranking(tmp_path / "two" / "ranking.csv")
    failed = {row.key for row in rows if row.state == "failed"}
    assert failed
    assert len(beside) == len(rows) - len(failed) == 8, "what failed is made up for"
    assert all(alone.get(each.architecture.key, each.accuracy) == each.accuracy for each in beside)
    assert alone.keys() - failed <= {each.architecture.key for each in beside}


def mostly_large_kernels(network: api.Architecture) -> float:
    """The same, but for those that it fails on."""
    if all(stage.kernel == 5 for stage in network.stages[:2]):
        raise ValueError("too large")
    return large_kernels(network)


def test_what_a_function_raises_ends_a_search_without_workers():
    with pytest.raises(ZeroDivisionError):
        api.search("tiny", lambda network: 1 / 0, target_flops=8e6, trials=3)


def test_progress_is_told_of_every_network(tmp_path):
    counts: list[int] = []
    api.search(
        "tiny", large_kernels, target_flops=8e6, trials=5, progress=lambda status: counts.append(len(status.records))
    )
    assert counts == sorted(counts)
    assert counts[-1] == 5
    assert set(range(1, 6)) <= set(counts)


@pytest.fixture
def images(tmp_path, monkeypatch) -> Path:
    """A folder of small images of two classes, dark and light."""
    monkeypatch.setenv("EFFSEARCH_CACHE", str(tmp_path / "cache"))
    rng = np.random.default_rng(0)
    for name, level in (("dark", 60), ("light", 190)):
        folder = tmp_path / "images" / name
        folder.mkdir(parents=True)
        for index in range(40):
            pixels = np.clip(rng.normal(level, 30, (16, 16, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / f"{index}.png")
    return tmp_path / "images"


def test_a_network_is_searched_grown_trained_and_exported_by_the_library(images, tmp_path):
    small = {"proxy_resolution": 32, "proxy_epochs": 1, "data": str(images), "results": tmp_path, "workers": 1}
    found = api.search("tiny", target_flops=8e6, trials=2, repeats=1, warm_start=False, run="nas", **small)
    assert len(found) == 2
    best = found[0].architecture
    statuses: list[api.Status] = []
    outcome = api.grid(
        best.notation, phi=1, step=0.5, repeats=1, trials=2, run="grid", progress=statuses.append, **small
    )
    assert outcome.run.name == "grid"
    assert statuses[-1].records
    drawn = api.curves(best.notation, axes=("depth",), under=False, points=(1.0, 2.0), repeats=1, run="curves", **small)
    assert drawn.finished
    assert all(file.is_file() for file in drawn.files)
    small["proxy_epochs"] = 2
    long = api.verify("nas", against=["random:1"], seeds=2, run="long", **small)
    assert long.finished
    assert {row.seeds for row in long.rows} == {2}
    assert long.notes[0].startswith("found is ")
    run = api.train(best.notation, data=str(images), resolution=32, epochs=1, batch=16, run="whole", results=tmp_path)
    assert (run.path / "weights.safetensors").is_file()
    scores = api.evaluate("whole", results=tmp_path)
    assert scores.images == sum(row.images for row in scores.by_class)
    said = api.predict("whole", [images], results=tmp_path)
    assert {row.classes for row in said} <= {scores.classes, scores.classes[::-1]}
    made = api.export("whole", "safetensors", tmp_path / "exported", results=tmp_path)
    assert all(file.is_file() for file in made.files)

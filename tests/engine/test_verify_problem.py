"""Long trainings of what a search found beside its rivals, with accuracies by formula."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from toys import InProcess, toy

from effsearch.architecture import Architecture
from effsearch.engine.driver import Status, drive
from effsearch.engine.retries import ATTEMPTS
from effsearch.engine.verify_problem import VerifyProblem
from effsearch.errors import QuantityError
from effsearch.evaluation import QUICK, Evaluation
from effsearch.executors.local import WorkerLost
from effsearch.families import EFFICIENTNET_B0, MNASNET_A1, MOBILENET_V2
from effsearch.reports.verification import Verification
from effsearch.runs.folder import Run, create
from effsearch.runs.manifest import About, Data, Limits, Manifest
from effsearch.runs.ranking import ranking
from effsearch.runs.settings import VerifiedNetwork, VerifySettings, from_document, to_document
from effsearch.training import Diverged

EPOCHS = 40
FOUND, B0, OTHER = (network.notation for network in (MNASNET_A1, EFFICIENTNET_B0, MOBILENET_V2))


def settings(**changes: Any) -> VerifySettings:
    networks = (VerifiedNetwork(FOUND, "found", 0.6), VerifiedNetwork(B0, "b0", 0.5), VerifiedNetwork(OTHER, "random"))
    values: dict[str, Any] = {"run": "first", "networks": networks, "data": "scenes", "resolution": 224}
    return VerifySettings(**values | {"proxy": replace(QUICK, epochs=EPOCHS), "run_epochs": 4, "seed": 3} | changes)


def by_formula(architecture: Architecture, seed: int, until: int, checkpoint: bytes | None) -> Evaluation:
    assert checkpoint is None
    return replace(toy(architecture, seed), accuracy=accuracy(architecture.key, seed), epochs=until)


def accuracy(key: str, seed: int) -> float:
    """MnasNet-A1 is 4 points above B0 on average, the other as good as B0; some luck of the seed, and some noise."""
    own = 0.54 if key == MNASNET_A1.key else 0.50
    return own + 0.01 * seed + 0.001 * ((seed * int(key[:2], 16)) % 3)


def new_run(folder: Path, chosen: VerifySettings) -> Run:
    manifest = Manifest(About("verify"), chosen, Data(), Limits(seeds=3))
    return create(folder, "verified", manifest.to_document())


def verify(run: Run, repeats: int = 3, evaluator: Any = by_formula, **options: Any) -> Status:
    problem = VerifyProblem(run.settings(VerifySettings), repeats)
    *_, last = drive(run, problem, evaluator, InProcess(), **options)
    return last


def trained(status: Status) -> list[tuple[str, int]]:
    return [(r.candidate.source, r.candidate.seed) for r in status.records if r.state == "complete"]


def test_every_network_is_trained_under_every_seed_seed_by_seed(tmp_path):
    run = new_run(tmp_path, settings())
    status = verify(run)
    assert trained(status) == [(role, seed) for seed in (3, 4, 5) for role in ("found", "b0", "random")]
    assert {record.epochs for record in status.records} == {EPOCHS}
    assert status.problem is None
    rows = ranking(status.records, settings().score)
    assert rows[0].source == "found"
    assert all(row.reward == row.accuracy for row in rows), "ranked by accuracy alone"
    assert status.outlook.text == "9/9 trainings"


def test_a_run_goes_on_from_where_it_was_stopped_and_with_more_seeds(tmp_path):
    run = new_run(tmp_path, settings())
    count = 0

    def stopping() -> bool:
        nonlocal count
        count += 1
        return count > 9

    part = verify(run, stopping=stopping)
    assert 0 < len(trained(part)) < 9
    assert len(trained(verify(run))) == 9
    more = verify(run, repeats=4)
    assert trained(more)[9:] == [(role, 6) for role in ("found", "b0", "random")]
    fewer = verify(run, repeats=2)
    assert (len(trained(fewer)), fewer.outlook.text) == (12, "12/12 trainings")
    assert Verification.read(run).rows[0].seeds == 4


def test_what_is_lost_is_tried_again_and_what_diverges_is_left_out(tmp_path):
    lost: dict[tuple[str, int], int] = {}

    def shaky(architecture: Architecture, seed: int, until: int, checkpoint: bytes | None) -> Evaluation:
        task = architecture.key, seed
        if architecture.key == MOBILENET_V2.key and seed == 4:
            raise Diverged("the loss is not finite")
        if seed == 5 and lost.setdefault(task, 0) < ATTEMPTS - 1:
            lost[task] += 1
            raise WorkerLost("the node went away")
        return by_formula(architecture, seed, until, checkpoint)

    run = new_run(tmp_path, settings())
    status = verify(run, evaluator=shaky)
    of = Verification(settings(), status.records)
    assert [row.seeds for row in of.rows] == [3, 3, 2]
    assert of.model.freedom == 3
    assert of.rows[0].difference == pytest.approx(0.04, abs=0.002)
    assert None not in (of.rows[2].difference, of.rows[2].difference_low)


def test_a_network_without_a_finished_training_has_an_empty_accuracy(tmp_path):
    def broken(architecture: Architecture, seed: int, until: int, checkpoint: bytes | None) -> Evaluation:
        if architecture.key == EFFICIENTNET_B0.key:
            raise Diverged("the loss is not finite")
        return by_formula(architecture, seed, until, checkpoint)

    of = Verification(settings(), verify(new_run(tmp_path, settings()), evaluator=broken).records)
    b0 = of.rows[1]
    assert (b0.accuracy, b0.accuracy_low, b0.seeds, b0.difference) == (None, None, 0, None)
    assert of.names[of.compared] == "random", "in place of B0"
    assert of.lines()[0].startswith("found is better than random by ")


def test_settings_go_into_a_run_and_back():
    assert from_document("verify", to_document(settings())) == settings()
    assert settings().names == ["found", "b0", "random"]
    networks = settings().networks
    twice = (*networks, VerifiedNetwork(OTHER.replace("c1280", "c640"), "random"))
    assert settings(networks=twice).names == ["found", "b0", "random 1", "random 2"]
    for wrong in ((), networks[:1], (networks[0], networks[0]), (*networks, networks[1])):
        with pytest.raises(QuantityError, match="two networks at least"):
            settings(networks=wrong)
    with pytest.raises(QuantityError, match=r"an accuracy must be from 0 to 1, got 1\.5"):
        VerifiedNetwork(B0, "b0", 1.5)
    with pytest.raises(QuantityError, match="--top must be"):
        settings(top=0)


def test_planned_seconds_are_of_all_trainings():
    problem = VerifyProblem(settings(), 3)
    once = EPOCHS * QUICK.train_images * 1e-3 + QUICK.validation_images * 1e-4 + 1
    assert problem.planned_seconds(1e-3, 1e-4, 2) == pytest.approx(9 * once / 2)

"""Run folders as the commands leave them, without a training: of a search, a grid, curves and one training."""

import base64
import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import optuna

from effsearch.architecture import parse
from effsearch.coefficient_grid import CoefficientGrid, cells
from effsearch.costs import cost
from effsearch.evaluation.scores import Confused, Scores, WorstImage
from effsearch.reports.evaluation import evaluation_json
from effsearch.runs.folder import Run, create
from effsearch.runs.ranking import ranking, to_csv
from effsearch.runs.records import Candidate, Record
from effsearch.runs.storage import close_storage, open_storage
from effsearch.runs.trial_store import CANDIDATE, EVALUATION, STUDY
from effsearch.scaling import Coefficients, axis_curves, grow

PROXY = {"name": "quick", "resolution": 40, "width": 0.25, "epochs": 4, "train_images": 4000, "validation_images": 4000}
BASELINE = "32px-stem_k3_s2_c8-ds_r1_k3_s1_e1_c8-ir_r1_k3_s2_e2_c16-head_c32-relu"
NOTATION = (
    "224px-stem_k3_s2_c32-ds_r1_k3_s1_e1_c16_se0.25-ir_r2_k3_s2_e6_c{}_se0.25-ir_r2_k5_s2_e6_c40_se0.25"
    "-ir_r3_k3_s2_e6_c80_se0.25-ir_r3_k5_s1_e6_c112_se0.25-ir_r4_k5_s2_e6_c192_se0.25-ir_r1_k3_s1_e6_c320_se0.25"
    "-head_c1280-silu"
)

HOSTILE = (
    "</script><script>document.documentElement.dataset.owned='yes'</script><img src=x onerror=alert(1)>\"'&{{7*7}}"
)


def manifest(kind: str, classes: Sequence[str] = ("cat", "dog"), **settings: Any) -> dict[str, Any]:
    about = {"kind": kind, "created": "2026-01-01T00:00:00+00:00", "command": f"effsearch {kind} --seed 0"}
    known: dict[str, Any] = {"data": "scenes", "exponent": -0.07, "classes": 1000}
    if kind == "nas":
        known |= {"space": "mbconv", "target": 4e8, "reward": "soft", "resolution": 224}
    elif kind == "train":
        known |= {"name": "tiny", "resolution": 32, "epochs": 3, "recipe": {"batch": 32}}
    return {
        "run": about | {"versions": {"torch": "2.6"}},
        "settings": known | {"proxy": PROXY} | settings,
        "data": {"name": "scenes", "synthetic": True, "classes": list(classes), "train": 4000},
    }


def record(number: int, key: str, notation: str, flops: int, accuracy: float | None, **more: Any) -> Record:
    about = {"params": flops // 80, "seed": 0, "source": "auto"} | more
    epochs = about.pop("trained", 4)
    candidate = Candidate(key, notation, flops, **about)
    if accuracy is None:
        return Record(number, "failed", candidate, reason="out of memory")
    return Record(number, "complete", candidate, accuracy, accuracy * (flops / 4e8) ** -0.07, epochs, 9.5)


def write_run(
    folder: Path, name: str, about: Mapping[str, Any], records: Sequence[Record], journal: bool = True
) -> Run:
    run = create(folder, name, about)
    reward = run.manifest().score
    run.ranking.write_text(to_csv(ranking(records, reward)), encoding="utf-8")
    if journal:
        storage = open_storage(run)
        study = optuna.create_study(study_name=STUDY, storage=storage, direction="maximize")
        study.add_trials([_trial(each) for each in records])
        close_storage(storage)
    return run


def _trial(of: Record) -> optuna.trial.FrozenTrial:
    history = [{"epoch": n, "loss": 2 / n, "accuracy": None, "seconds": 1.0} for n in range(1, (of.epochs or 0) + 1)]
    evaluation = {"accuracy": of.accuracy, "epochs": of.epochs, "seconds": of.seconds, "history": history}
    evaluation |= {} if of.test is None else {"test": of.test}
    failed = of.accuracy is None
    return optuna.trial.create_trial(
        state=optuna.trial.TrialState.FAIL if failed else optuna.trial.TrialState.COMPLETE,
        value=of.reward,
        params={"kernel": 3 + 2 * (of.number % 2), "width": of.number % 7},
        distributions={
            "kernel": optuna.distributions.CategoricalDistribution([3, 5]),
            "width": optuna.distributions.IntDistribution(0, 6),
        },
        user_attrs={CANDIDATE: asdict(of.candidate)} | ({} if failed else {EVALUATION: evaluation}),
    )


def nas_run(folder: Path, count: int = 30, name: str = "search", journal: bool = True, **settings: Any) -> Run:
    """A search of so many networks, of which the first is B0 under two seeds, and the last failed."""
    rng = random.Random(0)
    records = [record(0, "b0", NOTATION.format(24), 385_814_752, 0.66, source="b0")]
    for number in range(1, count - 1):
        flops = rng.randrange(200_000_000, 480_000_000)
        accuracy = 0.5 + 0.2 * (flops / 4.8e8) ** 0.5 + rng.gauss(0, 0.01)
        records.append(record(number, f"{number:010x}", NOTATION.format(24 + 8 * number), flops, accuracy))
    records.append(record(count - 1, "bad", NOTATION.format(23), 300_000_000, None))
    records.append(record(count, "b0", NOTATION.format(24), 385_814_752, 0.68, source="b0", seed=1))
    return write_run(folder, name, manifest("nas", **settings), records, journal)


def grid_run(folder: Path, name: str = "grid") -> Run:
    """A grid around a tiny baseline, by halving, under two seeds."""
    baseline, grid = parse(BASELINE), CoefficientGrid(step=0.1, tolerance=0.15)
    found: list[Record] = []
    rng = random.Random(0)
    for cell in [cell for cell in cells(baseline, grid) if cell.role == "candidate"]:
        total, by = cost(cell.architecture), cell.coefficients
        about = {"params": total.params, "coefficients": by, "source": "candidate"}
        for seed in (0, 1):
            accuracy = 0.7 - 0.3 * (by.alpha - 1.2) ** 2 - 0.3 * (by.beta - 1.1) ** 2 + rng.gauss(0, 0.002)
            one = (cell.architecture.key, cell.architecture.notation, total.flops)
            if seed == 0:
                found.append(record(len(found), *one, accuracy - 0.1, **about, epochs=2, trained=2))
            if by.alpha < 1.8:
                found.append(record(len(found), *one, accuracy, **about | {"seed": seed}))
    flops = cost(baseline).flops
    one = {"params": cost(baseline).params, "coefficients": Coefficients(1, 1, 1), "source": "baseline"}
    found.append(record(len(found), baseline.key, BASELINE, flops, 0.6, **one))
    rounding = {"depth": "ceil", "divisor": 8, "multiple": 1}
    settings = {"baseline": BASELINE, "name": "tiny", "grid": {"target": 2.0, "phi": 1.0, "rounding": rounding}}
    return write_run(folder, name, manifest("grid", **settings), found)


def curves_run(folder: Path, name: str = "curves") -> Run:
    """Growth along depth and width, in two points each."""
    baseline, found = parse(BASELINE), []
    networks = {}
    for curve in axis_curves(("depth", "width"), (1.0, 2.0)):
        for by in curve.points:
            networks[grow(baseline, by).key] = (grow(baseline, by), by)
    for network, by in networks.values():
        total = cost(network)
        about = {"params": total.params, "multipliers": by}
        found.append(record(len(found), network.key, network.notation, total.flops, 0.5 + 0.1 * by.width, **about))
    settings = {"baseline": BASELINE, "name": "tiny", "points": [1.0, 2.0], "axes": ["depth", "width"], "under": False}
    return write_run(folder, name, manifest("curves", **settings), found)


def verify_run(folder: Path, name: str = "verified") -> Run:
    """Long trainings of three networks under three seeds, one of which failed: the first is 2 points above B0."""
    networks = [
        ("found", NOTATION.format(32), 0.7),
        ("b0", NOTATION.format(24), 0.66),
        ("random", NOTATION.format(40), None),
    ]
    settings = {
        "run": "search",
        "networks": [{"notation": n, "role": r} | ({} if a is None else {"accuracy": a}) for r, n, a in networks],
        "resolution": 224,
        "run_epochs": 2,
        "against": ["b0", "random:1"],
        "seed": 3,
    }
    found = []
    for seed in (3, 4, 5):
        for index, (role, notation, _) in enumerate(networks):
            network, chance = parse(notation), 0.002 * ((seed * index) % 3)
            about = {"params": cost(network).params, "source": role, "seed": seed, "epochs": 4}
            accuracy = None if (role, seed) == ("random", 5) else 0.74 - 0.02 * index + 0.01 * seed + chance
            one = (network.key, network.notation, cost(network).flops)
            found.append(record(len(found), *one, accuracy, **about))
    return write_run(folder, name, manifest("verify", **settings), found)


def transfer_run(folder: Path, name: str = "transferred") -> Run:
    """Two networks on two image sets under two seeds, the second network from fresh weights and worse."""
    networks = [("large", NOTATION.format(32), "imagenet"), ("small", NOTATION.format(24), "scratch")]
    settings = {
        "networks": [{"name": n, "notation": t, "weights": w, "asked": n} for n, t, w in networks],
        "sets": [
            {"name": n, "data": n, "digest": "d", "classes": 9, "train": 80, "validation": 20, "test": 30}
            for n in ("cars", "birds")
        ],
        "recipe": {"batch": 32},
        "epochs": 4,
        "reference": "large",
    }
    found = []
    for seed in (0, 1):
        for images in ("cars", "birds"):
            for index, (network, notation, weights) in enumerate(networks):
                key, flops = f"{network}-on-{images}", cost(parse(notation)).flops
                one = record(
                    len(found), key, notation, flops, 0.8 - 0.1 * index, source=weights, seed=seed, epochs=None
                )
                found.append(replace(one, test=0.82 - 0.1 * index + 0.01 * seed))
    return write_run(folder, name, manifest("transfer", **settings), found)


def scores(classes: Sequence[str] = ("cat", "dog"), **more: Any) -> Scores:
    """Of nine images, two of the first class taken for the last one; one of them is the worst, in a red of 4 px."""
    last = len(classes) - 1
    confusion = (Confused(0, 0, 3), Confused(0, last, 2), Confused(last, last, 4))
    worst = WorstImage(0, last, 0.97, 0.0004, 4, base64.b64encode(bytes([200, 20, 20]) * 16).decode())
    top5 = 8 if len(classes) >= 10 else None
    about = Scores("scenes", "test", 32, tuple(classes), confusion, top5, 0.61, 0.2, 0.083, (worst,))
    return replace(about, **more)


def train_run(folder: Path, name: str = "training", finished: bool = True) -> Run:
    """One training of three epochs."""
    run = create(folder, name, manifest("train", notation=BASELINE))
    lines = [{"epoch": n, "loss": 2.0 / n, "accuracy": 0.2 * n, "seconds": 3.0} for n in (1, 2, 3)]
    (run.path / "metrics.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    if finished:
        result = {"validation": {"top1": 0.61, "top5": 0.9, "images": 4000}}
        (run.path / "result.json").write_text(json.dumps(result))
        (run.path / "evaluation.json").write_text(evaluation_json(scores()))
    return run


def hostile_run(folder: Path) -> Run:
    """A search whose names, notations and classes are made to get out of where they stand."""
    records = [
        record(
            number, f"{HOSTILE}{number}", f"{HOSTILE}{number}", 10**8 * (number + 1), 0.5 + number / 99, source=HOSTILE
        )
        for number in range(3)
    ]
    records.append(record(3, "bad", HOSTILE, 10**8, None))
    about = manifest("nas", classes=[HOSTILE, "b"], sampler=HOSTILE)
    about["run"]["command"] = about["data"]["name"] = HOSTILE
    about["settings"][HOSTILE] = HOSTILE
    run = write_run(folder, "innocent", about, records)
    return Run(run.path.rename(folder / "<script>alert(1)<"))

"""Run folders that someone else made: each file in turn nearly right, looked at by every command that looks."""

import json
import random
import shutil
import sys
import tomllib
import zlib
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tomli_w
import torch
from folders import curves_run, grid_run, nas_run, train_run, verify_run
from fuzzing import changed, fuzz, garbled, harmless, texts, whole
from hypothesis import given, strategies as st
from matplotlib import font_manager
from toys import TINY, InProcess, drive, new_run, settings, toy

from effsearch.architecture import Architecture
from effsearch.cli import main
from effsearch.coefficient_grid import CoefficientGrid
from effsearch.data.packed import CorruptError, PackedInfo, check, write_meta
from effsearch.engine import driver as search
from effsearch.engine.growth_problems import CurvesProblem
from effsearch.engine.surface_problem import grid_problem
from effsearch.engine.verify_problem import VerifyProblem
from effsearch.evaluation import QUICK, Evaluation
from effsearch.executors.latency_profiler import LEAST, LatencyProfiler
from effsearch.families import EFFICIENTNET_B0, MNASNET_A1
from effsearch.runs.folder import Run
from effsearch.runs.records import Failure, to_json
from effsearch.runs.settings import (
    CurvesSettings,
    GridSettings,
    LatencyConditions,
    Method,
    TrainSettings,
    VerifiedNetwork,
    VerifySettings,
    from_document,
    to_document,
)
from effsearch.training import CorruptCheckpoint, Epoch
from effsearch.training.checkpoint import history_of, pack
from effsearch.training.recipe import RECIPES

# Matplotlib keeps what it knows of fonts in the user's cache, the first time.
font_manager.findfont("sans")

FAILURE = Failure("key", "notation", 0, 2, "reason", "error", 1, "Traceback\n  line")
COEFFICIENTS = {"alpha": 1.2, "beta": 1.1, "gamma": 1.15, "baseline": "b0", "phi": 1.0}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    """A run of each command, with all files that one may have."""
    folder = tmp_path_factory.mktemp("made")
    found = {
        "nas": nas_run(folder, 5, rungs=[2, 4], seed=0),
        "grid": grid_run(folder),
        "curves": curves_run(folder),
        "train": train_run(folder),
        "verify": verify_run(folder),
    }
    for run in found.values():
        run.failed.write_text(to_json([FAILURE]))
        run.write_coefficients(COEFFICIENTS)
    return found


def mutated(draw: st.DrawFn, file: Path) -> bytes:
    """Other content for a file: by its form, or as bytes."""
    content = file.read_bytes()
    if draw(st.integers(0, 3)) == 0:
        return draw(garbled(content))
    text = content.decode()
    if file.suffix == ".toml":
        return tomli_w.dumps(_table(draw(changed(tomllib.loads(text))))).encode()
    if file.suffix == ".json":
        return json.dumps(draw(changed(json.loads(text)))).encode()
    lines = text.splitlines()
    number = draw(st.integers(0, len(lines) - 1))
    if file.suffix == ".csv":
        cells = lines[number].split(",")
        cells[draw(st.integers(0, len(cells) - 1))] = draw(st.one_of(texts, whole.map(str), st.floats().map(str)))
        lines[number] = ",".join(cells)
    else:
        lines[number] = json.dumps(draw(changed(json.loads(lines[number]))))
    return "\n".join([*lines, ""]).encode()


def _table(document: Any) -> dict[str, Any]:
    return document if isinstance(document, dict) else {"value": document}


def look(results: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]) -> None:
    """A command, which may end well or in one line."""
    monkeypatch.setattr(sys, "argv", ["effsearch", *arguments, "--results", str(results)])
    with harmless(results), pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code in (None, 0, 2)


LOOKS = (
    ("show",),
    ("show", "--failed"),
    ("show", "--fidelity"),
    ("show", "--plot"),
    ("show", "--format", "json"),
    ("show", "--format", "markdown", "--sort", "accuracy", "--pareto"),
    ("runs",),
    ("report",),
    ("plot", "--kind", "pareto"),
    ("plot", "--kind", "progress"),
    ("plot", "--kind", "surface"),
    ("plot", "--kind", "curves"),
    ("plot", "--kind", "means"),
    ("describe", "run:1"),
    ("scale", "b0", "--from", "run", "--phi", "1"),
)
FILES = {
    "nas": ("run.toml", "ranking.csv", "failed.json", "journal.log"),
    "grid": ("run.toml", "ranking.csv", "coefficients.json"),
    "curves": ("run.toml", "ranking.csv"),
    "train": ("run.toml", "metrics.jsonl", "result.json", "evaluation.json"),
    "verify": ("run.toml", "ranking.csv", "journal.log"),
}


@given(st.data())
@fuzz
def test_every_command_that_looks(made, tmp_path_factory, data):
    kind = data.draw(st.sampled_from(sorted(made)))
    name = data.draw(st.sampled_from(FILES[kind]))
    results = tmp_path_factory.getbasetemp() / "results"
    shutil.rmtree(results, ignore_errors=True)
    folder = Path(shutil.copytree(made[kind].path, results / "run"))
    (folder / name).write_bytes(mutated(data.draw, folder / name))
    with pytest.MonkeyPatch.context() as monkeypatch:
        look(results, monkeypatch, data.draw(st.sampled_from(LOOKS)))


B0 = EFFICIENTNET_B0.notation
NETWORKS = (VerifiedNetwork(B0, "found", 0.5), VerifiedNetwork(MNASNET_A1.notation, "mnasnet_a1"))
READ: dict[str, dict[str, Any]] = {
    "nas": to_document(settings()),
    "grid": to_document(GridSettings(B0, "b0", CoefficientGrid(), "scenes", QUICK)),
    "curves": to_document(CurvesSettings(B0, "b0", "scenes", QUICK)),
    "verify": to_document(VerifySettings("first", NETWORKS, "scenes", QUICK, 224, 4)),
    "train": to_document(TrainSettings(B0, "b0", "scenes", 224, 3, RECIPES["efficientnet"][0])),
}


@pytest.mark.parametrize("kind", READ)
@given(st.data())
@fuzz
def test_the_settings_of_a_run_that_is_continued(kind, tmp_path_factory, data):
    found = _table(data.draw(changed(tomllib.loads(tomli_w.dumps(READ[kind])))))
    with harmless(tmp_path_factory.getbasetemp()):
        from_document(kind, found)


SMALL = (
    "64px-stem_k3_s2_c16-ds_r1_k5_s1_e1_c16_se0.25-ir_r2_k3_s2_e6_c16_se0.25-ir_r2_k5_s2_e6_c64_se0.25-head_c128-silu"
)


def sometimes(
    architecture: Architecture, seed: int, until: int | None = None, checkpoint: bytes | None = None
) -> Evaluation:
    """An accuracy at once, or a failure."""
    if int(architecture.key, 16) % 3 == 0:
        raise ValueError("a mistake")
    return replace(toy(architecture, seed), epochs=until or 1)


def go_on_with_nas(run: Run, trials: int) -> None:
    drive(run, settings(), trials, sometimes)


def go_on_with_grid(run: Run, trials: int, method: Method = "halving") -> None:
    chosen = GridSettings(SMALL, "small", CoefficientGrid(step=0.2), "scenes", QUICK, method=method)
    to_the_end(run, grid_problem(chosen, trials))


def go_on_with_curves(run: Run, trials: int) -> None:
    to_the_end(run, CurvesProblem(CurvesSettings(SMALL, "small", "scenes", QUICK, points=(1.0, float(trials)))))


def to_the_end(run: Run, problem: search.Problem) -> None:
    for _ in search.drive(run, problem, sometimes, InProcess()):
        pass


def go_on_with_verify(run: Run, trials: int) -> None:
    networks = tuple(VerifiedNetwork(SMALL.replace("k5", f"k{kernel}"), f"k{kernel}") for kernel in (3, 5, 7))
    to_the_end(run, VerifyProblem(VerifySettings("first", networks, "scenes", QUICK, 64, 4), trials))


GO_ON: dict[str, Callable[[Run, int], None]] = {
    "nas": go_on_with_nas,
    "grid": go_on_with_grid,
    "surface": partial(go_on_with_grid, method="surface"),
    "tpe": partial(go_on_with_grid, method="tpe"),
    "curves": go_on_with_curves,
    "verify": go_on_with_verify,
}


@pytest.fixture(scope="module")
def driven(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    """Searches of a few networks, some of which failed, that were killed midway."""
    folder = tmp_path_factory.mktemp("driven")
    found = {kind: new_run(folder, kind) for kind in GO_ON}
    for kind, run in found.items():
        GO_ON[kind](run, 3)
        lines = run.journal.read_bytes().splitlines(keepends=True)
        run.journal.write_bytes(b"".join(lines[: 2 * len(lines) // 3]))
    return found


@given(st.data())
@fuzz
def test_the_journal_of_a_run_that_is_continued(driven, tmp_path_factory, data):
    kind = data.draw(st.sampled_from(sorted(GO_ON)))
    results = tmp_path_factory.getbasetemp() / "journals"
    shutil.rmtree(results, ignore_errors=True)
    run = Run(Path(shutil.copytree(driven[kind].path, results / "run")))
    run.journal.write_bytes(mutated(data.draw, run.journal))
    with harmless(results):
        GO_ON[kind](run, 4)


MEASURED = [TINY.decode(TINY.sample(random.Random(seed))) for seed in range(LEAST)]
LATENCIES = {
    "sample": [network.notation for network in MEASURED],
    "latencies": {network.notation: 1e-9 * network.layers * network.resolution for network in MEASURED},
}


@given(changed(LATENCIES))
@fuzz
def test_latencies(tmp_path_factory, document):
    file = tmp_path_factory.getbasetemp() / "latency.json"
    file.write_text(json.dumps(document))
    with harmless(tmp_path_factory.getbasetemp()):
        LatencyProfiler.read(LatencyConditions(), 10, file)


def trained() -> bytes:
    """The state of a training that was stopped."""
    network, average = torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)
    optimizer = torch.optim.SGD(network.parameters(), 0.1)
    return pack(network, average, optimizer, torch.Generator(), [Epoch(1, 0.5, None, 1.0)])


CHECKPOINT = trained()


@given(garbled(CHECKPOINT))
@fuzz
def test_checkpoints(tmp_path_factory, content):
    with harmless(tmp_path_factory.getbasetemp(), CorruptCheckpoint):
        history_of(content)


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Packed images of two classes."""
    folder = tmp_path_factory.mktemp("packed")
    checksums: dict[str, int] = {}
    for split, count in (("train", 4), ("test", 2)):
        for what, array in (("pixels", np.zeros((count, 8, 8, 3), np.uint8)), ("labels", np.arange(count) % 2)):
            np.save(folder / f"{split}_{what}.npy", array)
            checksums[f"{split}_{what}.npy"] = zlib.crc32(array.data)
    counts = {"train": 4, "test": 2}
    about = PackedInfo("set", "there", ("cat", "dog"), 8, "0" * 64, False, counts, checksums=checksums)
    write_meta(folder, about)
    assert check(folder, pixels=True) == about
    return folder


@given(st.data())
@fuzz
def test_packed_images(packed, tmp_path_factory, data):
    folder = tmp_path_factory.getbasetemp() / "images"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(packed, folder)
    file = folder / data.draw(st.sampled_from(sorted(path.name for path in packed.iterdir())))
    file.write_bytes(mutated(data.draw, file) if file.suffix == ".json" else data.draw(garbled(file.read_bytes())))
    with harmless(folder, CorruptError):
        check(folder, pixels=True)

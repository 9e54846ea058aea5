"""The library in a few names, each as callable as its command; `import effsearch` gives them all.

A function that makes a run takes `run` to name it (an existing one is continued), `resume` to continue one, `results`
for the folder of all runs, and `progress`, which is told each status of the search (`Status`: its records, the seconds
so far, and how far it has come). Options of the commands that are not written out here are keyword arguments: those of
`Request` (such as workers, seconds, storage, cluster), and settings by their names (such as data, seed, proxy).
"""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, fields
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

from effsearch.architecture import Architecture, parse
from effsearch.coefficient_grid import CoefficientGrid
from effsearch.costs import Cost, cost
from effsearch.engine.driver import Status
from effsearch.engine.problem import Problem
from effsearch.errors import QuantityError
from effsearch.evaluation import FunctionEvaluator, Proxy
from effsearch.evaluation.scores import Prediction, Scores
from effsearch.exports import Exported
from effsearch.families import find
from effsearch.network import Network, build as build_network, load as load_network
from effsearch.reports.page import page_of, write_page
from effsearch.reward import Kind
from effsearch.runs.folder import Run, find as find_run, toml_text
from effsearch.runs.settings import WINDOW
from effsearch.scaling import AS_PUBLISHED, PAPER, Coefficients, Rounding, grow
from effsearch.space import Space, load as load_space
from effsearch.workflows.common import Listener, Outcome
from effsearch.workflows.curves import train_curves
from effsearch.workflows.evaluate import evaluate_network
from effsearch.workflows.grid import search_coefficients
from effsearch.workflows.nas import search_networks
from effsearch.workflows.predict import predict_images
from effsearch.workflows.request import GridRequest, GrowthRequest, Request, SearchRequest, TrainRequest, VerifyRequest
from effsearch.workflows.train import export_network, train_network
from effsearch.workflows.verify import verify_networks
from effsearch.workflows.weights import start_of

__all__ = [
    "Architecture",
    "Coefficients",
    "Cost",
    "Found",
    "Outcome",
    "Rounding",
    "Run",
    "Space",
    "Status",
    "build",
    "cost",
    "curves",
    "evaluate",
    "export",
    "grid",
    "load_network",
    "load_space",
    "parse",
    "predict",
    "report",
    "scale",
    "search",
    "train",
    "verify",
]

R = TypeVar("R", bound=Request)
Progress = Callable[[Status], object]


@dataclass(frozen=True)
class Found:
    """An architecture that was evaluated: its accuracy (a fraction), its reward, and what it costs."""

    architecture: Architecture
    accuracy: float
    reward: float
    cost: Cost


def search(
    space: Space | str,
    evaluate: Callable[[Architecture], float] | None = None,
    *,
    target_flops: float,
    trials: int | None = None,
    reward: Kind = "soft",
    flops_window: tuple[float, float] | None = WINDOW,
    start: Iterable[Architecture | str] = (),
    classes: int = 1000,
    progress: Progress | None = None,
    **options: Any,
) -> list[Found]:
    """Searches a space (or the name or file of one) for a compute budget, and returns what was found, the best first.

    `evaluate` gives the accuracy of an architecture as a fraction, in place of a training; what it raises ends the
    search, but with `workers` above 1, where it must be a function that can be pickled, it is a failed trial. Only
    networks within `flops_window` times `target_flops` (multiply-adds at `resolution` px and `classes` classes) are
    evaluated, none twice, those of `start` first. Without `run` or `resume` nothing is kept on disk. Raises
    EffsearchError for settings that make no sense.
    """
    if trials is not None and trials < 1:
        raise QuantityError(f"trials must be at least 1, got {trials}")
    here = evaluate is not None and options.get("workers") in (None, 1)
    function = _Remembering(evaluate) if here and evaluate is not None else evaluate
    texts = tuple(each.notation if isinstance(each, Architecture) else each for each in start)
    with TemporaryDirectory() as folder:
        if isinstance(space, Space):
            file = Path(folder) / f"{space.name}.toml"
            file.write_text(toml_text(space.to_document()), encoding="utf-8")
            space = str(file)
        settings = {"space": space, "target": target_flops, "reward": reward, "window": flops_window}
        settings |= {"classes": classes, "warm_start": evaluate is None}
        if options.keys().isdisjoint({"run", "resume"}):
            options["results"] = Path(folder)
        asked = {"settings": settings, "trials": trials, "start": texts, "function": function, **options}
        outcome = search_networks(_request(SearchRequest, asked), _Told(progress, function))
    found = []
    for row in outcome.rows:
        if row.rank is not None and row.accuracy is not None and row.reward is not None:
            network = parse(row.notation)
            found.append(Found(network, row.accuracy, row.reward, cost(network, classes=classes)))
    return sorted(found, key=lambda each: -each.reward)


def grid(baseline: str = "b0", *, phi: float = 1.0, progress: Progress | None = None, **options: Any) -> Outcome:
    """Searches alpha, beta and gamma for a baseline (a name or notation), as `effsearch grid` does.

    Fields of CoefficientGrid, such as step or constraint, are keyword arguments too. What was found is
    `outcome.run.read_coefficients()`.
    """
    lattice = {"phi": phi} | {name: options.pop(name) for name in _names(CoefficientGrid) if name in options}
    asked = {"baseline": baseline, "grid": lattice, **options}
    return search_coefficients(_request(GridRequest, asked), _Told(progress))


def curves(baseline: str = "b0", *, progress: Progress | None = None, **options: Any) -> Outcome:
    """Trains what a baseline grows into along each axis, and draws it, as `effsearch curves` does."""
    return train_curves(_request(GrowthRequest, {"baseline": baseline, **options}), _Told(progress))


def verify(
    searched: str, *, against: Iterable[str] | None = None, progress: Progress | None = None, **options: Any
) -> Outcome:
    """Trains the best of a run of nas or of grid for long beside its rivals, as `effsearch verify` does.

    `top`, `times` and `seeds` are keyword arguments too. What follows is in words in `outcome.notes`.
    """
    rivals = None if against is None else tuple(against)
    asked = {"searched": searched, "against": rivals, **options}
    return verify_networks(_request(VerifyRequest, asked), _Told(progress))


def train(arch: str, **options: Any) -> Run:
    """Trains one network fully, as `effsearch train` does; its weights are in the run's folder."""
    run, _ = train_network(_request(TrainRequest, {"arch": arch, **options}), Listener())
    return run


def export(
    arch: str,
    to: str,
    out: Path | None = None,
    *,
    resolution: int | None = None,
    classes: int = 1000,
    weights: str | None = None,
    results: Path = Path("results"),
) -> Exported:
    """Writes a network (weights, a run of train, or an untrained architecture) for timm, ONNX, torch.export or others.

    `to` is timm, onnx, safetensors or torch-export; `weights` imagenet for an architecture. Raises ExportError.
    """
    made, _ = export_network(arch, to, out, resolution, classes, results, weights)
    return made


def predict(
    weights: str,
    images: Iterable[str | Path],
    *,
    top: int = 5,
    resolution: int | None = None,
    device: str | None = None,
    results: Path = Path("results"),
) -> list[Prediction]:
    """Classifies image files, and those in folders, by a run of train or a file of weights, as `effsearch predict`.

    Each prediction has the image, the `top` most likely classes, and their probabilities (fractions).
    """
    asked: dict[str, Any] = {"top": top, "resolution": resolution, "device": device, "results": results}
    return predict_images(weights, [str(image) for image in images], Listener(), **asked).rows


def evaluate(
    weights: str,
    data: str | None = None,
    *,
    split: str | None = None,
    resolution: int | None = None,
    device: str | None = None,
    results: Path = Path("results"),
) -> Scores:
    """Evaluates a run of train or a file of weights on an image set, as `effsearch evaluate` does."""
    asked: dict[str, Any] = {"split": split, "resolution": resolution, "device": device, "results": results}
    return evaluate_network(weights, Listener(), data=data, **asked).scores


def report(run: str | None = None, out: Path | None = None, *, results: Path = Path("results")) -> Path:
    """Writes a run (the latest unless named) as one HTML page, and returns its file; raises RunError, ReportError."""
    found = find_run(results, run)
    path = out or found.path / "report.html"
    write_page(page_of(found), path)
    return path


def build(
    architecture: Architecture | str,
    classes: int = 1000,
    *,
    weights: str | Path | None = None,
    partial: bool = False,
    dropout: float = 0.2,
    drop_path: float = 0.2,
    zero_init: bool = False,
    results: Path = Path("results"),
) -> Network:
    """The torch module of an architecture (or a name or notation), with fresh weights or with those that are named.

    `weights` are imagenet, a file, or a run of train; a classifier of another size stays new. With `partial` what has
    the network's names and shapes is enough. Raises EffsearchError.
    """
    architecture = _architecture(architecture)
    start, _ = start_of(weights, partial, architecture, results)
    network = build_network(architecture, classes, dropout=dropout, drop_path=drop_path, zero_init=zero_init)
    if start is not None:
        start.load_into(network, architecture)
    return network


def scale(
    architecture: Architecture | str, phi: float, coefficients: Coefficients = PAPER, rounding: Rounding = AS_PUBLISHED
) -> Architecture:
    """Grows an architecture (or a name or notation) by alpha^phi in depth, beta^phi in width, gamma^phi in resolution.

    1905.11946, section 3.3. Raises QuantityError where it grows beyond what can be written.
    """
    architecture = _architecture(architecture)
    return grow(architecture, coefficients.at(phi), rounding)


def _architecture(given: Architecture | str) -> Architecture:
    """What is given, or the architecture of a name or a notation; raises NotationError."""
    return given if isinstance(given, Architecture) else find(given) or parse(given)


class _Remembering:
    """A function of one's own that remembers what it raised, so that this can end the search."""

    def __init__(self, function: Callable[[Architecture], float]) -> None:
        self.function = FunctionEvaluator(function)
        self.error: Exception | None = None

    def __call__(self, architecture: Architecture) -> float:
        try:
            return self.function(architecture, 0).accuracy
        except Exception as error:
            self.error = error
            raise


class _Told(Listener):
    """Passes each status on, and raises what a function of one's own has raised."""

    def __init__(self, progress: Progress | None, function: object = None) -> None:
        self.progress, self.function = progress, function

    def search(self, problem: Problem, seconds: float | None) -> AbstractContextManager[Callable[[Status], None]]:
        return nullcontext(self._status)

    def _status(self, status: Status) -> None:
        if isinstance(self.function, _Remembering) and self.function.error is not None:
            raise self.function.error
        if self.progress is not None:
            self.progress(status)


def _request(kind: type[R], options: dict[str, Any]) -> R:
    """A request: its own fields, fields of the proxy (as proxy_resolution), and settings by their names."""
    fields_of = _names(kind)
    asked = {name: value for name, value in options.items() if name in fields_of}
    changes = {name: options[f"proxy_{name}"] for name in _names(Proxy) if f"proxy_{name}" in options}
    rest = {name: value for name, value in options.items() if name not in fields_of and not name.startswith("proxy_")}
    asked["settings"] = {**asked.get("settings", {}), **rest}
    asked["changes"] = {**asked.get("changes", {}), **changes}
    if isinstance(asked.get("results"), str):
        asked["results"] = Path(asked["results"])
    return kind(**asked)


def _names(kind: Any) -> set[str]:
    return {each.name for each in fields(kind)}

"""What is asked of a run: how it is made or continued, with what settings, and of which architectures and coefficients.

Needs neither torch nor Optuna, so that a plan can be printed at once.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

from effsearch.architecture import Architecture, parse
from effsearch.coefficient_grid import CoefficientGrid
from effsearch.errors import EffsearchError, NotationError, QuantityError, RunError, listed
from effsearch.evaluation import AUTO, QUICK, Proxy, find_proxy
from effsearch.families import NAMES, find as find_known
from effsearch.limits import check_options
from effsearch.runs.folder import Run, check_names, find
from effsearch.runs.ranking import read_ranking
from effsearch.runs.settings import GridSettings
from effsearch.scaling import Coefficients

_ADDRESS = re.compile(r"auto|local|(ray://)?[A-Za-z0-9._\[\]:-]+:\d{1,5}")
NO_TARGET = (
    "nas needs --target-flops, such as --target-flops 400M, or --target-params 5M or --target-latency 20ms, "
    "or --resume RUN"
)
LARGEST_FILE = 1_000_000  # bytes of a file that holds one architecture


@dataclass(frozen=True)
class Cluster:
    """A Ray cluster, and the share of a GPU that a training asks it for (None: a whole one where there are any).

    Raises QuantityError.
    """

    address: str
    gpus: float | None = None

    def __post_init__(self) -> None:
        share = self.gpus
        if share is not None and not (0 <= share <= 1 or share in range(2, 17)):
            raise QuantityError(f"--gpus-per-trial must be from 0 to 1, or whole up to 16, got {share:g}")
        if not _ADDRESS.fullmatch(self.address):
            raise QuantityError(f"--ray must be auto, local, HOST:PORT or ray://HOST:PORT, got {self.address[:80]!r}")


@dataclass(frozen=True)
class Request:
    """What is asked of a search; None is what was not asked for: then it is the run's own, or a default.

    `run` names a new run or one to be continued, `resume` one to be continued, in the folder `results`. `settings` are
    those that differ from the run's or the default's, by their names; `proxy` is a preset or AUTO, `changes` its fields
    that differ. `trials` and `seconds` end a search, `workers` train at a time, here or on a `cluster`; `storage` is
    the URL of a database. With `device_change` a run may go on with another kind of device.
    """

    settings: Mapping[str, Any] = field(default_factory=dict)
    proxy: str | None = None
    changes: Mapping[str, Any] = field(default_factory=dict)
    trials: int | None = None
    seconds: float | None = None
    workers: int | None = None
    cluster: Cluster | None = None
    storage: str | None = None
    run: str | None = None
    resume: str | None = None
    device_change: bool = False
    results: Path = Path("results")
    most_trials: ClassVar[int] = 1_000_000

    def proxy_from(self, base: Proxy) -> Proxy:
        """The proxy that is asked for, or `base`, with what was changed of it; raises QuantityError."""
        return replace(base if self.proxy in (None, AUTO) else find_proxy(self.proxy), **self.changes)

    @property
    def leaves_proxy(self) -> bool:
        """Whether the proxy is left to the time that there is: it is asked for, or nothing is said of the training."""
        return self.proxy == AUTO or (self.proxy is None and not self.changes)

    def existing(self) -> Run | None:
        """The run to continue, if one is named; raises RunError."""
        check_names(self.run, self.resume)
        if self.resume is not None:
            return find(self.results, self.resume)
        if self.run is not None and (self.results / self.run / "run.toml").is_file():
            return Run(self.results / self.run)
        return None

    def check_limits(self) -> None:
        """Raises QuantityError for numbers out of range, and RunError as `check_names`."""
        check_options(trials=(self.trials, 1, self.most_trials), workers=(self.workers, 1, 256))
        check_names(self.run, self.resume)


@dataclass(frozen=True)
class SearchRequest(Request):
    """What is asked of a search for networks, in a space or in a benchmark `table`.

    `start` names what is trained first, `latency` are conditions under which latency is measured. Of a table `pool`
    searches the rows alone, and `measurements` are more columns that are no decisions. A `function` gives accuracies
    in place of trainings.
    """

    start: tuple[str, ...] = ()
    latency: Mapping[str, Any] = field(default_factory=dict)
    table: Path | None = None
    pool: bool = False
    measurements: tuple[str, ...] = ()
    function: Callable[[Architecture], float] | None = None

    def options(self) -> list[str]:
        """The options of the command that are given and say what is searched or trained."""
        names = {"resolution": "proxy_resolution", "width": "proxy_width", "train_images": "proxy_images"}
        given = [*self.settings, *["proxy"] * (self.proxy is not None), *(names.get(n, n) for n in self.changes)]
        given += ["start"] * bool(self.start) + [f"latency_{name}" for name in self.latency]
        if self.cluster is not None:
            given += ["ray"] if self.cluster.gpus is None else ["ray", "gpus_per_trial"]
        return given


@dataclass(frozen=True)
class TrainRequest(Request):
    """What is asked of a full training of `arch`, which resolve() reads.

    `recipe` is a name or a .toml file, `batch` images a step, `weights` what to start from (imagenet, a file or a run),
    with `partial` as far as it fits, `device` cpu or cuda. With `mix` a recipe without mixup or cutmix gets both.
    """

    arch: str | None = None
    recipe: str | None = None
    batch: int | None = None
    weights: str | Path | None = None
    partial: bool = False
    mix: bool = False
    device: str | None = None
    tensorboard: bool = False


@dataclass(frozen=True)
class VerifyRequest(Request):
    """What is asked of long trainings: the first `top` networks of the run `searched` against others.

    Trainings are `times` as long as by the run's proxy, or by the preset that is asked for. `seeds` are how many each
    network is trained under; `settings` may have data, and seed, the first of them.
    """

    searched: str | None = None
    top: int | None = None
    against: tuple[str, ...] | None = None
    times: int | None = None
    seeds: int | None = None

    def __post_init__(self) -> None:
        if unknown := self.settings.keys() - {"data", "seed"}:
            raise TypeError(f"verify takes no {min(unknown)}")

    def check_limits(self) -> None:
        """Raises QuantityError for numbers out of range, and RunError as `check_names`."""
        super().check_limits()
        check_options(top=(self.top, 1, 1000), times=(self.times, 1, 10_000), seeds=(self.seeds, 2, 100))
        if self.times is not None and "epochs" in self.changes:
            raise QuantityError("--times and --epochs both say how long networks are trained: give one of them")

    def longer_proxy(self, base: Proxy, times: int, images: tuple[int, int] | None) -> Proxy:
        """The proxy that is asked for, or `base` for `times` as long on a set as in `Proxy.limited`.

        Raises QuantityError.
        """
        proxy = self.proxy_from(base)
        if "epochs" in self.changes or (self.times is None and self.proxy not in (None, AUTO)):
            return proxy
        return proxy.longer(self.times or times, None if "train_images" in self.changes else images)


@dataclass(frozen=True)
class TransferRequest(Request):
    """What is asked of the transfer of `networks` to image sets: by a name, a notation, RUN:RANK, a file, or a run.

    `sets` are folders or names, `recipe` a name or a .toml file; with `linear` only classifiers are fitted, with
    `scratch` networks are trained from fresh weights too. `settings` may have epochs, seed, and reference.
    """

    networks: tuple[str, ...] = ()
    sets: tuple[str, ...] = ()
    recipe: str | None = None
    linear: bool = False
    scratch: bool = False
    train_images: int | None = None
    resolution: int | None = None
    seeds: int | None = None

    @property
    def says_what(self) -> bool:
        """Whether anything is asked for that says what is trained, rather than for how long or where."""
        asked = (self.networks, self.sets, self.settings, self.recipe, self.train_images, self.resolution)
        return self.linear or self.scratch or any(asked)

    def check_limits(self) -> None:
        """Raises QuantityError for numbers out of range, and RunError as `check_names`."""
        super().check_limits()
        check_options(seeds=(self.seeds, 1, 100), images=(self.train_images, 1, 10**9))
        check_options(resolution=(self.resolution, 8, 2048))
        if self.linear and (self.seeds or 1) > 1:
            raise QuantityError("a linear classifier is fitted without chance: leave out --seeds with --linear")


@dataclass(frozen=True)
class GrowthRequest(Request):
    """What is asked of a search that grows a `baseline`, which resolve() reads."""

    baseline: str | None = None

    def named_baseline(self) -> dict[str, str]:
        """The baseline's notation and its short name, as settings have them; raises EffsearchError."""
        architecture, name = resolve(self.baseline or "b0", self.results)
        return {"baseline": architecture.notation, "name": name}


@dataclass(frozen=True)
class GridRequest(GrowthRequest):
    """What is asked of a search for coefficients; `grid` are fields of CoefficientGrid, and depth_rounding."""

    grid: Mapping[str, Any] = field(default_factory=dict)
    most_trials: ClassVar[int] = 100_000


def settings_for(request: GridRequest, base: GridSettings | None = None, proxy: Proxy = QUICK) -> GridSettings:
    """The settings `base`, or the defaults, with what is asked for in place of their own; raises EffsearchError."""
    options = dict(request.grid)
    before = CoefficientGrid() if base is None else base.grid
    rounding = replace(before.rounding, depth=options.pop("depth_rounding", before.rounding.depth))
    grid = replace(before, rounding=rounding, **options)
    changed: dict[str, Any] = {"grid": grid, "proxy": request.proxy_from(proxy)}
    if base is None:
        return GridSettings(**{"data": "scenes"} | request.named_baseline() | changed | dict(request.settings))
    if request.baseline is not None:
        changed |= request.named_baseline()
    return replace(base, **changed | dict(request.settings))


def resolve(text: str, results: Path) -> tuple[Architecture, str]:
    """The architecture that ARCH names, and a short name for it; raises EffsearchError.

    ARCH is a name, a file that holds a notation or JSON, a notation, RUN:RANK, or RUN for its best.
    """
    if (known := find_known(text)) is not None:
        return known, text
    if is_file(text):
        return _from_file(Path(text)), Path(text).stem
    if "px-" in text:
        return parse(text), "the architecture"
    run, colon, rank = text.rpartition(":")
    if colon and rank.isdigit():
        return _ranked(run, int(rank), results), text
    if is_file(str(results / text / "run.toml")):
        return _ranked(text, 1, results), f"{text}:1"
    raise NotationError(
        f"no architecture {text[:80]!r}; give a name ({listed(NAMES)}), a notation, a file that holds one, or RUN:RANK"
    )


def coefficients_of(name: str, results: Path) -> Coefficients:
    """What a grid found; raises EffsearchError."""
    run = find(results, name)
    if (found := run.read_coefficients()) is None:
        raise RunError(f"run {run.name} has found no coefficients yet; effsearch grid does")
    return found


def plain_name(text: str, otherwise: str) -> str:
    """What is left of a text in the letters of a run's name, or `otherwise`."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-._")[:60] or otherwise


def is_file(text: str) -> bool:
    """Whether a text names a file, whatever else it may be."""
    try:
        return Path(text).is_file()
    except (OSError, ValueError):  # A notation may be longer than any file name; nor has a name a zero byte.
        return False


def _from_file(path: Path) -> Architecture:
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise NotationError(f"{path} is larger than {LARGEST_FILE:,} bytes; a notation is one line")
        text = path.read_text(encoding="utf-8").strip()
        document: Any = json.loads(text) if text.startswith("{") else {"notation": text}
        return parse(document["notation"]) if "notation" in document else Architecture.from_dict(document)
    except (OSError, ValueError, RecursionError, TypeError, AttributeError) as error:
        raise NotationError(f"{path} does not hold an architecture: {error}") from None
    except EffsearchError as error:
        raise NotationError(f"{path}: {error}") from None


def _ranked(name: str, rank: int, results: Path) -> Architecture:
    run = find(results, name or None)
    rows = read_ranking(run.ranking)
    for row in rows:
        if row.rank == rank:
            return parse(row.notation)
    ranks = [row.rank for row in rows if row.rank is not None]
    raise NotationError(f"run {run.name} has {f'ranks 1 to {max(ranks)}' if ranks else 'no ranks yet'}, got {rank}")

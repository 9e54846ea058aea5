"""How well a trained network classifies an image set; kept in its run where the set is the one it was trained on."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from effsearch.data import held_out, info
from effsearch.data.imageset import Split
from effsearch.data.packed import PackedInfo, at_once
from effsearch.data.sources import some
from effsearch.errors import DataError, QuantityError, listed
from effsearch.evaluation.devices import choose_device
from effsearch.evaluation.hardware import enough_memory
from effsearch.evaluation.predictions import answer
from effsearch.evaluation.scores import Scores, score
from effsearch.files import write_atomically
from effsearch.network.weights import Weights
from effsearch.reports.evaluation import EVALUATION, evaluation_json
from effsearch.runs.folder import Run
from effsearch.runs.settings import TrainSettings
from effsearch.workflows import common
from effsearch.workflows.common import Listener
from effsearch.workflows.weights import WEIGHTS, at_resolution, trained, weights_file


@dataclass(frozen=True)
class Evaluated:
    """The scores of the network `weights`, which is called `name`; `kept` is the file in its run that has them."""

    weights: Weights
    name: str
    scores: Scores
    kept: Path | None = None


def evaluate_network(
    text: str,
    listener: Listener,
    *,
    data: str | None = None,
    split: str | None = None,
    pretrained: str | None = None,
    resolution: int | None = None,
    device: str | None = None,
    results: Path = Path("results"),
) -> Evaluated:
    """Evaluates the network of `trained` on a split of an image set: that of its run, if none is named.

    The split is test where the set has one, or validation, unless one is named. Raises EffsearchError.
    """
    weights, name = trained(text, results, pretrained)
    weights, where, run = at_resolution(weights, resolution), choose_device(device), _run_of(text, results)
    if data is None:
        if run is None:
            raise QuantityError(f"evaluate needs --data DIR|NAME, since {name} is no run, which would name its images")
        data = run.settings(TrainSettings).data
    side = weights.architecture.resolution
    images = common.pack(data, side, listener)
    about, splits = info(images), held_out(images)
    chosen = split or list(splits)[-1]
    if chosen not in splits:
        raise DataError(f"{about.name} has no {chosen} split; it has {listed(splits)}")
    shown = relabelled(splits[chosen], about, weights.classes)
    with listener.busy(f"evaluating {len(shown):,} images"), enough_memory(side):
        answers = answer(weights.network().to(where), shown, side, where, at_once(side))
    scores = score(answers, shown, weights.classes, about.name, chosen, side)
    return Evaluated(weights, name, scores, None if run is None else _keep(run, about, scores, listener))


def _run_of(text: str, results: Path) -> Run | None:
    """The run of train that the weights are of, if they are of one."""
    file = weights_file(text, results)
    if file is None or file.name != WEIGHTS or not (file.parent / "run.toml").is_file():
        return None
    return Run(file.parent)


def _keep(run: Run, about: PackedInfo, scores: Scores, listener: Listener) -> Path | None:
    """Writes the scores into the run, for its page, where they are of the images and px that it was trained with."""
    if run.manifest().data.digest != about.digest or run.settings(TrainSettings).resolution != scores.resolution:
        return None
    path = run.path / EVALUATION
    try:
        write_atomically(path, evaluation_json(scores))
    except OSError as error:
        listener.note(f"not kept in the run: {path} cannot be written: {error.strerror or error}", "yellow")
        return None
    return path


def relabelled(split: Split, about: PackedInfo, wanted: Sequence[str]) -> Split:
    """A split whose labels are indices of `wanted`, the same names in any order; raises DataError for other names."""
    if about.classes == tuple(wanted):
        return split
    ours, theirs = Counter(wanted), Counter(about.classes)
    missing = [
        f"{who} {some(sorted((one - other).elements()))}"
        for who, one, other in (("the set lacks", ours, theirs), ("the network does not know", theirs, ours))
        if one - other
    ]
    if missing or max(ours.values()) > 1:
        what = "; ".join(missing) or "two classes have one name, and the order is another"
        raise DataError(f"{about.name} has other classes than the network: {what}")
    number = {name: index for index, name in enumerate(wanted)}
    return replace(split, labels=np.array([number[name] for name in about.classes], np.int64)[split.labels])

"""Where trained networks look: their class activation maps of the same images, side by side."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

import numpy as np

from effsearch.data.imageset import Pixels
from effsearch.data.photographs import Photograph, decode_photographs, find_photographs
from effsearch.data.sources import Skipped, skipped_message, some
from effsearch.errors import DataError, QuantityError
from effsearch.evaluation.activation_maps import activation_maps, heat
from effsearch.evaluation.devices import choose_device
from effsearch.evaluation.hardware import enough_memory
from effsearch.limits import check_range
from effsearch.network.weights import Weights
from effsearch.reports.activation_maps import MapRow, Panel
from effsearch.workflows.common import Listener
from effsearch.workflows.weights import at_resolution, trained, verified_weights

MOST, LARGEST = 12, 100  # images in a picture, unless told otherwise, and at most
NETWORKS = 12  # in a picture


@dataclass(frozen=True)
class Maps:
    """The titles of the columns, the rows of the picture, and how many images there were to choose from."""

    names: tuple[str, ...]
    rows: list[MapRow]
    found: int


def map_classes(
    texts: Sequence[str],
    places: Sequence[str],
    listener: Listener,
    *,
    wanted: str | None = None,
    names: Sequence[str] = (),
    most: int = MOST,
    pretrained: str | None = None,
    resolution: int | None = None,
    device: str | None = None,
    results: Path = Path("results"),
) -> Maps:
    """Maps of images by the networks of `trained`, each of the class `wanted` or of the one that is predicted.

    Of more than `most` images those are taken that lie evenly in their order. Raises EffsearchError.
    """
    check_range("--most", most, 1, LARGEST)
    if not texts:
        raise QuantityError("cam needs WEIGHTS: runs of train, or .safetensors files")
    photographs = find_photographs(places)
    named = [trained(text, results, pretrained) for text in _distinct(_with_networks(texts, results))]
    networks = _titled(named, names, resolution)
    _check_class(wanted, networks)
    chosen = [photographs[int(place)] for place in np.linspace(0, len(photographs) - 1, min(most, len(photographs)))]
    pixels = _pixels(chosen, {weights.architecture.resolution for weights in networks.values()}, listener)
    side = max(pixels)
    known = {name for weights in networks.values() for name in weights.classes}
    labels = [label if (label := _folder(chosen[place])) in known else "" for place in pixels[side]]
    columns, where = [], choose_device(device)
    for name, weights in networks.items():
        with listener.busy(f"mapping {name}"), enough_memory(weights.architecture.resolution):
            columns.append(_panels(weights, pixels, labels, wanted, where))
    rows = [
        MapRow(chosen[place].path, label, image, panels)
        for (place, image), label, *panels in zip(pixels[side].items(), labels, *columns, strict=True)
    ]
    return Maps(tuple(networks), rows, len(photographs))


def _with_networks(texts: Sequence[str], results: Path) -> list[str]:
    """The same with the networks of a run of verify, each by its name, in place of the run."""
    return [
        each for text in texts for each in ([f"{text}:{name}" for name in verified_weights(text, results)] or [text])
    ]


def _distinct(texts: Sequence[str]) -> Sequence[str]:
    """The networks that are asked for; raises QuantityError for one twice, or too many."""
    if twice := sorted({text for text in texts if texts.count(text) > 1}):
        raise QuantityError(f"{twice[0]} is given twice; give each network once")
    if len(texts) > NETWORKS:
        raise QuantityError(f"a picture has room for {NETWORKS} networks, got {len(texts)}")
    return texts


def _titled(found: Sequence[tuple[Weights, str]], names: Sequence[str], resolution: int | None) -> dict[str, Weights]:
    """The networks by the titles of their columns; raises QuantityError where two have the same."""
    if names and len(names) != len(found):
        raise QuantityError(f"--names must be {len(found)} names with commas between them, got {len(names)}")
    titles = list(names) or [name for _, name in found]
    if twice := sorted({title for title in titles if titles.count(title) > 1}):
        raise QuantityError(f"two networks are called {twice[0]}; tell them apart by --names A,B")
    return {title: at_resolution(weights, resolution) for title, (weights, _) in zip(titles, found, strict=True)}


def _check_class(wanted: str | None, networks: Mapping[str, Weights]) -> None:
    """Raises QuantityError for a class that a network does not have."""
    for name, weights in networks.items():
        if wanted is not None and wanted not in weights.classes:
            close = get_close_matches(wanted, weights.classes, n=3)
            meant = f"; did you mean {' or '.join(close)}?" if close else f", which has {some(list(weights.classes))}"
            raise QuantityError(f"--class {wanted!r} is no class of {name}{meant}")


def _pixels(chosen: Sequence[Photograph], sides: Iterable[int], listener: Listener) -> dict[int, dict[int, Pixels]]:
    """For each resolution the pixels of the images that can be read, by their places in `chosen`; raises DataError."""
    pixels: dict[int, dict[int, Pixels]] = {}
    for side in sides:
        skipped: list[Skipped] = []
        batches = decode_photographs(chosen, side, skipped)
        pairs = [pair for batch in batches for pair in zip(batch.labels.tolist(), batch.pixels, strict=True)]
        pixels[side] = dict(pairs)
    if len(skipped) == len(chosen):
        raise DataError(f"no image can be read; {skipped_message(skipped)}")
    if skipped:
        listener.note(skipped_message(skipped), "yellow")
    return pixels


def _folder(photograph: Photograph) -> str:
    """The name of the folder that an image is in, which may be its class."""
    return Path(photograph.path).absolute().parent.name


def _panels(
    weights: Weights, pixels: Mapping[int, Mapping[int, Pixels]], labels: Sequence[str], wanted: str | None, device: str
) -> list[Panel]:
    """The maps of one network, as large as the largest of the images."""
    number = None if wanted is None else weights.classes.index(wanted)
    resolution = weights.architecture.resolution
    images = np.stack(list(pixels[resolution].values()))
    panels = []
    for found, label in zip(
        activation_maps(weights.network(), images, resolution, device, number), labels, strict=True
    ):
        name = weights.classes[found.number]
        wrong = wanted is None and label in weights.classes and label != name
        panels.append(Panel(name, found.probability, heat(found.contributions, max(pixels)), wrong))
    return panels

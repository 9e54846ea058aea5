"""The paper's figure 1: which points it has, where their names stand, and what is said of own networks."""

import itertools
import json

import numpy as np
import pytest
from folders import BASELINE, manifest, nas_run, train_run
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from effsearch.architecture import parse
from effsearch.costs import cost
from effsearch.errors import EffsearchError, QuantityError, ReportError, RunError
from effsearch.published import IMAGENET
from effsearch.reports import label_placement
from effsearch.reports.compared_networks import MOST_ADDED, ComparedNetwork, added_networks
from effsearch.reports.imagenet_charts import ELSEWHERE, OTHERS, OURS, OWN, imagenet_charts
from effsearch.reports.imagenet_picture import imagenet_picture
from effsearch.reports.label_placement import Spot, arrange
from effsearch.reports.paper_tables import imagenet_records
from effsearch.runs.folder import create

FEW = (
    ComparedNetwork("mine", 78.1, 6.1e6, 0.42e9),
    ComparedNetwork("costs $5 or $6", 82.8, 87e6, 23e9),
    ComparedNetwork("small", 46.0, 1.2e6, 0.05e9, "synthetic scenes test"),
    ComparedNetwork("a name of forty characters, to be sure..", 97.1, 5.3e6, None, "cifar10 test"),
)
MANY = tuple(
    ComparedNetwork(f"network {number}", 76 + number / 3, (4 + 6 * number) * 1e6, (0.3 + number) * 1e9)
    for number in range(MOST_ADDED)
)
SETS = {"none": (), "few": FEW, "many": MANY, "same": (MANY[0],) * 3}


def series_of(chart):
    return {series.name: series for series in chart.series}


def drawn(figure, dpi):
    """The axes of a figure with its names, their boxes and those of marks, in px."""
    figure.set_dpi(dpi)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    for axes in figure.axes:
        names = [text for text in axes.texts if text.get_text()]
        boxes = [Text.get_window_extent(text, canvas.get_renderer()) for text in names]
        marks = []
        for line in axes.lines:
            if line.get_marker() not in ("", "None", "_", "|"):
                half = line.get_markersize() / 2 * dpi / 72
                marks += [
                    Bbox.from_extents(x - half, y - half, x + half, y + half)
                    for x, y in axes.transData.transform(line.get_xydata())
                ]
        yield axes, names, boxes, marks


@pytest.mark.parametrize("added", SETS)
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_no_name_overlaps_another_or_a_point_or_leaves_the_axes(theme, added):
    charts = imagenet_charts(IMAGENET, SETS[added])
    figure, nameless = imagenet_picture(charts, theme)
    assert nameless == []
    for dpi in (72, 150):  # of an SVG or a PDF, and of a PNG
        for (axes, names, boxes, marks), chart in zip(drawn(figure, dpi), charts, strict=True):
            assert len(names) == len(marks) == sum(len(series.x) for series in chart.series)
            assert not any(one.overlaps(other) for one, other in itertools.combinations(boxes, 2))
            assert not any(box.count_overlaps(marks) for box in boxes)
            frame = axes.get_window_extent()
            assert all(frame.contains(*box.min) and frame.contains(*box.max) for box in boxes)


def test_names_that_find_no_room_have_no_place_and_the_others_do_not_overlap():
    spots = [Spot(100, 30, 60, 10, 3)] * 20
    places = arrange(spots, [np.array([[0, 0], [200, 60]])], np.array([0, 0, 200, 60]), point=1)
    found = [place for place in places if place is not None]
    assert 3 <= len(found) < 20
    for one, other in itertools.combinations(found, 2):
        assert abs(one.x - other.x) >= 60 or abs(one.y - other.y) >= 10
    assert all(30 <= place.x <= 170 and 5 <= place.y <= 55 for place in found)
    assert all(abs(place.x - 100) >= 33 or abs(place.y - 30) >= 8 for place in found)


def test_a_name_is_left_out_rather_than_drawn_over_others(monkeypatch):
    monkeypatch.setattr(label_placement, "arrange", lambda spots, *_: [None] * len(spots))
    figure, nameless = imagenet_picture(imagenet_charts(IMAGENET))
    assert len(nameless) == len(IMAGENET)
    assert not any(names for _, names, _, _ in drawn(figure, 72))


def test_points_far_from_the_papers_leave_these_their_room_and_the_caption_says_so():
    def height(added):
        figure, _ = imagenet_picture(imagenet_charts(IMAGENET, added))
        axes = figure.axes[0]
        low, high = axes.transData.transform([(10, 76), (10, 84)])[:, 1]
        return (high - low) / axes.get_window_extent().height, figure.get_supxlabel()

    alone, caption = height(())
    beside, caption_beside = height(FEW)
    assert beside > alone / 3
    assert "shaded" not in caption
    assert "below 74 % and above 86 % have 8 times less room" in caption_beside


def luminance(colour):
    red, green, blue = ((c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4) for c in to_rgb(colour))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_all_text_has_contrast_to_its_ground(theme):
    figure, _ = imagenet_picture(imagenet_charts(IMAGENET, FEW), theme)
    FigureCanvasAgg(figure).draw()
    ground = luminance(figure.get_facecolor()[:3])
    assert (ground > 0.5) == (theme == "light")
    written = [text for text in figure.findobj(Text) if text.get_text() and text.get_visible()]
    assert len(written) > 60
    for text in written:
        low, high = sorted((luminance(text.get_color()), ground))
        assert (high + 0.05) / (low + 0.05) >= 4.5, text.get_text()


def test_the_points_are_those_of_the_papers_table():
    params, flops = map(series_of, imagenet_charts(IMAGENET))
    assert list(params) == list(flops) == [OTHERS, OURS]
    assert params[OURS].labels == [f"B{phi}" for phi in range(8)]
    assert params[OURS].x == [5.3, 7.8, 9.2, 12, 19, 30, 43, 66]
    assert flops[OURS].x == pytest.approx([0.39, 0.70, 1.0, 1.8, 4.2, 9.9, 19, 37])
    assert params[OURS].y == flops[OURS].y == [77.3, 79.2, 80.3, 81.7, 83.0, 83.7, 84.2, 84.4]
    assert len(params[OTHERS].x) == 16
    assert set(params[OTHERS].labels) - set(flops[OTHERS].labels) == {"GPipe"}
    caption = imagenet_charts(IMAGENET)[0].caption
    assert "as published (1905.11946, table 2)" in caption
    assert "not drawn, as FLOPs are not known: GPipe" in caption


def test_an_accuracy_on_another_set_is_open_and_said_to_be_no_imagenet_accuracy():
    chart = imagenet_charts(IMAGENET, FEW)[0]
    series = series_of(chart)
    assert series[OWN].labels == ["mine", "costs $5 or $6"]
    assert series[ELSEWHERE].mark == "circle-open"
    assert series[OWN].mark != "circle-open"
    assert series[ELSEWHERE].labels[0] == "small (synthetic scenes test)"
    assert "not accuracies on ImageNet" in chart.caption
    assert "small on synthetic scenes test" in chart.caption
    assert "another set is named" in chart.y
    assert "another set" not in imagenet_charts(IMAGENET, FEW[:2])[0].y


def imagenet_run(folder, name, split="test", images=50_000, classes=1000, data="imagenet"):
    about = manifest("train", classes=[f"n{number:08}" for number in range(classes)], notation=BASELINE)
    about["data"] |= {"name": data, "synthetic": False}
    run = create(folder, name, about)
    result = {"validation": {"top1": 0.9, "images": 60_000}} | {split: {"top1": 0.734, "top5": 0.9, "images": images}}
    (run.path / "result.json").write_text(json.dumps(result))
    return run


def test_a_run_is_counted_at_its_own_px_and_1000_classes_and_has_the_accuracy_of_the_test_images(tmp_path):
    imagenet_run(tmp_path, "mine")
    (network,) = added_networks(["mine"], tmp_path)
    total = cost(parse(BASELINE))
    assert (network.name, network.params, network.flops, network.data) == ("mine", total.params, total.flops, "")
    assert network.top1 == pytest.approx(73.4)


@pytest.mark.parametrize(
    ("changes", "images"),
    [
        ({"images": 10_000}, "imagenet test"),
        ({"classes": 100}, "imagenet test"),
        ({"data": "photos"}, "photos test"),
        ({"split": "validation"}, ""),
    ],
)
def test_only_the_50000_images_of_1000_classes_are_imagenets(tmp_path, changes, images):
    imagenet_run(tmp_path, "mine", **changes)
    assert added_networks(["mine"], tmp_path)[0].data == images


def test_a_run_on_synthetic_images_says_so(tmp_path):
    run = train_run(tmp_path)
    assert added_networks([str(run.path)], tmp_path)[0].data == "synthetic scenes validation"


def test_runs_without_an_accuracy_of_one_network_are_refused(tmp_path):
    train_run(tmp_path, "begun", finished=False)
    with pytest.raises(RunError, match="begun has no accuracy yet; go on with: effsearch train --resume begun"):
        added_networks(["begun"], tmp_path)
    nas_run(tmp_path, journal=False)
    with pytest.raises(RunError, match=r"takes a run of effsearch train, or a \.csv .*search is of effsearch nas"):
        added_networks(["search"], tmp_path)
    with pytest.raises(RunError, match=r"or a \.csv or \.json file: no run 'nope'"):
        added_networks(["nope"], tmp_path)
    broken = train_run(tmp_path, "broken")
    for result, problem in (({"test": {"images": 3}}, "has no 'top1'"), ({}, "has no 'validation'")):
        (broken.path / "result.json").write_text(json.dumps(result))
        with pytest.raises(RunError, match=problem):
            added_networks(["broken"], tmp_path)
    (broken.path / "result.json").write_text('{"test": {"top1": NaN, "images": 3}}')
    with pytest.raises(RunError, match="from 0 to 1, got nan"):
        added_networks(["broken"], tmp_path)


def test_a_table_and_its_like_in_json_are_read_alike(tmp_path):
    (tmp_path / "own.csv").write_text(
        "\ufeffName, accuracy,params,flops,data\nmine,0.781,6.1M,420M,\nother,0.5,1e6,,ImageNet\nthird,0.9,,2G,photos",
        encoding="utf-8",
    )
    records = [
        {"name": "mine", "accuracy": 0.781, "params": 6.1e6, "flops": 420_000_000},
        {"model": "other", "top1_percent": 50, "params": 1_000_000, "flops": None},
        {"network": "third", "top1_percent": "90", "flops": "2G", "data": "photos"},
    ]
    (tmp_path / "own.json").write_text(json.dumps(records))
    one, other = (added_networks([str(tmp_path / name)], tmp_path) for name in ("own.csv", "own.json"))
    assert one == other
    assert one[0] == ComparedNetwork("mine", pytest.approx(78.1), 6.1e6, 4.2e8)
    assert [network.data for network in one] == ["", "", "photos"]


def test_what_compare_prints_for_programs_can_be_added(tmp_path):
    (tmp_path / "table.json").write_text(json.dumps(imagenet_records(IMAGENET)))
    assert len(added_networks([str(tmp_path / "table.json")], tmp_path)) == len(IMAGENET)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("", "holds no list of networks; a network has name, accuracy"),
        ("name,accuracy,params,flops\n", "holds no list of networks"),
        ("name;accuracy\nx;0.5\n", "network 1 has no name"),
        ("name,accuracy,params\n,0.5,1M\n", "network 1 has no name"),
        ("name,accuracy,params\nx,0.5,1M\ny,,1M\n", "network 2 has no accuracy"),
        ("name,accuracy,params\nx,77.3,1M\n", "network 1: accuracy must be from 0 to 1, got '77.3'"),
        ("name,top1_percent,params\nx,101,1M\n", "top1_percent must be from 0 to 100, got '101'"),
        ("name,accuracy,params\nx,nan,1M\n", "accuracy must be from 0 to 1, got 'nan'"),
        ("name,accuracy,params\nx,high,1M\n", "accuracy must be from 0 to 1, got 'high'"),
        ("name,accuracy,params\nx,0.5,many\n", "network 1: params must be a number above 0 .*'many'"),
        ("name,accuracy,params\nx,0.5,-3\n", "params must be a number above 0 .*'-3'"),
        ("name,accuracy\nx,0.5\n", "network 1 has no params and no flops"),
        ("name,accuracy,params\n" + 25 * "x,0.5,1M\n", "at most 24 networks, got 25"),
        (b"\xff\xfe\x00", "cannot be read: "),
        (1_000_001 * " ", "is larger than 1,000,000 bytes"),
    ],
)
def test_a_table_that_cannot_be_drawn_is_refused_with_its_row(tmp_path, content, problem):
    file = tmp_path / "own.csv"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises((QuantityError, ReportError), match=problem):
        added_networks([str(file)], tmp_path)


@pytest.mark.parametrize("text", ["", "{}", "3", "[]", "[3]", "[" * 100_000, '{"name": 1', '[{"name": true}]'])
def test_other_json_is_refused(tmp_path, text):
    file = tmp_path / "own.json"
    file.write_text(text)
    with pytest.raises(EffsearchError, match=r"cannot be read|holds no list|has no params"):
        added_networks([str(file)], tmp_path)
    with pytest.raises(ReportError, match=r"gone\.json cannot be read: No such file"):
        added_networks([str(tmp_path / "gone.json")], tmp_path)


def test_a_hostile_name_is_one_short_line(tmp_path):
    (tmp_path / "own.json").write_text(json.dumps([{"name": "\x1b[31m" + "x" * 500, "accuracy": 1, "params": 1}]))
    (network,) = added_networks([str(tmp_path / "own.json")], tmp_path)
    assert len(network.name) == 40
    assert network.name.startswith("?[31mx")

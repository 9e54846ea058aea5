"""`effsearch predict`, `evaluate` and `cam` with networks that were trained on nothing, and what they refuse."""

import csv
import io
import json

import pytest
import torch
from PIL import Image
from user import paint

from effsearch.architecture import parse
from effsearch.network import build, load
from effsearch.network.weights import pack_weights

NETWORK = parse("16px-stem_k3_s2_c8-ds_r1_k3_s1_e1_c8-ir_r1_k3_s2_e2_c16_se0.25-head_c32-silu")
COMMANDS = {
    "predict": ("predict", "one.safetensors", "images/test"),
    "evaluate": ("evaluate", "one.safetensors", "--data", "images"),
    "cam": ("cam", "one.safetensors", "--images", "images/test"),
}


def write_weights(path, classes=("dark", "light"), seed=0, value=None):
    torch.manual_seed(seed)
    network = build(NETWORK, len(classes))
    if value is not None:
        network.classifier[1].bias.data.fill_(value)
    path.write_bytes(pack_weights(network, NETWORK, classes))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Two networks, whose classes are in opposite orders, and images of two classes, in an empty folder."""
    monkeypatch.setenv("EFFSEARCH_CACHE", str(tmp_path / "cache"))
    write_weights(tmp_path / "one.safetensors")
    write_weights(tmp_path / "other.safetensors", ("light", "dark"), seed=1)
    return paint(tmp_path, {"train": 4, "test": 3})


def files(folder):
    return {path.name for path in folder.iterdir()} - {"cache"}


def test_predictions_are_printed_and_written(folder, effsearch):
    code, out, err = effsearch("predict", "one.safetensors", "images/test/light/1.png", "images/test/dark")
    assert (code, err) == (0, "")
    assert "one: 4 images" in out
    for expected in ("images/test/light/1.png", "images/test/dark/2.png", "at 16 px; 2 classes", "NOT TRAINED"):
        assert expected in out
    asked = ("predict", "one.safetensors", "images/test", "--format")
    rows = list(csv.DictReader(io.StringIO(effsearch(*asked, "csv")[1])))
    assert [row["image"] for row in rows] == [
        f"images/test/{name}/{n}.png" for name in ("dark", "light") for n in range(3)
    ]
    assert float(rows[0]["probability_1"]) + float(rows[0]["probability_2"]) == pytest.approx(1, abs=1e-5)
    found = json.loads(effsearch(*asked, "json", "--top", "1")[1])
    assert [each["predictions"] for each in found] == [
        [{"class": row["class_1"], "probability": pytest.approx(float(row["probability_1"]), abs=1e-6)}] for row in rows
    ]
    assert effsearch(*asked, "markdown")[1].startswith("| image | class | % | then |\n")
    for name in ("said.csv", "said.json"):
        assert (
            effsearch("predict", "one.safetensors", "images", "--out", name)[1] == f"wrote 14 predictions to {name}\n"
        )
        assert "images/train/dark/0.png" in (folder / name).read_text()


def test_an_image_of_a_folder_that_cannot_be_read_is_named_and_left_out(folder, effsearch):
    (folder / "images/test/dark/broken.png").write_bytes(b"\x89PNG\r\n\x1a\nno")
    code, out, err = effsearch("predict", "one.safetensors", "images/test", "--format", "json")
    assert code == 0
    assert len(json.loads(out)) == 6
    assert err.startswith("1 image was skipped: images/test/dark/broken.png (")
    assert err.count("\n") == 1
    code, out, err = effsearch("cam", "one.safetensors", "--images", "images/test/dark")
    assert (code, out.partition("\n")[0]) == (0, "drew cam.png: 3 images, 1 network")
    assert "1 image was skipped" in err


def test_an_evaluation_maps_classes_by_their_names(folder, effsearch):
    code, out, err = effsearch(
        "evaluate", "one.safetensors", "--data", "images", "--format", "json", "--out", "all.json"
    )
    assert (code, err) == (0, "wrote all.json\n")
    assert json.loads(out) == json.loads((folder / "all.json").read_text())
    turned = load(folder / "one.safetensors")
    for parameter in turned.classifier.parameters():
        parameter.data = parameter.data.flip(0)
    (folder / "turned.safetensors").write_bytes(pack_weights(turned, NETWORK, ("light", "dark")))
    found = json.loads(effsearch("evaluate", "turned.safetensors", "--data", "images", "--format", "json")[1])
    expected = json.loads(out)
    assert found["classes"] == expected["classes"][::-1]
    assert found["loss"] == pytest.approx(expected["loss"])
    assert sorted(found["confusion"]) == sorted([1 - a, 1 - b, n] for a, b, n in expected["confusion"])


def test_an_evaluation_prints_tables_and_writes_the_matrix(folder, effsearch):
    code, out, err = effsearch("evaluate", "one.safetensors", "--data", "images", "--out", "matrix.csv")
    assert (code, err) == (0, "wrote matrix.csv\n")
    for expected in (
        "top-1 (%)",
        "negative log-likelihood (nats)",
        "6 images of the test split of images",
        "NOT TRAINED",
    ):
        assert expected in out
    assert "top-5" not in out
    lines = (folder / "matrix.csv").read_text().splitlines()
    assert lines[0] == "true \\ predicted,dark,light"
    assert sum(int(cell) for line in lines[1:] for cell in line.split(",")[1:]) == 6
    assert "| class | images |" in effsearch(*COMMANDS["evaluate"], "--format", "markdown")[1]


@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
def test_maps_of_several_networks_are_one_picture(folder, effsearch, suffix):
    asked = ("cam", "one.safetensors", "other.safetensors", "--names", "narrow,wide $x$", "--out", f"maps.{suffix}")
    code, out, err = effsearch(*asked, "--images", "images/test/dark/0.png", "images/test/light/2.png")
    assert (code, err) == (0, "")
    assert out.startswith(f"drew maps.{suffix}: 2 images, 2 networks\n")
    if suffix == "png":
        with Image.open(folder / "maps.png") as drawn:
            assert min(drawn.size) > 400
    if suffix == "svg":
        drawn = (folder / "maps.svg").read_text()
        for expected in ("narrow", "wide $x$", "dark/0.png", "dark", "light", " %"):
            assert expected in drawn


def test_a_class_may_be_chosen_for_its_map(folder, effsearch):
    asked = ("cam", "one.safetensors", "--images", "images/test", "--most", "2", "--out", "maps.svg")
    code, out, _ = effsearch(*asked, "--class", "light")
    assert (code, out.partition("\n")[0]) == (
        0,
        "drew maps.svg: 2 images of 6, evenly from their order (--most draws more), 1 network",
    )
    drawn = (folder / "maps.svg").read_text()
    assert "✗" not in drawn
    code, _, err = effsearch(*asked, "--class", "lihgt")
    assert (code, err) == (2, "effsearch: --class 'lihgt' is no class of one; did you mean light?\n")


BAD = {
    "predict weights": ("predict", "none", "images"),
    "predict nothing": ("predict", "one.safetensors", "images/none"),
    "predict text": ("predict", "one.safetensors", "images/test", "one.safetensors"),
    "predict top": (*COMMANDS["predict"], "--top", "0"),
    "predict out": (*COMMANDS["predict"], "--out", "x.txt"),
    "predict px": (*COMMANDS["predict"], "--resolution", "4"),
    "predict device": (*COMMANDS["predict"], "--device", "tpu"),
    "predict weights of whom": (*COMMANDS["predict"], "--weights", "jft"),
    "predict imagenet": ("predict", "none", "images/test", "--weights", "imagenet"),
    "predict format": (*COMMANDS["predict"], "--format", "xml"),
    "evaluate no data": ("evaluate", "one.safetensors"),
    "evaluate data": ("evaluate", "one.safetensors", "--data", "imags"),
    "evaluate split": (*COMMANDS["evaluate"], "--split", "train"),
    "evaluate out": (*COMMANDS["evaluate"], "--out", "x.parquet"),
    "evaluate classes": ("evaluate", "three.safetensors", "--data", "images"),
    "cam twice": ("cam", "one.safetensors", "one.safetensors", "--images", "images"),
    "cam names": ("cam", "one.safetensors", "other.safetensors", "--names", "a", "--images", "images"),
    "cam same names": ("cam", "one.safetensors", "other.safetensors", "--names", "a,a", "--images", "images"),
    "cam same file": ("cam", "one.safetensors", "./one.safetensors", "--images", "images"),
    "cam no network": ("cam", "images/test/dark/0.png", "--images", "images"),
    "cam nothing": ("cam", "one.safetensors", "--images", "empty"),
    "cam text": ("cam", "one.safetensors", "--images", "one.safetensors"),
    "cam suffix": (*COMMANDS["cam"], "--out", "maps.gif"),
    "cam most": (*COMMANDS["cam"], "--most", "0"),
    "cam numbers": ("cam", "nan.safetensors", "--images", "images"),
}


@pytest.mark.parametrize("what", BAD)
def test_what_makes_no_sense_is_one_line_and_writes_nothing(folder, effsearch, what):
    write_weights(folder / "three.safetensors", ("dark", "light", "middling"))
    write_weights(folder / "nan.safetensors", value=float("nan"))
    (folder / "empty").mkdir()
    before = files(folder)
    code, out, err = effsearch(*BAD[what])
    assert (code, out) == (2, "")
    assert err.startswith("effsearch: ")
    assert err.count("\n") == 1
    assert files(folder) == before


def test_classes_that_differ_are_named(folder, effsearch):
    write_weights(folder / "three.safetensors", ("dark", "bright", "middling"))
    _, _, err = effsearch("evaluate", "three.safetensors", "--data", "images")
    assert err == (
        "effsearch: images has other classes than the network: the set lacks bright, middling; "
        "the network does not know light\n"
    )

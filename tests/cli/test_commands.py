"""The commands that need no training, in this process; and what they import, in another."""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from effsearch.families import EFFICIENTNET_B0
from effsearch.published import TRANSFER
from effsearch.reports.paper_tables import IMAGENET_CAPTION, SCALING_CAPTION, transfer_caption
from effsearch.runs.folder import check_name, create
from effsearch.runs.ranking import to_csv
from effsearch.space import locate
from effsearch.workflows.request import plain_name

GOLDEN = Path(__file__).parent.parent / "golden"


def test_describe_prints_the_paper_s_table(effsearch):
    code, out, _ = effsearch("describe", "b0")
    assert code == 0
    assert out == (GOLDEN / "describe-b0.txt").read_text()
    assert max(map(len, out.splitlines()[:-1])) <= 80


def test_describe_json_is_for_programs(effsearch):
    code, out, _ = effsearch("describe", "b0", "--format", "json", "--classes", "10")
    described = json.loads(out)
    assert code == 0
    assert set(described) == {
        "notation", "key", "resolution", "classes", "flops", "params", "activations", "predicted_accuracy", "stages",
    }  # fmt: skip
    assert described["notation"] == str(EFFICIENTNET_B0)
    assert described["classes"] == 10
    assert sum(stage["flops"] for stage in described["stages"]) == described["flops"]
    assert described["flops"] == 385_814_752 - 1280 * 990


def test_describe_takes_a_name_a_notation_a_file_and_a_rank(effsearch, run_folder, tmp_path):
    (tmp_path / "net.txt").write_text(f"{EFFICIENTNET_B0}\n")
    (tmp_path / "net.json").write_text(json.dumps(EFFICIENTNET_B0.to_dict()))
    (tmp_path / "described.json").write_text(effsearch("describe", "b0", "--format", "json")[1])
    for arch in ("EfficientNet-B0", str(EFFICIENTNET_B0), "net.txt", "net.json", "described.json", "first:1", ":1"):
        code, out, err = effsearch("describe", arch, "--format", "json")
        assert (code, err) == (0, "")
        assert json.loads(out)["key"] == EFFICIENTNET_B0.key


def test_a_notation_may_be_longer_than_a_file_name(effsearch):
    longer = str(EFFICIENTNET_B0).replace("-head", "-ir_r1_k3_s1_e6_c320_se0.25-ir_r1_k3_s1_e6_c320_se0.25-head")
    assert len(longer) > 255
    code, out, _ = effsearch("describe", longer, "--format", "json")
    assert code == 0
    assert json.loads(out)["notation"] == longer


def test_describe_check_recounts_the_built_network(effsearch):
    code, out, _ = effsearch("describe", "b0", "--check")
    assert code == 0
    assert "fvcore      385,814,752 FLOPs (conv + linear), 5,288,548 parameters: they agree" in out
    assert "fvcore's own total is 401,659,392" in out


@pytest.mark.parametrize("name", ["mobilenet_v1", "MobileNet-V2", "resnet50"])
def test_describe_check_agrees_on_other_baselines(effsearch, name):
    code, out, _ = effsearch("describe", name, "--check")
    assert code == 0
    assert "they agree" in out
    assert max(map(len, out.split("px-")[0].splitlines())) <= 80


@pytest.mark.parametrize("table", ["scaling", "imagenet", "transfer"])
def test_compare_prints_the_papers_tables(effsearch, table):
    code, out, _ = effsearch("compare", table)
    assert code == 0
    assert out == (GOLDEN / f"compare-{table}.txt").read_text()
    assert max(map(len, out.splitlines())) <= 80
    captions = {"scaling": SCALING_CAPTION, "imagenet": IMAGENET_CAPTION, "transfer": transfer_caption(TRANSFER)}
    caption = captions[table]
    assert out.endswith(f"{caption}\n"), "a line of the caption is too long"


@pytest.mark.parametrize(("table", "rows"), [("scaling", 14), ("imagenet", 24), ("transfer", 16)])
def test_compare_for_programs_and_for_documents(effsearch, table, rows):
    records = json.loads(effsearch("compare", table, "--format", "json")[1])
    assert len(records) == rows
    assert len({tuple(record) for record in records}) == 1
    for record in records:
        measured = [value for key, value in record.items() if key.startswith("measured")]
        assert all(measured) or not any(measured)
    out = effsearch("compare", table, "--format", "markdown")[1]
    assert sum(line.startswith("| ") for line in out.splitlines()) == rows + 2
    assert "1905.11946" in out


def test_compare_check_counts_torchvisions_networks_again(effsearch):
    code, out, err = effsearch("compare", "imagenet", "--check", "--format", "json")
    assert code == 0
    assert len(json.loads(out)) == 24
    assert err.count("they agree") == 4


def test_scale_grows_b0_by_the_papers_coefficients(effsearch):
    code, out, _ = effsearch("scale", "b0", "--phi", "1", "--explain")
    assert code == 0
    assert out == (GOLDEN / "scale-b0-phi1.txt").read_text()
    assert max(len(line) for line in out.splitlines() if "px-" not in line) <= 80


def test_scale_solves_phi_and_takes_presets_and_shrinks(effsearch):
    grown = json.loads(effsearch("scale", "b0", "--target-flops", "2G", "--format", "json")[1])
    assert 1.9e9 < grown["flops"] <= 2e9
    assert grown["depth"] == pytest.approx(grown["alpha"] ** grown["phi"])
    b4 = json.loads(effsearch("scale", "b0", "--preset", "B4", "--format", "json")[1])
    assert (b4["params"], b4["resolution"], b4["phi"]) == (19_341_616, 380, None)
    small = json.loads(effsearch("scale", "resnet50", "--phi", "-1", "--format", "json")[1])
    assert small["flops_ratio"] < 1
    out = effsearch("scale", "b0", "--preset", "b4", "--explain")[1]
    assert "not alpha^phi for any phi" in out
    assert "depth 1.8 needs phi 3.22" in " ".join(out.split())
    assert effsearch("scale", "b0", "--format", "markdown", "--explain")[1].count("\n| ---") == 2


def test_a_grid_is_planned_without_training(effsearch, tmp_path):
    cells = json.loads(effsearch("grid", "--phi", "1", "--dry-run", "--format", "json")[1])
    assert len([cell for cell in cells if cell["role"] == "candidate"]) == 65
    for cell in cells:
        assert {"alpha", "beta", "gamma", "product", "role", "triples", "notation", "resolution"} <= cell.keys()
        assert {"flops", "flops_ratio", "params"} <= cell.keys()
    code, out, err = effsearch("grid", "--dry-run", "--step", "0.2", "--baseline", "mobilenet_v2")
    assert (code, err) == (0, "")
    for expected in ("mobilenet_v2 grown to phi 1", "6 distinct networks", "trainings of about", "product:"):
        assert expected in " ".join(out.split())
    assert max(map(len, out.splitlines())) <= 80
    assert effsearch("grid", "--dry-run", "--format", "markdown", "--step", "0.2")[1].startswith("| alpha |")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (
            "nas --target-flops 8M --space tiny --proxy-resolution 32 --trials 6",
            ("space tiny: ", "6 architectures on ", "up to 6 more trainings", "in all, from a short measurement"),
        ),
        (
            "curves --axes depth,width --no-under --points 1,2 --proxy-resolution 32",
            ("what b0 grows into", "x 2.03", "2 curves through 3 distinct networks", "from a short measurement"),
        ),
        ("nas --target-flops 300M --evaluator prior", ("200 architectures", "nothing is trained")),
    ],
)
def test_a_plan_says_what_would_be_done_and_writes_nothing(effsearch, tmp_path, command, said):
    code, out, err = effsearch(*command.split(), "--dry-run")
    assert (code, err) == (0, "")
    text = " ".join(out.split())
    for part in said:
        assert part in text
    assert not list(tmp_path.iterdir())


def test_show_prints_table_csv_json_and_markdown(effsearch, run_folder):
    code, out, _ = effsearch("show")
    assert code == 0
    for expected in (
        "first: 1 trained architecture",
        "50.0",
        "385.8M",
        "synthetic images",
        "seed sd 1.0 points",
        str(EFFICIENTNET_B0),
    ):
        assert expected in out
    assert json.loads(effsearch("show", "first", "--format", "json")[1])[0]["params"] == 5288548
    assert effsearch("show", "--format", "csv")[1].splitlines()[0].startswith("rank,key,notation,state,accuracy")
    assert effsearch("show", "--format", "markdown")[1].startswith("| rank |")
    code, out, _ = effsearch("show", "--out", "table.parquet")
    assert (code, out) == (0, "wrote 1 row to table.parquet\n")


def test_runs_lists_even_what_cannot_be_read(effsearch, run_folder):
    assert "first" in effsearch("runs")[1]
    (run_folder.path / "run.toml").write_text("broken [")
    code, out, _ = effsearch("runs")
    assert code == 0
    assert "cannot be read" in out


def test_no_runs_yet(effsearch):
    code, out, _ = effsearch("runs")
    assert code == 0
    assert "effsearch nas --target-flops 400M" in out


MISTAKES = {
    "describe foo": "no architecture 'foo'.*b0.*RUN:RANK",
    "describe 224px-a-b-c-silu": "not a stem|stem",
    "describe first:7": "ranks 1 to 1, got 7",
    "describe nope:1": "no run 'nope'",
    "describe b0 --resolution 3": "8 to 8192 px, got 3",
    "describe b0 --classes 1": "got 1",
    "describe b0 --format xml": "xml",
    "describe": "ARCH",
    "report nope": "no run 'nope'",
    "report first --out page.txt": r"ends in .html, .htm, got 'page.txt'",
    "report first --out missing/page.html": "cannot write missing/page.html: No such file",
    "report none": "no finished training yet",
    "plot nope": "no run 'nope'",
    "plot none": "no finished training yet",
    "plot first --kind histogram": "one of pareto, progress, curves, surface, means, transfer, got 'histogram'",
    "plot first --kind surface": "effsearch nas, which has pareto, progress; got --kind surface",
    "plot first --kind progress": "has no journal",
    "plot first --out x.gif": r"ends in .png, .svg, .pdf, got 'x.gif'",
    "plot first --out missing/x.svg": "cannot write missing/x.svg: No such file",
    "plot first --out empty.svg": "cannot write empty.svg: .*directory",
    "show none --plot": "no finished training yet",
    "show first --plot --format json": "--plot draws in the terminal",
    "compare": "scaling, imagenet",
    "compare table3": "'table3' is not one of 'scaling', 'imagenet'",
    "compare scaling --format csv": "'table', 'json', 'markdown'",
    "compare scaling --check": "--check is for imagenet",
    "compare scaling --plot": "--plot is for imagenet, got scaling",
    "compare scaling --plot x.png": "--plot is for imagenet, got scaling",
    "compare imagenet x.png": "FILE is for --plot, which draws a figure; got no --plot",
    "compare imagenet --add first": "--add is for --plot",
    "compare imagenet --theme dark": "--theme is for --plot",
    "compare imagenet --plot --theme dark": "--theme is for --plot FILE",
    "compare imagenet --plot x.png --theme blue": "'light', 'dark'",
    "compare imagenet --plot --format json": "leave out --check and --format",
    "compare imagenet --plot x.gif": r"ends in .png, .svg, .pdf, got 'x.gif'",
    "compare imagenet --plot missing/x.png": "cannot write missing/x.png: No such file",
    "compare imagenet --plot empty.svg": "cannot write empty.svg: .*directory",
    "compare imagenet --plot --add nope": "a run of effsearch train, or a .csv or .json file: no run 'nope'.*first",
    "compare imagenet --plot --add first": "run first is of effsearch nas",
    "compare imagenet --plot x.png --add gone.csv": "gone.csv cannot be read: No such file",
    "show nope": "no run 'nope'.*first",
    "show --sort foo": "cannot sort by 'foo'.*accuracy",
    "show --top 0": "at least 1, got 0",
    "show --out table.xlsx": r"\.csv, \.json, \.parquet",
    "show ../first": "no run",
    "nas": "needs --target-flops",
    "nas --target-flops 0": "above 0.*'0'",
    "nas --target-flops -1": "above 0.*'-1'",
    "nas --target-flops abc": "400M.*'abc'",
    "nas --target-flops 10T": "it spans .* to .*",
    "nas --target-flops 400M --space mbcon": "did you mean mbconv",
    "nas --target-flops 400M --space missing.toml": "no space",
    "nas --target-flops 400M --sampler foo": "evolution, .*'foo'",
    "nas --target-flops 400M --data nowhere": "nowhere",
    "nas --target-flops 400M --data empty": "no class folder",
    "nas --target-flops 400M --data one": "one class",
    "nas --target-flops 400M --data single": "too few images in class 'b'",
    "nas --target-flops 400M --reward foo": "soft, hard, absolute",
    "nas --target-flops 400M --exponent 1": "below 0",
    "nas --target-flops 400M --exponent nan": "nan",
    "nas --target-flops 400M --flops-window 2:1": "LOW:HIGH",
    "nas --target-flops 400M --flops-window 0.999999:1.000001": "widen --flops-window or the limits|proposals",
    "nas --target-params 5M --target-flops 400M": "one target, got --target-flops and --target-params",
    "nas --target-params 1": "no architecture of space mbconv has 0.9 to 1.1 parameters: it spans",
    "nas --target-params x": "--target-params must be a number above 0",
    "nas --target-latency 20": "with its unit such as 20ms.*'20'",
    "nas --target-latency 0ms": "above 0",
    "nas --target-latency 20ms --latency-device tpu": "must be one of cpu, cuda, got 'tpu'",
    "nas --target-latency 20ms --latency-threads 0": "--latency-threads must be from 1 to 256",
    "nas --target-latency 20ms --ray local": "leave out --ray",
    "nas --target-flops 400M --latency-batch 2": "only a --target-latency or --max-latency takes --latency-batch",
    "nas --target-flops 400M --max-params 1": "at most 1 parameters: it spans",
    "nas --target-flops 400M --max-flops 100M": "at most 100M FLOPs: it spans",
    "nas --target-flops 400M --max-latency soon": "--max-latency must be a time above 0",
    "nas --target-flops 400M --resolution 3": "8 to 8192",
    "nas --target-flops 400M --proxy slow": "quick, standard",
    "nas --target-flops 400M --proxy-resolution 4": "8 to 2048 px",
    "nas --target-flops 400M --proxy-width -1": "0.05 to 4",
    "nas --target-flops 400M --proxy-width nan": "nan",
    "nas --target-flops 400M --space wide.toml --proxy-width 4": "20,000 of the 5,000 channels in space wide",
    "nas --target-flops 400M --proxy-images 3": "a batch, got 3",
    "nas --target-flops 400M --epochs 0": "epochs must be from 1",
    "nas --target-flops 400M --seed -1": "seed",
    "nas --target-flops 400M --workers 0": "1 to 256",
    "nas --target-flops 400M --trials 0": "from 1 to",
    "nas --target-flops 400M --trials many": "--trials.*'many'",
    "nas --target-flops 400M --time-limit 0": "90s, 10m or 2h",
    "nas --target-flops 400M --run ../x": "name",
    "nas --target-flops 400M --run a --resume b": "not both",
    "nas --target-flops 400M --results file/results": "cannot make the run folder",
    "nas --resume nope": "no run 'nope'",
    "nas --resume partial": "run.toml is not what a run writes: its settings cannot be read: .*missing",
    "nas --typo": "No such option",
    "curves --axes height": "axes must be of depth, width, resolution, got height",
    "curves --points 1,x": "--points must be numbers with commas such as 1,2,4; got '1,x'",
    "curves --points 0.5": "from 1 to 100",
    "curves --repeats 0": "from 1 to 100, got 0",
    "curves --baseline nothing": "no architecture 'nothing'",
    "curves --resume first": "is of effsearch nas, not of curves",
    "train": "train needs an ARCH",
    "train b0 --recipe long": "--recipe must be one of efficientnet, short, finetune or a .toml file, got 'long'",
    "train b0 --recipe missing.toml": "missing.toml cannot be read",
    "train b0 --recipe wide.toml": "unknown key",
    "train b0 --epochs 0": "--epochs must be from 1",
    "train b0 --resolution 4": "--resolution must be from 8",
    "train b0 --batch 0": "--batch must be from 1",
    "train b0 --device tpu": "--device must be cpu or cuda, got 'tpu'",
    "train b0 --weights missing.pt": "missing.pt cannot be read",
    "train b0 --data one --resolution 16": "one class",
    "train --resume nope": "no run 'nope'",
    "train --resume first": "is of effsearch nas, not of train",
    "export first --to caffe": "--to must be one of timm, onnx, safetensors, torch-export, got 'caffe'",
    "export b0 --to safetensors --out empty/..": "exists",
    "export nothing --to onnx": "no architecture 'nothing'",
    "export first": "--to",
    "export b0 --to safetensors --classes 1": "got 1",
    "export resnet50 --to timm": "timm.*(begin with|needs)",
    "scale": "ARCH",
    "scale foo": "no architecture 'foo'",
    "scale b0 --alpha 0.9": "alpha must be from 1 to 100, got 0.9",
    "scale b0 --gamma nan": "gamma must be from 1 to 100, got nan",
    "scale b0 --phi abc": "--phi.*valid number.*got 'abc'|--phi.*'abc' is not a valid float",
    "scale b0 --phi 1000": "phi must be a number from -100 to 100",
    "scale b0 --phi 40": "is too much",
    "scale b0 --preset b9": "--preset must be one of b0, b1.*'b9'",
    "scale b0 --preset b1 --phi 2": "give one of --phi, --preset, not 2",
    "scale b0 --preset b1 --alpha 1.1": "leave out",
    "scale b0 --target-flops 10": "no phi leads to 10 FLOPs",
    "scale b0 --target-flops x": "--target-flops must be a number above 0",
    "scale b0 --depth-rounding floor": "must be one of ceil, nearest",
    "scale b0 --width-divisor 0": "width divisor must be from 1 to 1024",
    "scale b0 --classes 1": "got 1",
    "scale b0 --from nope": "no run 'nope'",
    "scale b0 --from first": "has found no coefficients yet",
    "grid --phi abc": "--phi.*valid number.*got 'abc'|--phi.*'abc' is not a valid float",
    "grid --phi 0": "phi must be from 0.01 to 20, got 0",
    "grid --step 0": "step must be from 0.001 to 10, got 0",
    "grid --step 0.7 --tolerance 0": "widen the tolerance",
    "grid --step 0.01 --tolerance 1": "more than 10,000 triples",
    "grid --target 0.5": "target must be from 1.01 to 100",
    "grid --constraint time": "must be one of formula, flops",
    "grid --method guess": "must be one of surface, halving, grid, tpe, evolution",
    "grid --repeats 0": "from 1 to 100, got 0",
    "grid --baseline file": "does not hold an architecture|file",
    "grid --baseline nothing": "no architecture 'nothing'",
    "grid --proxy slow": "quick, standard",
    "grid --epochs 0": "epochs must be from 1",
    "grid --baseline l2 --proxy-width 4": "head channels must be a whole number from 0 to 16384",
    "curves --baseline l2 --proxy-width 4": "head channels must be a whole number from 0 to 16384",
    "grid --workers 0": "from 1 to 256",
    "grid --trials 0": "from 1 to 100,000",
    "grid --run ../x": "name",
    "grid --run a --resume b": "not both",
    "grid --resume first": "is of effsearch nas, not of grid",
    "grid --resume nope": "no run 'nope'",
    "grid --format json": "--format is for --dry-run",
    "grid --dry-run --step 0": "step must be",
    "grid --depth-rounding floor": "must be one of ceil, nearest",
    "frobnicate": "No such command",
    f"show ./{300 * 'b'}": "'b{80}' goes on too long for the name of a file",
    f"curves --data ./{300 * 'b'}": "too long for the name of a file",
    f"cam ./{300 * 'b'}:c --images one": "too long for the name of a file",
}


@pytest.mark.parametrize("command", MISTAKES)
def test_a_mistake_is_one_line_and_status_2_and_leaves_nothing(effsearch, run_folder, tmp_path, command):
    from PIL import Image

    about = tomllib.loads((run_folder.path / "run.toml").read_text())
    create(tmp_path / "results", "none", about).ranking.write_text(to_csv([]))
    # Older than the first run, which is thus the latest.
    created = about["run"] | {"created": "2025-01-01T00:00:00+00:00"}
    create(tmp_path / "results", "partial", about | {"run": created, "settings": {"target": 4e8}})
    for name in ("empty", "empty.svg", "one/a", "single/a", "single/b"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("one/a/1", "single/a/1", "single/a/2", "single/a/3", "single/b/1"):
        Image.new("RGB", (16, 16)).save(tmp_path / f"{name}.png")
    (tmp_path / "file").write_text("")
    mbconv = locate("mbconv").read_text(encoding="utf-8")
    (tmp_path / "wide.toml").write_text(mbconv.replace("channels = 1280", "channels = 5000"), encoding="utf-8")
    before = sorted(tmp_path.rglob("*"))
    code, out, err = effsearch(*command.split())
    assert code == 2
    assert err.count("\n") == 1
    assert err.startswith("effsearch: ")
    assert re.search(MISTAKES[command], err)
    assert "Traceback" not in out + err
    assert sorted(tmp_path.rglob("*")) == before


def test_help_names_the_commands(effsearch):
    code, out, _ = effsearch("--help")
    assert code == 0
    for command in (
        "nas",
        "grid",
        "curves",
        "verify",
        "scale",
        "show",
        "report",
        "plot",
        "runs",
        "describe",
        "compare",
    ):
        assert command in out


def test_without_arguments_there_is_help(effsearch):
    code, out, err = effsearch()
    assert code in (0, 2)
    assert "describe" in out + err


def test_a_reader_that_has_seen_enough_is_no_error(run_folder, tmp_path):
    shown = subprocess.run(
        f"{sys.executable} -c 'from effsearch.cli import main; main()' show --format json | head -n 1",
        shell=True, cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert shown.stdout == "[\n"
    assert shown.stderr == ""


@pytest.mark.parametrize("text", ["the architecture", "cifar10:3", "../x", "", "--", "ä b", "x" * 300, "b0"])
def test_whatever_a_network_is_called_a_run_can_be_named_after_it(text):
    name = plain_name(text, "baseline")
    assert check_name(f"grid-{name}-20261124-101530")
    assert plain_name("b0", "baseline") == "b0"

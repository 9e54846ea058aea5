import pytest
import torch
from torch import nn
from torchvision.models import efficientnet_b0, get_model, mobilenet_v2, resnet50, wide_resnet50_2

from effsearch.architecture import parse
from effsearch.errors import WeightsError
from effsearch.families import EFFICIENTNET_B0, MOBILENET_V1, MOBILENET_V2, PUBLISHED, RESNET50
from effsearch.network import build
from effsearch.network.weights import translated
from effsearch.scaling import widen

WIDE_RESNET50_2 = parse(str(RESNET50).replace("_e4_", "_e2_"))


def as_if_trained(network: nn.Module) -> nn.Module:
    """No norm is at its initial value, and its statistics are of images, so that one image is told from another."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.weight.data.uniform_(0.5, 1.5)
            module.bias.data.normal_(0, 0.3)
            module.momentum = None
    with torch.no_grad():
        network.train()(torch.randn(8, 3, 96, 96))
    return network.eval()


@pytest.mark.parametrize(
    ("architecture", "make"),
    [
        (EFFICIENTNET_B0, efficientnet_b0),
        (MOBILENET_V2, mobilenet_v2),
        (RESNET50, resnet50),
        (WIDE_RESNET50_2, wide_resnet50_2),
    ],
    ids=["b0", "mobilenet_v2", "resnet50", "wide_resnet50_2"],
)
def test_torchvisions_weights_give_torchvisions_logits(architecture, make):
    torch.manual_seed(0)
    theirs, ours = as_if_trained(make(weights=None, num_classes=10)), build(architecture, 10).eval()
    shuffled = dict(sorted(theirs.state_dict().items()))
    ours.load_state_dict(translated(architecture, shuffled))
    x = torch.randn(2, 3, 97, 65)
    with torch.inference_mode():
        expected, got = theirs(x), ours(x)
    assert (expected[0] - expected[1]).abs().max() > 0.1
    torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-5)


def test_reading_weights_leaves_the_global_generator_alone():
    weights = build(EFFICIENTNET_B0, 10).state_dict()
    before = torch.get_rng_state()
    translated(EFFICIENTNET_B0, weights)
    assert torch.equal(before, torch.get_rng_state())


def test_weights_of_another_network_are_refused_in_one_line():
    weights = resnet50(weights=None, num_classes=10).state_dict()
    deeper = parse(str(RESNET50).replace("r3_k3_s1", "r4_k3_s1"))
    shallower = parse(str(RESNET50).replace("r3_k3_s1", "r2_k3_s1"))
    for architecture, says in (
        (deeper, r"^layer1.3.conv1.weight must be of shape \(64, 256, 1, 1\) to be features.*, but is missing$"),
        (shallower, "^the architecture has no place for layer1.2.bn1.bias$"),
        (widen(RESNET50, 0.5), r"^conv1.weight must be of shape \(32, 3, 7, 7\).* but is of shape \(64, 3, 7, 7\)$"),
        (MOBILENET_V1, "must be of shape"),
    ):
        with pytest.raises(WeightsError, match=says):
            translated(architecture, weights)
    with pytest.raises(WeightsError, match="missing"):
        translated(RESNET50, {})


@pytest.mark.parametrize("name", [f"b{size}" for size in range(8)])
def test_published_networks_have_torchvisions_tensors(name):
    with torch.device("meta"):
        theirs = get_model(f"efficientnet_{name}", weights=None).state_dict()
    ours = translated(PUBLISHED[name].architecture, theirs)
    assert list(ours) == list(theirs)

"""Class activation maps: that they sum up to the logits, and what becomes a picture of them."""

import numpy as np
import pytest
import torch

from effsearch.data.augment import normalise
from effsearch.errors import WeightsError
from effsearch.evaluation.activation_maps import activation_maps, heat
from effsearch.families import find
from effsearch.network import build

IMAGES = np.random.default_rng(0).integers(0, 256, (2, 70, 70, 3), np.uint8)


def network_of(name, classes=5):
    torch.manual_seed(0)
    network = build(find(name), classes)
    with torch.no_grad():
        network.train()(normalise(torch.from_numpy(IMAGES), 64))  # Norms with statistics of images.
        network.classifier[1].bias.normal_()
    return network.eval()


@pytest.mark.parametrize("name", ["b0", "mobilenet_v2", "resnet50", "mnasnet_a1"])
def test_the_mean_of_a_map_and_the_bias_make_the_logit(name):
    network = network_of(name)
    with torch.inference_mode():
        logits = network(normalise(torch.from_numpy(IMAGES), 96))
    bias = network.classifier[1].bias
    for number in (None, 0, 4):
        for found, expected in zip(activation_maps(network, IMAGES, 96, "cpu", number), logits, strict=True):
            assert found.number == (expected.argmax().item() if number is None else number)
            assert found.contributions.shape == (3, 3)
            assert (found.contributions.mean() + bias[found.number]).item() == pytest.approx(
                expected[found.number].item(), abs=1e-4
            )
            assert found.probability == pytest.approx(expected.softmax(0)[found.number].item(), abs=1e-5)


def test_heat_is_what_speaks_for_a_class_relative_to_its_maximum():
    warm = heat(torch.tensor([[4.0, -3.0], [2.0, 0.0]]), 8)
    assert warm.shape == (8, 8)
    assert (warm[0, 0], warm[0, -1], warm[-1, 0]) == pytest.approx((1, 0, 0.5))
    assert warm[0, 3] == pytest.approx(0.625)  # Bilinear: 3/8 of the way to the next place.
    assert not heat(torch.tensor([[-1.0, -2.0]]), 4).any()


def test_weights_that_are_no_numbers_are_said():
    network = network_of("mobilenet_v2")
    network.classifier[1].weight.data.fill_(float("nan"))
    with pytest.raises(WeightsError, match="not numbers"):
        list(activation_maps(network, IMAGES, 64, "cpu"))

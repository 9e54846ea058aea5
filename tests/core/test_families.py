import pytest

from effsearch.costs import biases, cost, stage_costs
from effsearch.families import (
    EFFICIENTNET_B0,
    FAMILIES,
    MNASNET_A1,
    MOBILENET_V1,
    MOBILENET_V2,
    NAMES,
    PUBLISHED,
    RESNET50,
    find,
)
from effsearch.scaling import widen


def name_of(architecture):
    return next((name for name in NAMES if find(name).key == architecture.key), None)


def test_b0_costs_what_the_paper_and_torchvision_say():
    assert cost(EFFICIENTNET_B0)[:2] == (385_814_752, 5_288_548)


def test_mnasnet_a1_costs_what_its_paper_says():
    flops, params, _ = cost(MNASNET_A1)
    assert (flops, params) == (311_579_072, 3_887_038)
    assert (round(flops / 1e6), round(params / 1e6, 1)) == (312, 3.9)


def test_b0s_stages_are_table_1_of_the_paper():
    rows = [(row.operator, row.resolution, row.channels, row.layers) for row in stage_costs(EFFICIENTNET_B0)]
    assert rows == [
        ("Conv3x3", 224, 32, 1),
        ("MBConv1, k3x3, SE", 112, 16, 1),
        ("MBConv6, k3x3, SE", 112, 24, 2),
        ("MBConv6, k5x5, SE", 56, 40, 2),
        ("MBConv6, k3x3, SE", 28, 80, 3),
        ("MBConv6, k5x5, SE", 14, 112, 3),
        ("MBConv6, k5x5, SE", 14, 192, 4),
        ("MBConv6, k3x3, SE", 7, 320, 1),
        ("Conv1x1 & Pooling & FC", 7, 1280, 1),
    ]


@pytest.mark.parametrize(
    ("known", "flops", "params"),
    [
        (MOBILENET_V1, 568_740_352, 4_231_976),
        (MOBILENET_V2, 300_774_272, 3_504_872),
        (RESNET50, 4_089_184_256, 25_557_032),
    ],
)
def test_other_baselines_cost_what_their_papers_and_torchvision_say(known, flops, params):
    # 1704.04861: 569M and 4.2M; 1801.04381: 300M and 3.4M; 1512.03385: 3.8G, with the stride in the 1x1 convolution.
    assert cost(known)[:2] == (flops, params)
    assert cost(known).flops + biases(known) == flops + 1000


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("b0", 5_288_548),
        ("b1", 7_794_184),
        ("b2", 9_109_994),
        ("b3", 12_233_232),
        ("b4", 19_341_616),
        ("b5", 30_389_784),
        ("b6", 43_040_704),
        ("b7", 66_347_960),
    ],
)
def test_published_parameters(name, params):
    # As in torchvision and in the paper's code.
    assert cost(PUBLISHED[name].architecture).params == params


@pytest.mark.parametrize(
    ("name", "flops"),
    [
        ("b0", 385_825_092),
        ("b1", 686_817_992),
        ("b2", 993_578_282),
        ("b3", 1_827_162_472),
        ("b4", 4_393_801_064),
        ("b5", 10_266_426_072),
    ],
)
def test_published_flops_with_the_additions_of_biases(name, flops):
    # As pycls counts them (facebookresearch/pycls, model zoo).
    published = PUBLISHED[name].architecture
    assert cost(published).flops + biases(published) == flops


def test_resnet50s_stages_are_table_1_of_its_paper():
    rows = [(row.operator, row.resolution, row.channels, row.layers) for row in stage_costs(RESNET50)]
    assert rows == [
        ("Conv7x7 & MaxPool", 224, 64, 1),
        ("Bottleneck4, k3x3", 56, 256, 3),
        ("Bottleneck4, k3x3", 56, 512, 4),
        ("Bottleneck4, k3x3", 28, 1024, 6),
        ("Bottleneck4, k3x3", 14, 2048, 3),
        ("Pooling & FC", 7, 2048, 1),
    ]


@pytest.mark.parametrize("name", ["b0", "B0", "EfficientNet-B0", "efficientnet_b0", "EfficientNetB0"])
def test_b0_goes_by_every_usual_name(name):
    assert find(name) is EFFICIENTNET_B0


@pytest.mark.parametrize(
    ("spelling", "name"),
    [
        ("MobileNetV1", "mobilenet_v1"),
        ("mobilenet-v2", "mobilenet_v2"),
        ("ResNet-50", "resnet50"),
        ("resnet_50", "resnet50"),
        ("MnasNet", "mnasnet_a1"),
        ("b4", "b4"),
        ("EfficientNet-B4", "b4"),
        ("efficientnet_b4", "b4"),
        ("efficientnet-l2", "l2"),
        ("EfficientNet-Lite3", "efficientnet_lite3"),
        ("lite0", "efficientnet_lite0"),
    ],
)
def test_networks_go_by_their_usual_names(spelling, name):
    assert name_of(find(spelling)) == name


def test_names_lead_there_and_back():
    assert set(NAMES) == {*FAMILIES, *PUBLISHED, *(f"efficientnet_lite{number}" for number in range(1, 5))}
    for name in NAMES:
        assert name_of(find(name)) == name
    for name, architecture in FAMILIES.items():
        assert find(name) is architecture
    assert PUBLISHED["b0"].architecture == EFFICIENTNET_B0
    assert find("b5").resolution == 456
    assert find("b99") is None
    assert name_of(widen(EFFICIENTNET_B0, 0.5)) is None

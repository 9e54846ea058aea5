import pytest

from effsearch.cost import cost, stage_costs
from effsearch.families import EFFICIENTNET_B0, FAMILIES, MNASNET_A1, find, name_of
from effsearch.scaling import widen


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


@pytest.mark.parametrize("name", ["b0", "B0", "EfficientNet-B0", "efficientnet_b0", "EfficientNetB0"])
def test_b0_goes_by_every_usual_name(name):
    assert find(name) is EFFICIENTNET_B0


def test_names_lead_there_and_back():
    for name, architecture in FAMILIES.items():
        assert find(name) is architecture
        assert name_of(architecture) == name
    assert find("b99") is None
    assert name_of(widen(EFFICIENTNET_B0, 0.5)) is None

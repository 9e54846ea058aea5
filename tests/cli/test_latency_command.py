import json

import pytest
from user import run


def test_latency_stands_beside_flops(tmp_path):
    done = run(tmp_path, "latency", "b0", "--resolution", "32", "--classes", "10", "--format", "json")
    assert done.returncode == 0, done.stderr
    (row,) = json.loads(done.stdout)
    assert row["name"] == "b0"
    assert row["params"] == 4_020_358
    assert 0 < row["median_ms"] <= row["p90_ms"]
    assert row["images_per_second"] == pytest.approx(1000 / row["median_ms"])
    assert (row["resolution"], row["batch"], row["threads"], row["device"]) == (32, 1, 1, "cpu")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("b0 --device tpu", "--device must be one of cpu, cuda, got 'tpu'"),
        ("b0 --batch 0", "--batch must be from 1 to 4,096, got 0"),
        ("b0 --threads 300", "--threads must be from 1 to 256, got 300"),
        ("b0 --resolution 4", "--resolution must be from 8 to 2048 px, got 4"),
        ("b99", "no architecture 'b99'"),
        (
            "b0 --batch 4096 --resolution 2048",
            "b0 with 4,096 images of 2048 px does not fit into memory; give a smaller --batch",
        ),
    ],
)
def test_what_cannot_be_measured_is_refused_in_one_line(tmp_path, arguments, said):
    done = run(tmp_path, "latency", *arguments.split())
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stderr.count("\n") == 1

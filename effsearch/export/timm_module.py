"""A folder that timm can make the network from: a small module that registers it, config.json, model.safetensors."""

import json
from collections.abc import Iterator
from pathlib import Path

from safetensors.torch import save

from effsearch.architecture import Activation, Architecture, Stage
from effsearch.data.augment import MEAN, STD
from effsearch.errors import ExportError
from effsearch.network.file import Weights
from effsearch.runs.files import write_atomically

ACTIVATIONS: dict[Activation, str] = {
    "silu": "nn.SiLU",
    "relu": "nn.ReLU",
    "relu6": "nn.ReLU6",
    "hardswish": "nn.Hardswish",
}

MODULE = '''"""{name}, found by effsearch: {notation}

Importing this file registers the model with timm; timm.create_model({name!r}, pretrained=True) makes it.
"""

from functools import partial
from pathlib import Path

from timm.models import generate_default_cfgs, register_model
from timm.models._efficientnet_blocks import SqueezeExcite
from timm.models._efficientnet_builder import decode_arch_def
from timm.models.efficientnet import _create_effnet
from torch import nn

default_cfgs = generate_default_cfgs(
    {{
        "{name}": dict(
            file=str(Path(__file__).parent / "model.safetensors"),
            num_classes={classes},
            input_size=(3, {side}, {side}),
            pool_size=({pool}, {pool}),
            crop_pct=1.0,
            interpolation="bilinear",
            mean={mean},
            std={std},
            first_conv="conv_stem",
            classifier="classifier",
        )
    }}
)


@register_model
def {name}(pretrained=False, **kwargs):
    stages = {stages}
    arguments = dict(
        block_args=decode_arch_def([[stage] for stage in stages]),
        num_classes={classes},
        num_features={head},
        stem_size={stem},
        fix_stem=True,
        round_chs_fn=lambda channels: channels,
        act_layer={activation},
        norm_layer=partial(nn.BatchNorm2d, eps=1e-5),
        se_layer=partial(SqueezeExcite, rd_round_fn=int),
    )
    if kwargs.get("features_only"):
        kwargs.setdefault("out_indices", tuple(range({levels})))
    return _create_effnet("{name}", pretrained, **(arguments | kwargs))
'''


def write(weights: Weights, folder: Path, out: Path) -> tuple[tuple[str, ...], str]:
    """Writes NAME.py, config.json and model.safetensors; raises ExportError for what timm has no blocks for."""
    architecture = weights.architecture
    _check(architecture)
    name = f"effsearch_{architecture.key}"
    names = dict(_names(architecture))
    tensors = {
        f"{names[key.rpartition('.')[0]]}.{key.rpartition('.')[2]}": value.contiguous()
        for key, value in weights.tensors.items()
    }
    mean, std = (tuple(round(value / 255, 6) for value in values) for values in (MEAN, STD))
    side, count = architecture.resolution, len(weights.classes)
    pool = side
    for stride in (architecture.stem.stride, *(stage.stride for stage in architecture.stages)):
        pool = -(-pool // stride)
    files = (f"{name}.py", "config.json", "model.safetensors")
    module = MODULE.format(
        name=name,
        notation=architecture.notation,
        classes=count,
        side=side,
        pool=pool,
        levels=1 + sum(stage.stride == 2 for stage in architecture.stages),
        mean=mean,
        std=std,
        stages=json.dumps([str(stage) for stage in architecture.stages], indent=8).replace("\n]", "\n    ]"),
        head=architecture.head,
        stem=architecture.stem.channels,
        activation=ACTIVATIONS[architecture.activation],
    )
    pretrained = {"num_classes": count, "input_size": [3, side, side], "mean": mean, "std": std, "crop_pct": 1.0}
    pretrained |= {"interpolation": "bilinear", "first_conv": "conv_stem", "classifier": "classifier"}
    config = {
        "architecture": name,
        "num_classes": count,
        "num_features": architecture.head,
        "label_names": list(weights.classes),
        "notation": architecture.notation,
        "trained": weights.trained,
        "pretrained_cfg": pretrained,
    }
    write_atomically(folder / files[0], module)
    write_atomically(folder / files[1], json.dumps(config, indent=2) + "\n")
    write_atomically(folder / files[2], save(tensors, metadata={"format": "pt"}))
    usage = (
        f"import sys, timm\nsys.path.insert(0, {str(out)!r})\nimport {name}\n"
        f"network = timm.create_model({name!r}, pretrained=True).eval()"
    )
    return files, usage


def _check(architecture: Architecture) -> None:
    stem = architecture.stem
    if (stem.kernel, stem.stride, stem.pool) != (3, 2, False):
        raise ExportError(
            f"timm's EfficientNets begin with a 3x3 convolution of stride 2, got {stem}; take another --to"
        )
    if not architecture.head:
        raise ExportError("timm's EfficientNets have a head, and this network has none; take another --to")
    for stage in architecture.stages:
        if not stage.operator.timm:
            raise ExportError(f"timm's EfficientNets have no {stage.op} blocks; take another --to")


def _names(architecture: Architecture) -> Iterator[tuple[str, str]]:
    """Our name and timm's of every module that has tensors."""
    yield "features.0.0", "conv_stem"
    yield "features.0.1", "bn1"
    for number, stage in enumerate(architecture.stages):
        for layer in range(stage.layers):
            yield from _block_names(stage, f"features.{number + 1}.{layer}.block", f"blocks.{number}.{layer}")
    last = f"features.{len(architecture.stages) + 1}"
    yield f"{last}.0", "conv_head"
    yield f"{last}.1", "bn2"
    yield "classifier.1", "classifier"


def _block_names(stage: Stage, ours: str, theirs: str) -> Iterator[tuple[str, str]]:
    convolutions = enumerate(stage.operator.timm, 1)
    for place, part in enumerate(stage.parts):
        if part.kind == "excitation":
            yield f"{ours}.{place}.fc1", f"{theirs}.se.conv_reduce"
            yield f"{ours}.{place}.fc2", f"{theirs}.se.conv_expand"
        else:
            number, name = next(convolutions)
            yield f"{ours}.{place}.0", f"{theirs}.{name}"
            yield f"{ours}.{place}.1", f"{theirs}.bn{number}"

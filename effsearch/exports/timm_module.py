"""A folder that timm can make the network from: a small module that registers it, config.json, model.safetensors."""

import json
from collections.abc import Iterator
from functools import reduce
from pathlib import Path

from safetensors.torch import save

from effsearch.architecture import Architecture, Stage
from effsearch.costs import out_side
from effsearch.errors import ExportError
from effsearch.files import write_atomically
from effsearch.network.build import ACTIVATION_LAYERS
from effsearch.network.weights import Weights

MODULE = '''"""{name}, found by effsearch: {notation}

Importing this file registers the model with timm; timm.create_model({name!r}, pretrained=True) makes it.
"""

from functools import partial
from pathlib import Path

from timm.models import generate_default_cfgs, register_model
from timm.models._efficientnet_blocks import SqueezeExcite
from timm.models._efficientnet_builder import decode_arch_def, resolve_bn_args
from timm.models.efficientnet import _create_effnet
from torch import nn

pretrained_cfg = {pretrained}
pretrained_cfg |= {{"file": str(Path(__file__).parent / "model.safetensors"), "pool_size": ({pool}, {pool})}}
default_cfgs = generate_default_cfgs({{"{name}": pretrained_cfg}})


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
        act_layer=nn.{activation},
        norm_layer=partial(nn.BatchNorm2d, **({{"eps": {eps}}} | resolve_bn_args(kwargs))),
        pad_type={padding!r},
        se_layer=partial(SqueezeExcite, rd_round_fn=int),
    )
    if kwargs.get("features_only"):
        kwargs.setdefault("out_indices", tuple(range({levels})))
    return _create_effnet("{name}", pretrained, **(arguments | kwargs))
'''


def write_timm(weights: Weights, folder: Path, out: Path) -> tuple[tuple[str, ...], str]:
    """Writes NAME.py, config.json and model.safetensors; raises ExportError for a network that timm cannot build."""
    architecture = weights.architecture
    _check(architecture)
    name, names = f"effsearch_{architecture.key}", dict(_names(architecture))
    parts = {key: key.rpartition(".") for key in weights.tensors}
    tensors = {f"{names[parts[key][0]]}.{parts[key][2]}": value.contiguous() for key, value in weights.tensors.items()}
    config = {
        "architecture": name,
        "num_classes": len(weights.classes),
        "num_features": architecture.head,
        "label_names": list(weights.classes),
        "notation": architecture.notation,
        "trained": weights.trained,
        "pretrained_cfg": _pretrained(architecture, len(weights.classes)),
    }
    files = (f"{name}.py", "config.json", "model.safetensors")
    write_atomically(folder / files[0], _module(architecture, len(weights.classes), name))
    write_atomically(folder / files[1], json.dumps(config, indent=2) + "\n")
    write_atomically(folder / files[2], save(tensors, metadata={"format": "pt"}))
    imports = f"import sys, timm\nsys.path.insert(0, {str(out)!r})\nimport {name}\n"
    return files, f"{imports}network = timm.create_model({name!r}, pretrained=True).eval()"


def _pretrained(architecture: Architecture, classes: int) -> dict[str, object]:
    side = architecture.resolution
    mean, std = (tuple(round(value / 255, 6) for value in values) for values in architecture.normalisation)
    shape: dict[str, object] = {"num_classes": classes, "input_size": (3, side, side), "mean": mean, "std": std}
    names = {"interpolation": "bilinear", "first_conv": "conv_stem", "classifier": "classifier"}
    return {**shape, "crop_pct": 1.0, **names}


def _module(architecture: Architecture, classes: int, name: str) -> str:
    strides = (architecture.stem.stride, *(stage.stride for stage in architecture.stages))
    return MODULE.format(
        name=name,
        notation=architecture.notation,
        classes=classes,
        pool=reduce(out_side, strides, architecture.resolution),
        pretrained=_pretrained(architecture, classes),
        levels=1 + strides[1:].count(2),
        stages=json.dumps([str(stage) for stage in architecture.stages], indent=8).replace("\n]", "\n    ]"),
        head=architecture.head,
        stem=architecture.stem.channels,
        activation=ACTIVATION_LAYERS[architecture.activation].__name__,
        eps=1e-3 if architecture.lite else 1e-5,
        padding="same" if architecture.lite else "",
    )


def _check(architecture: Architecture) -> None:
    stem, missing = architecture.stem, [stage.op for stage in architecture.stages if not stage.operator.timm]
    cause = ""
    if (stem.kernel, stem.stride, stem.pool) != (3, 2, False):
        cause = f"begin with a 3x3 convolution of stride 2, got {stem}"
    elif not architecture.head:
        cause = "have a head, and this network has none"
    elif missing:
        cause = f"have no {missing[0]} blocks"
    if cause:
        raise ExportError(f"timm's EfficientNets {cause}; take another --to")


def _names(architecture: Architecture) -> Iterator[tuple[str, str]]:
    """Our name and timm's of every module that has tensors."""
    last = f"features.{len(architecture.stages) + 1}"
    yield from (("features.0.0", "conv_stem"), ("features.0.1", "bn1"))
    for number, stage in enumerate(architecture.stages):
        for layer in range(stage.layers):
            yield from _block_names(stage, f"features.{number + 1}.{layer}.block", f"blocks.{number}.{layer}")
    yield from ((f"{last}.0", "conv_head"), (f"{last}.1", "bn2"), ("classifier.1", "classifier"))


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

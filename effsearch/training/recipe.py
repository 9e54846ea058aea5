"""How a network is trained, as a value."""

import math
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal, get_args

from effsearch.data.augmentation import Augmentation
from effsearch.errors import QuantityError, RecipeError, listed
from effsearch.files import read_toml

Optimizer = Literal["sgd", "rmsprop"]
Schedule = Literal["cosine", "exponential"]
_WORDS = {"optimizer": get_args(Optimizer), "schedule": get_args(Schedule)}


def _number(default: float | None, low: float, high: float) -> Any:
    return field(default=default, metadata={"limits": (low, high)})


@dataclass(frozen=True)
class Recipe:
    """An optimizer with momentum, linear warm-up, a decay of the rate, and an average of the weights for evaluation.

    `rate` is the peak learning rate; `warmup` a share of all steps. `schedule` is cosine, or exponential: times `decay`
    every `decay_epochs` epochs. `weight_decay` is not for norms and biases; `ema` is the decay of the weight average a
    step, reached gradually; `dropout` is before the classifier (None: 0.2 for networks like B0, growing to 0.5 for
    those like B7), `drop_path` the stochastic depth of the last block (1603.09382); `zero_init` is as in
    `network.build`; `mixup` and `cutmix` as in `data.mix.Mix`, one of both for each batch; `backbone_rate` the share
    of the rate at which all but the classifier is trained. Raises QuantityError.
    """

    batch: int = _number(64, 1, 65536)
    rate: float = _number(0.2, 1e-8, 100)
    momentum: float = _number(0.9, 0, 0.9999)
    weight_decay: float = _number(1e-4, 0, 1)
    warmup: float = _number(0.1, 0, 0.9)
    label_smoothing: float = _number(0.1, 0, 0.9)
    ema: float = _number(0.98, 0, 0.999999)
    dropout: float | None = _number(0.0, 0, 0.95)
    drop_path: float = _number(0.0, 0, 0.95)
    zero_init: bool = True
    augmentation: Augmentation = field(default_factory=lambda: Augmentation(crop="none"))
    optimizer: Optimizer = "sgd"
    schedule: Schedule = "cosine"
    decay: float = _number(0.97, 0.01, 1)
    decay_epochs: float = _number(2.4, 0.01, 10_000)
    bn_momentum: float = _number(0.1, 0.0001, 1)
    mixup: float = _number(0.0, 0, 100)
    cutmix: float = _number(0.0, 0, 100)
    backbone_rate: float = _number(1.0, 0, 100)

    def __post_init__(self) -> None:
        for name, words in _WORDS.items():
            if getattr(self, name) not in words:
                raise QuantityError(f"the recipe's {name} must be one of {listed(words)}, got {getattr(self, name)!r}")
        for item in fields(self):
            value, (low, high) = getattr(self, item.name), item.metadata.get("limits", (None, None))
            if value is not None and low is not None and not low <= value <= high:
                raise QuantityError(f"the recipe's {item.name} must be from {low:g} to {high:g}, got {value!r}")

    def rate_at(self, step: int, steps: int, steps_an_epoch: int = 1) -> float:
        """The learning rate of a step (from 0) of `steps`."""
        warm = max(1, round(self.warmup * steps))
        if step < warm:
            return self.rate * (step + 1) / warm
        if self.schedule == "exponential":
            return self.rate * self.decay ** math.floor(step / steps_an_epoch / self.decay_epochs)
        return self.rate * 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))

    def dropout_for(self, params: int) -> float:
        """The dropout before the classifier of a network with `params` parameters."""
        if self.dropout is not None:
            return self.dropout
        small, large = 5.3e6, 66.3e6  # B0 and B7 (1905.11946, table 2), with 0.2 and 0.5 (section 5.2)
        share = math.log(max(params, 1) / small) / math.log(large / small)
        return 0.2 + 0.3 * min(1.0, max(0.0, share))


EFFICIENTNET = Recipe(
    # 1905.11946, section 5.2; smoothing, average and crops as in the released code. Rate 0.256 is for 4,096 images.
    batch=256,
    rate=0.256 * 256 / 4096,
    weight_decay=1e-5,
    warmup=5 / 350,
    ema=0.9999,
    dropout=None,
    drop_path=0.2,
    zero_init=False,
    augmentation=Augmentation(crop="resized", scale_min=0.08, policy="autoaugment"),
    optimizer="rmsprop",
    schedule="exponential",
    bn_momentum=0.01,
)

SHORT = Recipe(
    # SGD at a high rate with cosine decay reaches most of the accuracy in a tenth of the epochs.
    batch=128,
    rate=0.4,
    weight_decay=5e-5,
    ema=0.998,
    dropout=0.2,
    drop_path=0.1,
    augmentation=Augmentation(crop="resized", scale_min=0.35),
)

FINETUNE = Recipe(
    # From trained weights: a low rate, and larger crops than a training from fresh weights takes.
    batch=64,
    rate=0.03,
    weight_decay=5e-5,
    ema=0.98,
    dropout=0.2,
    augmentation=Augmentation(crop="resized", scale_min=0.5),
)

MIXUP, CUTMIX = 0.2, 1.0  # as in torchvision's own training of ImageNet

# Recipes by name, each with its epochs.
RECIPES = {"efficientnet": (EFFICIENTNET, 350), "short": (SHORT, 30), "finetune": (FINETUNE, 10)}


def recipe_of(name: str) -> tuple[Recipe, int]:
    """The recipe of that name or .toml file, and the epochs it is made for; raises RecipeError."""
    if name in RECIPES:
        return RECIPES[name]
    if Path(name).suffix == ".toml":
        recipe, epochs = read_recipe(Path(name))
        return recipe, epochs or RECIPES["short"][1]
    raise RecipeError(f"--recipe must be one of {listed(RECIPES)} or a .toml file, got {name!r}")


def read_recipe(path: Path) -> tuple[Recipe, int | None]:
    """Reads a TOML file with fields of a recipe, by default those of `short`, and `epochs`; raises RecipeError."""
    try:
        values = read_toml(path)
    except (OSError, ValueError) as error:
        raise RecipeError(f"{path} cannot be read as a recipe: {error}") from None
    epochs = values.pop("epochs", None)
    if epochs is not None and (type(epochs) is not int or epochs < 1):
        raise RecipeError(f"{path}: epochs must be a whole number from 1, got {epochs!r}")
    augmentation = values.pop("augmentation", {})
    if not isinstance(augmentation, dict):
        raise RecipeError(f"{path}: augmentation must be a table, got {augmentation!r}")
    try:
        changed = replace(SHORT.augmentation, **_checked(SHORT.augmentation, augmentation))
        return replace(SHORT, **_checked(SHORT, values), augmentation=changed), epochs
    except (QuantityError, RecipeError, TypeError) as error:
        raise RecipeError(f"{path}: {error}") from None


def _checked(base: Any, values: dict[str, Any]) -> dict[str, Any]:
    """The values, checked to be fields of `base` and of their types; whole numbers are made floats where needed."""
    known = {item.name: getattr(base, item.name) for item in fields(base)}
    for name, value in values.items():
        if name == "norm_momentum":
            raise RecipeError("norm_momentum is now called bn_momentum")
        if name not in known or name == "augmentation":
            raise RecipeError(f"unknown key {name!r}; there are {listed(known)}")
        wanted = float if known[name] is None else type(known[name])
        if wanted is float and type(value) is int:
            values[name] = float(value)
        elif type(value) is not wanted:
            raise RecipeError(f"{name} must be a {wanted.__name__}, got {value!r}")
    return values

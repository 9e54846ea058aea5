"""Whether values from the files of a run, which may be a stranger's, have the form that effsearch writes."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from effsearch.reward import Measure

MOST = 2.0**63
"""What no number in a run comes near."""

Form = Any
"""A type, the union of some, or a mapping of the known keys of a table to their forms."""


def fault(value: object, form: Form, where: str) -> str | None:
    """What is wrong with a value, or None; keys of a table that are not known, or that it lacks, are not looked at."""
    if not isinstance(form, Mapping):
        return None if fits(value, form) else f"{where} is {value!r:.80}"
    if not isinstance(value, dict):
        return f"{where} is no table"
    found = (fault(value[key], each, f"{where}.{key}" if where else key) for key, each in form.items() if key in value)
    return next(filter(None, found), None)


def fits(value: Any, form: Form) -> bool:
    """Whether a value is of a type; a whole number or NaN serves as a number, and numbers are below MOST."""
    origin: Any = get_origin(form)
    if origin in (Union, UnionType):
        return any(fits(value, each) for each in get_args(form))
    if origin is Literal:
        return type(value) is str and value in get_args(form)
    if origin is tuple:
        kinds = get_args(form)
        kinds = (kinds[0],) * len(value) if kinds[1:] == (...,) and isinstance(value, tuple) else kinds
        return isinstance(value, tuple) and len(value) == len(kinds) and all(map(fits, value, kinds))
    if origin is dict:
        return isinstance(value, dict)
    if origin is list:
        return isinstance(value, list) and all(fits(item, get_args(form)[0]) for item in value)
    if form is None or form is NoneType:
        return value is None
    if form in (int, float):
        known = (int, float) if form is float else (int,)
        return type(value) in known and (-MOST < value < MOST or value != value)
    return type(value) is form


def check_fields(made: Any) -> None:
    """Raises TypeError for a dataclass whose fields have values that are not of their types."""
    for name, form in _forms(made.__class__).items():
        value = getattr(made, name)
        if is_dataclass(value):
            check_fields(value)
        elif not fits(value, form):
            raise TypeError(f"{name} is {value!r:.80}")


@cache
def _forms(kind: Any) -> dict[str, Form]:
    hints = get_type_hints(kind)
    return {item.name: hints[item.name] for item in fields(kind)}


MANIFEST = {
    "run": {
        "kind": str,
        "created": str,
        "command": str,
        "device": str,
        "trained_on": Literal["cpu", "cuda"],
        "precision": str,
        "versions": dict,
    },
    "settings": {
        "space": str,
        "target": float,
        "measure": Measure,
        "prior": bool,
        "max_flops": float,
        "max_params": float,
        "max_latency": float,
        "latency": {"device": str, "name": str, "batch": int, "threads": int},
        "reward": str,
        "exponent": float,
        "resolution": int,
        "classes": int,
        "evaluator": str,
        "seed": int,
        "proxy": {"name": str, "resolution": int, "width": float, "epochs": int},
        "notation": str,
        "baseline": str,
        "name": str,
        "grid": {"target": float, "phi": float, "rounding": dict},
        "points": list[float],
        "axes": list[str],
        "under": bool,
        "table": str,
        "pool": bool,
    },
    "limits": {"trials": int, "seconds": float},
    "data": {
        "name": str,
        "synthetic": bool,
        "classes": list[str],
        "train": int,
        "rows": int,
        "combinations": int,
        "predicted": list[dict[str, Any]],
        "accuracy_std": float,
    },
    "storage": {"url": str, "study": str},
}
"""What run.toml says, as far as it is read."""

"""What a trial of a study says, which may be a stranger's: its candidate, what training that gave, its decisions."""

import math
from collections.abc import Mapping
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.trial import FrozenTrial, TrialState

from effsearch.errors import EffsearchError, RunError
from effsearch.runs.records import CANDIDATE, EVALUATION, FAILURE, INTERRUPTED, Candidate, Record, State
from effsearch.runs.schema import LARGEST, convert

FIXED = "fixed_params"  # the system attribute with the decisions of a trial that was not asked for, as Optuna names it
NOTE = "effsearch:"
"""How the system attributes begin that samplers note on a trial: whole numbers, or whether something is so."""


def fitting(kinds: Mapping[str, BaseDistribution], params: Mapping[str, Any]) -> dict[str, Any]:
    """The decisions that are among what can be chosen."""
    return {name: value for name, value in params.items() if _fits(kinds[name], value)}


def _fits(kind: BaseDistribution, value: Any) -> bool:
    try:
        return bool(kind._contains(kind.to_internal_repr(value)))
    except ValueError:
        return False


def check_decisions(trial: FrozenTrial, kinds: Mapping[str, BaseDistribution]) -> None:
    """Raises RunError unless a trial takes these decisions alone, all of them where it was not stopped over that."""
    fixed = trial.system_attrs.get(FIXED)
    # What is fixed of a trial that waits is what it will take; Optuna asks for the decisions of others one by one.
    whole = fixed is not None or trial.state == TrialState.COMPLETE
    for found in (trial.params,) if fixed is None else (fixed, trial.params):
        if unknown := found.keys() - kinds.keys():
            raise RunError(
                f"trial {trial.number} of the study has decisions that are none: {sorted(unknown, key=str)!r:.80}"
            )
        for name, kind in kinds.items():
            if name in found:
                wrong = not _may_be(kind, found[name])
            else:
                wrong = whole and isinstance(kind, CategoricalDistribution)
            if wrong:
                raise RunError(f"trial {trial.number} of the study has {found.get(name)!r:.80} for {name}")


def _may_be(kind: BaseDistribution, value: Any) -> bool:
    """A number may be out of its range, as those of a network are that was not proposed."""
    if isinstance(kind, CategoricalDistribution):
        return _fits(kind, value)
    return type(value) in (int, float) and abs(value) < LARGEST


def read_candidate(trial: FrozenTrial) -> Candidate | None:
    """What is trained in a trial, if that is known; raises RunError for a trial that says nothing of a network."""
    _check_attributes(trial)
    found = trial.user_attrs.get(CANDIDATE)
    try:
        return None if found is None else convert(found, Candidate)
    except (EffsearchError, ValueError) as error:
        raise RunError(f"trial {trial.number} of the study says nothing of a network: {error}") from None


def _check_attributes(trial: FrozenTrial) -> None:
    for attributes in (trial.user_attrs, trial.system_attrs):
        if not isinstance(attributes, dict):
            raise RunError(f"trial {trial.number} of the study has {attributes!r:.80} for attributes")
    wrong = [name for name, value in trial.system_attrs.items() if name.startswith(NOTE) and not isinstance(value, int)]
    if wrong or not isinstance(trial.system_attrs.get(FIXED, {}), dict):
        raise RunError(f"trial {trial.number} of the study has other attributes than a search gives: {wrong or FIXED}")


def read_record(trial: FrozenTrial) -> Record | None:
    """What a trial says of a training, or None before its candidate is known; raises RunError."""
    if read_candidate(trial) is None:
        return None
    evaluation = trial.user_attrs.get(EVALUATION, {})
    failure = trial.user_attrs.get(FAILURE, {})
    complete = trial.state == TrialState.COMPLETE
    # A journal that was tampered with may have several values, or none.
    values = trial.values if isinstance(trial.values, list) else []
    if not isinstance(evaluation, dict) or not isinstance(failure, dict) or (complete and len(values) != 1):
        raise RunError(f"trial {trial.number} of the study says nothing of a training")
    told = {
        "number": trial.number,
        "state": _state(trial, failure),
        "candidate": trial.user_attrs[CANDIDATE],
        "accuracy": evaluation.get("accuracy"),
        "reward": values[0] if complete else None,
        "epochs": evaluation.get("epochs"),
        "seconds": evaluation.get("seconds"),
        "reason": failure.get("reason"),
        "failure_kind": failure.get("kind", failure.get("fault")),  # fault: as 0.1 wrote it
        "finished": trial.datetime_complete,
    }
    try:
        found = convert(told, Record)
    except ValueError as error:
        raise RunError(f"trial {trial.number} of the study is not one of a training: {error}") from None
    if any(number is not None and math.isnan(number) for number in (found.accuracy, found.reward, found.seconds)):
        raise RunError(f"trial {trial.number} of the study has no number where one belongs")
    if complete and (found.reward is None or found.accuracy is None or found.finished is None):
        raise RunError(f"trial {trial.number} of the study is complete and has no accuracy, or no time")
    return found


def _state(trial: FrozenTrial, failure: dict[str, Any]) -> State:
    if trial.state == TrialState.COMPLETE:
        return "complete"
    if trial.state == TrialState.RUNNING:
        return "running"
    if trial.state == TrialState.WAITING:
        return "queued"
    return "interrupted" if failure.get("reason") == INTERRUPTED else "failed"

"""What a run's journal has beyond its ranking: the learning curve of every training, and which decisions mattered."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import optuna
from optuna.importance import get_param_importances
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.exc import SQLAlchemyError

from effsearch.errors import RunError
from effsearch.runs.folder import Run
from effsearch.runs.journal_file import ReadOnlyJournal
from effsearch.runs.records import Record
from effsearch.runs.storage import close_storage, open_storage, scrubbed, stored
from effsearch.runs.trial_store import EVALUATION, STUDY, read_record

LEAST_TRAININGS = 20  # for importances, which compare the best tenth with the rest


@dataclass(frozen=True)
class TrialHistory:
    """One training: its record, the mean loss (nats) of each epoch, and (epoch, fraction) of each validation."""

    record: Record
    losses: tuple[float, ...] = ()
    accuracies: tuple[tuple[int, float], ...] = ()


@dataclass(frozen=True)
class History:
    """The trainings of a run, in the order in which they began, and the trials they are read from."""

    trainings: tuple[TrialHistory, ...]
    trials: tuple[FrozenTrial, ...] = ()

    @property
    def records(self) -> list[Record]:
        return [training.record for training in self.trainings]


def read_history(run: Run) -> History | None:
    """All trainings of a run, or None where its folder has no journal; writes nothing; raises RunError."""
    found = stored(run, run.manifest().storage, None)
    if found.storage is not None:
        return _of_database(found)
    if not run.journal.is_file():
        return None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        return _history(optuna.storages.JournalStorage(ReadOnlyJournal(run.journal)), STUDY)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, AssertionError, IndexError) as error:
        raise RunError(f"{run.journal} is not the journal of a run: {error!r}") from None


def _of_database(run: Run) -> History:
    storage = open_storage(run)
    try:
        return _history(storage, run.study)
    except (KeyError, SQLAlchemyError) as error:
        raise RunError(f"the trials of run {run.name} cannot be read: {scrubbed(str(error), run.storage)}") from None
    finally:
        close_storage(storage)


def _history(storage: BaseStorage, study: str | None) -> History:
    trials = optuna.load_study(study_name=study, storage=storage).get_trials(deepcopy=False)
    return History(tuple(filter(None, map(_training, trials))), tuple(trials))


def _training(trial: FrozenTrial) -> TrialHistory | None:
    record = read_record(trial)
    if record is None:
        return None
    history = trial.user_attrs.get(EVALUATION, {}).get("history", ())
    losses = tuple(float(epoch["loss"]) for epoch in history)
    validated = [epoch for epoch in history if epoch["accuracy"] is not None]
    return TrialHistory(record, losses, tuple((int(epoch["epoch"]), float(epoch["accuracy"])) for epoch in validated))


def importances(history: History, longest: int) -> dict[str, float] | str:
    """The importance of each decision (PED-ANOVA, 2304.10255), as shares of 1, largest first, or why it is unknown."""
    # Trainings of fewer epochs have other rewards.
    complete = [trial for trial in history.trials if trial.state == TrialState.COMPLETE]
    done = [trial for trial in complete if trial.user_attrs.get(EVALUATION, {}).get("epochs") == longest]
    if len(done) < LEAST_TRAININGS:
        return f"{len(done)} trainings are too few to say which decisions matter; it takes {LEAST_TRAININGS}"
    study = optuna.create_study(direction="maximize")
    study.add_trials(done)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = get_param_importances(study)
    except (ValueError, RuntimeError, ArithmeticError) as error:
        return f"Optuna cannot say which decisions matter: {error}"
    if not found:
        return "no decision was taken in every trial, so none can be weighed"
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def longest(records: Sequence[Record]) -> int:
    return max((record.epochs or 0 for record in records), default=0)

"""What the storage with one writer reaches into of Optuna: this fails where a release has changed it."""

import inspect

import pytest
from optuna.storages import RDBStorage
from optuna.storages._cached_storage import _CachedStorage
from optuna.storages._rdb import models
from optuna.storages._rdb.storage import _create_scoped_session

COLUMNS = {
    models.TrialModel: {"trial_id", "number", "study_id", "state", "datetime_start", "datetime_complete"},
    models.TrialParamModel: {"param_id", "trial_id", "param_name", "param_value", "distribution_json"},
    models.TrialValueModel: {"trial_value_id", "trial_id", "objective", "value", "value_type"},
    models.TrialUserAttributeModel: {"trial_user_attribute_id", "trial_id", "key", "value_json"},
    models.TrialSystemAttributeModel: {"trial_system_attribute_id", "trial_id", "key", "value_json"},
}


@pytest.mark.parametrize("model", COLUMNS, ids=lambda model: model.__name__)
def test_a_table_has_the_columns_that_are_written(model):
    assert set(model.__table__.columns.keys()) == COLUMNS[model], "write these in runs/single_writer.py, or not at all"


def test_the_cache_is_kept_as_it_is_filled(tmp_path):
    cached = _CachedStorage(RDBStorage(f"sqlite:///{tmp_path}/trials.db"))
    assert {"_studies", "_trial_id_to_study_id_and_number", "_lock", "_backend"} <= vars(cached).keys()
    assert list(inspect.signature(cached._add_trials_to_cache).parameters) == ["study_id", "trials"]
    assert list(inspect.signature(cached._read_trials_from_remote_storage).parameters) == ["study_id"]
    assert list(inspect.signature(cached.create_new_trial).parameters) == ["study_id", "template_trial"]


def test_a_session_commits_and_rolls_back_as_a_context():
    parameters = inspect.signature(_create_scoped_session).parameters
    assert next(iter(parameters)) == "scoped_session"
    assert list(inspect.signature(models.TrialValueModel.value_to_stored_repr).parameters) == ["value"]

"""Contract tests of the private APIs of MLflow."""

from __future__ import annotations

import random

import mlflow
from mlflow import MlflowClient
from mlflow.sklearn import _SklearnTrainingSession
from mlflow.utils.autologging_utils import AUTOLOGGING_INTEGRATIONS
from mlflow.utils.autologging_utils.safety import _AUTOLOGGING_PATCHES
from sklearn.linear_model import LinearRegression

from mlflow_interpret.autologging import mlflow_patches


def test_the_last_run_is_that_of_the_public_function(store):
    with mlflow.start_run() as run:
        pass
    assert mlflow_patches.last_run_id() == run.info.run_id == mlflow.last_active_run().info.run_id


def test_the_experiment_is_that_of_new_runs(store):
    with mlflow.start_run() as run:
        experiment_id = run.info.experiment_id
    assert mlflow_patches.active_experiment_id() == experiment_id
    assert mlflow_patches.default_experiment_id() == experiment_id


def test_a_run_with_a_name_leaves_the_random_state(store):
    random.seed(1)
    state = random.getstate()
    name = mlflow_patches.random_run_name()
    assert name
    assert mlflow_patches.random_run_name() != name
    with mlflow.start_run(run_name=name) as run:
        pass
    assert random.getstate() == state
    assert MlflowClient().get_run(run.info.run_id).info.run_name == name


def test_a_training_session_records_nothing_inside(store):
    mlflow.sklearn.autolog(log_models=False)
    with mlflow_patches.training_session():
        assert _SklearnTrainingSession.is_active()
        LinearRegression().fit([[0.0], [1.0]], [0.0, 1.0])
    assert not _SklearnTrainingSession.is_active()
    assert mlflow.search_runs(output_format="list") == []


def test_patches_are_lifted_and_restored_with_their_settings():
    mlflow.sklearn.autolog(log_models=False, max_tuning_runs=3)
    patched = LinearRegression.fit
    with mlflow_patches.patches_lifted(lambda patch: patch.destination is LinearRegression):
        assert LinearRegression.fit is not patched
        assert not _AUTOLOGGING_PATCHES.get("sklearn")
    assert _AUTOLOGGING_PATCHES["sklearn"]
    assert AUTOLOGGING_INTEGRATIONS["sklearn"]["max_tuning_runs"] == 3


def test_a_hook_runs_before_a_run_ends_by_any_function(store):
    original = MlflowClient.set_terminated
    ends = []

    def hook(run_id, status):
        ends.append((status, MlflowClient().get_run(run_id).info.status))

    remove = mlflow_patches.before_run_ends(hook)
    with mlflow.start_run():
        pass
    mlflow.start_run()
    mlflow.end_run("KILLED")
    mlflow.start_run(log_system_metrics=False)
    MlflowClient().set_terminated(mlflow.active_run().info.run_id)
    remove()
    mlflow.end_run()
    assert MlflowClient.set_terminated is original
    assert ends == [("FINISHED", "RUNNING"), ("KILLED", "RUNNING"), ("FINISHED", "RUNNING")]


def test_a_hook_runs_at_once_for_a_module_that_is_imported():
    modules = []
    mlflow_patches.after_import(modules.append, "json")
    assert [module.__name__ for module in modules] == ["json"]

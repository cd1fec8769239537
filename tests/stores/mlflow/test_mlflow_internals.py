"""Contracts of MLflow's undocumented parts."""

from __future__ import annotations

import mlflow
import pytest
from mlflow import MlflowClient
from mlflow.store.artifact.utils import models

from mlflow_interpret.stores.mlflow import mlflow_internals


@pytest.fixture
def run(store):
    with mlflow.start_run() as run:
        mlflow.log_text("some text", "folder/file.txt")
    return run


def test_artifacts_are_listed_and_downloaded_one_by_one(run, store, tmp_path):
    assert mlflow_internals.list_artifacts(run, "folder", store) == ["folder/file.txt"]
    mlflow_internals.download_file(run, "folder/file.txt", store, tmp_path / "copy.txt")
    assert (tmp_path / "copy.txt").read_text() == "some text"


def test_a_client_knows_the_uri_of_its_registry():
    client = MlflowClient("http://tracking:5000", registry_uri="http://registry:5000")
    assert mlflow_internals.registry_uri(client) == "http://registry:5000"
    assert client._registry_uri == "http://registry:5000"


@pytest.mark.parametrize(
    ("uri", "name", "version", "alias"),
    [
        ("models:/churn/3", "churn", "3", None),
        ("models:/churn@champion", "churn", None, "champion"),
    ],
)
def test_model_uris_are_parsed(uri, name, version, alias):
    assert hasattr(models, "_parse_model_uri")
    parts = mlflow_internals.parse_model_uri(uri)
    assert (parts.name, parts.version, parts.alias) == (name, version, alias)
    assert mlflow_internals.parse_model_uri("models:/") is None
    assert mlflow_internals.parse_model_uri("models:/m-1").model_id == "m-1"


def test_the_tag_of_tables_is_that_of_log_table(store):
    with mlflow.start_run() as run:
        mlflow.log_table({"a": [1]}, "table.json")
    assert mlflow_internals.TABLES_TAG in mlflow.get_run(run.info.run_id).data.tags

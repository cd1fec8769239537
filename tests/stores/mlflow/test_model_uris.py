"""Runs of models, by ``models:/`` URIs."""

from __future__ import annotations

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from mlflow_interpret.core.errors import RunNotFoundError
from mlflow_interpret.stores.mlflow.model_uris import model_at


@pytest.mark.parametrize(
    "address",
    ["models:/churn/1", "models:/churn@none", "models:/", "models:/a/b/c", "models:/x/latest"],
)
def test_uris_without_a_model_version_raise(store, address):
    with pytest.raises(RunNotFoundError, match="is no model version in sqlite"):
        model_at(MlflowClient(store), address)


def test_the_error_names_a_separate_registry(store):
    client = MlflowClient(store, "http://me:hunter2@127.0.0.1:9")
    with pytest.raises(RunNotFoundError, match=r"version in http://127\.0\.0\.1:9; name") as error:
        model_at(client, "models:/")
    assert "hunter2" not in str(error.value)


def test_an_error_of_the_registry_is_raised_unchanged(store, monkeypatch):
    def fail(*_):
        raise MlflowException("the database is away")

    monkeypatch.setattr(MlflowClient, "get_model_version", fail)
    with pytest.raises(MlflowException, match="the database is away"):
        model_at(MlflowClient(store), "models:/churn/1")

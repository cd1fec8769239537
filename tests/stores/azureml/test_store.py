"""Azure ML as a store plug-in: its option, its limits and its receipts."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from mlflow_interpret.core.errors import OptionError
from mlflow_interpret.core.options import Options
from mlflow_interpret.stores import base
from mlflow_interpret.stores.azureml import store, upload_queue

RESOURCE_ID = (
    "/subscriptions/s/resourceGroups/g/providers/Microsoft.MachineLearningServices/workspaces/w"
)


def test_the_store_serves_azureml_tracking_uris():
    uri = f"azureml://eastus.api.azureml.ms/mlflow/v2.0{RESOURCE_ID}"
    found = base.store_of_uri(uri)
    assert isinstance(found, store.AzureMLStore)
    assert found is base.store_named("azureml")
    limits = base.limits_of(uri)
    assert (limits.metrics, limits.tags, limits.tag_length) == (50, 49, 1000)
    assert (limits.overwrites, limits.has_mlflow_pages) == (False, False)
    assert found.accepts(Options(), uri)
    assert not found.accepts(Options(), "sqlite:///a.db")


@pytest.mark.parametrize("value", ["auto", False, RESOURCE_ID, "config.json"])
def test_allowed_options(value):
    store.check_option(value)


@pytest.mark.parametrize("value", [True, None, "", "nowhere", 3, SimpleNamespace(id="run")])
def test_other_options_are_errors(value):
    with pytest.raises(OptionError, match="azureml must be 'auto', False, a Run or a Workspace"):
        store.check_option(value)


@pytest.mark.parametrize("value", [RESOURCE_ID, "config.json"])
def test_allowed_workspaces(value):
    store.check_workspace(value)


def test_another_workspace_is_an_error():
    with pytest.raises(OptionError, match="workspace must be a Workspace of azureml.core"):
        store.check_workspace("space")


def test_the_option_becomes_text_without_credentials():
    azureml = base.store_named("azureml")
    uri = f"azureml://me:t0ken@host{RESOURCE_ID}"
    assert azureml.option_value(Options(azureml=uri)) == f"azureml://host{RESOURCE_ID}"


def test_the_receipt_of_an_upload():
    result = upload_queue.UploadResult(True, None, 1.5, "asset", tagged=False)
    receipt = store.receipt_of(result, "mlflow-interpret push run")
    assert receipt == base.Receipt(
        "complete",
        entry={"state": "uploaded", "explanation_id": "asset", "reason": None, "tagged": False},
        seconds=1.5,
    )


def test_the_receipt_of_a_failed_upload_has_a_remedy():
    result = upload_queue.UploadResult(False, "refused", 1.5)
    receipt = store.receipt_of(result, "mlflow-interpret push run")
    assert (receipt.state, receipt.reason) == ("failed", "refused")
    assert receipt.remedy == "mlflow-interpret push run"
    assert receipt.entry == {"state": "failed", "explanation_id": None, "reason": "refused"}

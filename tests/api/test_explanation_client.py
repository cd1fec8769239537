"""ExplanationClient takes the place of azureml-interpret's, against a double of the service."""

from __future__ import annotations

import json
import uuid
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import mlflow_interpret
from azureml_state import blocks
from conftest import enter
from explanation_cases import made, regression
from mlflow_interpret import ExplanationClient, OptionError
from mlflow_interpret.api.global_explanation import GlobalExplanation

pytest.importorskip("azure.identity", reason="needs: pip install 'mlflow-interpret[azure]'")


@pytest.fixture
def run_id(laptop):
    return laptop.create_run("script")


@pytest.fixture
def client(laptop, run_id):
    return ExplanationClient.from_run_id(laptop.workspace_coordinates.scope, "script", run_id)


def explanation(**changes):
    return GlobalExplanation(replace(made(), id=str(uuid.uuid4()), **changes))


def test_uploaded_explanations_are_downloaded(client):
    original = explanation()
    assert client.upload_model_explanation(original, comment="first") is None
    downloaded = client.download_model_explanation()
    assert downloaded.id == original.id
    assert downloaded.get_feature_importance_dict() == original.get_feature_importance_dict()
    assert downloaded.local_importance_values == original.local_importance_values


def test_explanations_are_listed_and_selected(client):
    first, second = explanation(), explanation(is_raw=True)
    client.upload_model_explanation(first, comment="first")
    client.upload_model_explanation(second, comment="second")
    listed = client.list_model_explanations()
    assert [entry["id"] for entry in listed] == [first.id, second.id]
    assert set(listed[0]) == {
        "id", "comment", "data_type", "explain_type", "model_type", "is_raw", "is_engineered",
        "upload_time",
    }  # fmt: skip
    assert [entry["id"] for entry in client.list_model_explanations(raw=False)] == [first.id]
    assert [e["id"] for e in client.list_model_explanations(comment="second")] == [second.id]
    assert client.download_model_explanation(comment="first").id == first.id
    assert client.download_model_explanation(raw=True).id == second.id
    assert client.download_model_explanation(explanation_id=first.id).id == first.id
    with pytest.raises(mlflow_interpret.ExplanationNotFoundError, match="with comment='third'"):
        client.download_model_explanation(comment="third")


def test_the_leading_features_alone_are_ranked(client):
    original = explanation()
    client.upload_model_explanation(original)
    leading = client.download_model_explanation(top_k=2)
    assert leading.get_feature_importance_dict() == original.get_feature_importance_dict(top_k=2)
    few = explanation()
    client.upload_model_explanation(few, top_k=3, comment="few")
    downloaded = client.download_model_explanation(comment="few")
    assert downloaded.get_feature_importance_dict() == few.get_feature_importance_dict(top_k=3)


@pytest.mark.parametrize("as_type", [list, np.asarray, pd.Series, lambda y: pd.DataFrame({"y": y})])
def test_true_labels_of_any_type_are_uploaded(client, laptop, run_id, as_type):
    labels = np.array(["no", "yes", "no", "no", "yes", "no", "yes"])
    original = explanation()
    client.upload_model_explanation(original, true_ys=as_type(labels))
    assert blocks(laptop, run_id, "true_ys_viz", original.id) == [0, 1, 0, 0, 1, 0, 1]


def test_studio_gets_the_chosen_rows(client, laptop, run_id):
    record = replace(regression(), id=str(uuid.uuid4()))
    client.upload_model_explanation(GlobalExplanation(record), visualization_points=[5, 0])
    rows = blocks(laptop, run_id, "eval_data_viz", record.id)
    np.testing.assert_allclose(rows, record.evaluation_rows.to_numpy()[[5, 0]])
    bare = explanation()
    client.upload_model_explanation(bare, visualization_points=0)
    (asset,) = [a for a in laptop.assets if a["properties"]["explanation_id"] == bare.id]
    assert not any("eval_data_viz" in entry["prefix"] for entry in asset["artifacts"])


def test_ids_of_datasets_and_models_are_properties(client, laptop):
    original = explanation()
    client.upload_model_explanation(original, eval_dataset_id="rows-1", model_id="model:3")
    (asset,) = [a for a in laptop.assets if a["properties"]["explanation_id"] == original.id]
    assert asset["properties"]["eval_dataset_id"] == "rows-1"
    assert asset["properties"]["model_id"] == "model:3"


def test_the_run_of_a_job_needs_no_sdk(laptop, tmp_path, monkeypatch):
    run_id = laptop.create_run("job")
    enter(monkeypatch, laptop.job_environment(run_id, tmp_path / "job"))
    run = mlflow_interpret.Run.get_context()
    assert (run.id, run.experiment.name) == (run_id, "job")
    original = explanation()
    ExplanationClient.from_run(run).upload_model_explanation(original)
    later = ExplanationClient.from_run_id(run.experiment.workspace, run.experiment.name, run.id)
    assert later.download_model_explanation().id == original.id


def test_a_run_is_named_by_its_resource_id(laptop, run_id):
    scope = laptop.workspace_coordinates.scope
    client = ExplanationClient.from_run(f"{scope}/experiments/script/runs/{run_id}")
    client.upload_model_explanation(explanation())
    assert len(client.list_model_explanations()) == 1


def test_the_error_outside_of_a_job_names_the_other_way():
    with pytest.raises(mlflow_interpret.AzureMLError, match=r"no Azure ML job; .*from_run_id"):
        mlflow_interpret.Run.get_context()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda c: ExplanationClient.from_run("run"), "^run must be .* got 'run'. Outside"),
        (lambda c: ExplanationClient.from_run_id(3, "e", "r"), "^workspace must be .* got 3"),
        (lambda c: c.upload_model_explanation(explanation(), top_k=0), "^top_k must be a positive"),
        (
            lambda c: c.upload_model_explanation(explanation(), visualization_points=20_001),
            "^visualization_points must be a number of rows from 0 to 20,000",
        ),
        (
            lambda c: c.upload_model_explanation(explanation(), visualization_points=[7]),
            "^visualization_points must be positions from 0 to 6",
        ),
        (
            lambda c: c.upload_model_explanation(explanation(), upload_datasets=True),
            "^upload_datasets must be False.*eval_dataset_id",
        ),
        (
            lambda c: c.upload_model_explanation(explanation(), true_ys=["no"]),
            "^true_ys must be one label for each of the 7",
        ),
    ],
)  # fmt: skip
def test_wrong_arguments_are_named(client, call, message):
    with pytest.raises(OptionError, match=message):
        call(client)


def test_other_objects_than_explanations_are_refused(client):
    with pytest.raises(mlflow_interpret.CannotExplainError, match="got dict"):
        client.upload_model_explanation({"a": 1.0})
    assert json.dumps(client.list_model_explanations()) == "[]"

"""Loading an explanation: from the MLflow run first, then from Azure ML."""

from __future__ import annotations

import mlflow
import pytest
from click.testing import CliRunner

import mlflow_interpret
from explanation_cases import made
from logged_explanations import log
from mlflow_interpret import cli, interpret_community
from mlflow_interpret.api import load
from mlflow_interpret.core.errors import ExplanationNotFoundError, RunNotFoundError
from mlflow_interpret.stores import mlflow as mlflow_store
from mlflow_interpret.stores.azureml import asset_reader, targets


@pytest.fixture
def logged(store):
    """A run with two explanations of different comments."""
    both = [made(), made(is_raw=True)]
    with mlflow.start_run() as run:
        for explanation, comment in zip(both, ("first", "second")):
            log(explanation, run.info.run_id, store, top_k=3, figures=False, comment=comment)
    return run.info.run_id, *both


def test_explanations_are_selected_by_comment(store, logged):
    run_id, first, second = logged
    assert load.load(run_id, store).id == second.id
    assert load.load(run_id, store, comment="first").id == first.id
    assert load.load(run_id, store, comment="second").id == second.id
    assert load.load(run_id, store, explanation_id=first.id, comment="first").id == first.id
    with pytest.raises(ExplanationNotFoundError, match="no explanation with comment='third'"):
        load.load(run_id, store, comment="third")
    with pytest.raises(ExplanationNotFoundError, match="explanation_id=.* and comment='second'"):
        load.load(run_id, store, explanation_id=first.id, comment="second")


def test_raw_views_are_those_of_pipelines(store, logged):
    run_id, _, second = logged
    assert load.load(run_id, store, raw=True).id == second.id
    with pytest.raises(ExplanationNotFoundError, match="no raw view"):
        load.load(run_id, store, comment="first", raw=True)


def test_the_latest_explanation_with_the_requested_view_is_loaded(store):
    view = made(features=6, is_engineered=True)
    both = [made(is_raw=True, engineered=view), made()]
    with mlflow.start_run() as run:
        run_id = run.info.run_id
        for explanation in both:
            log(explanation, run_id, store, top_k=3, figures=False, report=False)
    assert load.load(run_id, store).id == both[1].id
    assert load.load(run_id, store, engineered=True).id == view.id
    assert load.load(run_id, store, raw=True).id == both[0].id
    shown = mlflow_interpret.ExplanationDisplay.from_run(run_id, engineered=True)
    assert "6 features" in repr(shown)
    with pytest.raises(ExplanationNotFoundError, match="no engineered view.*Leave engineered out"):
        load.load(run_id, store, engineered=True, explanation_id=both[1].id)


def test_the_error_says_that_no_explanation_has_the_view(store, logged):
    run_id, _, second = logged
    message = f"None of the 2 explanations of run {run_id} .*{second.id} has no engineered view"
    with pytest.raises(ExplanationNotFoundError, match=message):
        load.load(run_id, store, engineered=True)


def test_azure_ml_is_read_if_the_mlflow_run_has_no_explanation(monkeypatch):
    explanation = made()
    uri = "azureml://eastus.api.azureml.ms/mlflow/v2.0/subscriptions/s"

    def none(*_):
        raise ExplanationNotFoundError("none")

    asked = []
    monkeypatch.setattr(mlflow_store, "load", none)
    monkeypatch.setattr(mlflow_store, "current_tracking_uri", lambda: uri)
    monkeypatch.setattr(targets, "workspace_of_tracking_uri", lambda given: ("workspace of", given))
    monkeypatch.setattr(asset_reader, "read", lambda *given: asked.append(given) or explanation)
    found = mlflow_interpret.load_explanation("run-1", comment="c", engineered=True)
    assert interpret_community.to_record(found).id == explanation.id
    selection = asset_reader.Selection(None, "c", raw=False, engineered=True)
    assert asked == [(("workspace of", uri), "run-1", selection)]


def test_azure_ml_is_not_read_for_other_stores(store, monkeypatch):
    monkeypatch.setattr(asset_reader, "read", lambda *_: pytest.fail("Azure ML was read"))
    with mlflow.start_run() as run:
        pass
    with pytest.raises(ExplanationNotFoundError):
        mlflow_interpret.load_explanation(run.info.run_id)


def test_explanations_are_loaded_by_model_names(store, logged):
    """By version, by alias, and by the id of the logged model."""
    run_id, _, second = logged
    client = mlflow.MlflowClient()
    client.create_registered_model("churn")
    version = client.create_model_version("churn", "file:///models/churn", run_id).version
    client.set_registered_model_alias("churn", "champion", version)
    experiment_id = mlflow.get_run(run_id).info.experiment_id
    model = client.create_logged_model(experiment_id, source_run_id=run_id)
    for name in ("models:/churn/1", "models:/churn@champion", f"models:/{model.model_id}"):
        found = mlflow_interpret.load_explanation(name)
        assert interpret_community.to_record(found).id == second.id
    display = mlflow_interpret.ExplanationDisplay.from_run("models:/churn@champion")
    assert run_id in display._repr_html_()
    shown = CliRunner().invoke(cli.main, ["show", "models:/churn/1", "--tracking-uri", store])
    assert f"Run {run_id}: " in shown.output
    with pytest.raises(RunNotFoundError, match="'models:/churn@none' is no model version"):
        mlflow_interpret.load_explanation("models:/churn@none")


def test_the_engineered_view_is_selected():
    engineered = made(is_engineered=True)
    raw = made(is_raw=True, engineered=engineered)
    assert load.select_view(raw, engineered=False) is raw
    assert (
        load.select_view(raw, engineered=True)
        is load.select_view(engineered, engineered=True)
        is engineered
    )
    with pytest.raises(ExplanationNotFoundError, match="no engineered view"):
        load.select_view(made(), engineered=True)

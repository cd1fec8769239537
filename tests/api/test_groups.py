"""Groups of columns in the public functions and in runs."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient
from sklearn.linear_model import LinearRegression

import mlflow_interpret
from mlflow_interpret import CannotExplainError, OptionError
from mlflow_interpret.core import explanation_io

rng = np.random.default_rng(0)
X = pd.DataFrame(rng.normal(size=(120, 4)), columns=["street", "city", "zip", "age"])
y = X["street"] - 2 * X["city"] + X["age"]
GROUPS = {"address": ["street", "city", "zip"]}
MODEL = LinearRegression().fit(X, y)


def group_of(name):
    return "address" if name in GROUPS["address"] else None


def address(explanation):
    """The importance of the group, by hand."""
    local = np.asarray(explanation.local_importance_values)
    return np.abs(local[:, 0] + local[:, 1] + local[:, 2]).mean()


def test_an_explanation_has_importances_and_a_table_by_group():
    explanation = mlflow_interpret.explain(MODEL, X, feature_groups=GROUPS, silent=True)
    importances = explanation.get_feature_importance_dict()
    groups = explanation.get_group_importance_dict()
    assert groups == pytest.approx({"address": address(explanation), "age": importances["age"]})
    table = explanation.to_frame(groups=True)
    assert table.index.name == "group"
    assert table["importance"].to_dict() == groups
    assert table["share"].sum() == pytest.approx(1)
    assert list(explanation.to_frame().columns) == list(table.columns)


def test_a_local_explanation_has_contributions_by_group():
    explainer = mlflow_interpret.TabularExplainer(MODEL, X, feature_groups=GROUPS)
    table = explainer.explain_local(X[:5]).to_frame()
    groups = explainer.explain_local(X[:5]).to_frame(groups=True)
    assert groups.columns.tolist() == ["address", "age"]
    by_hand = table["street"] + table["city"] + table["zip"]
    np.testing.assert_allclose(groups["address"], by_hand)
    np.testing.assert_array_equal(groups["age"], table["age"])


def test_the_explainer_of_tables_takes_groups_of_its_subset():
    explainer = mlflow_interpret.TabularExplainer(
        MODEL, X, explain_subset=[0, 1, 3], feature_groups={"place": ["street", "city"]}
    )
    explanation = explainer.explain_global(X)
    local = np.asarray(explanation.local_importance_values)
    by_hand = np.abs(local[:, 0] + local[:, 1]).mean()
    assert explanation.get_group_importance_dict()["place"] == pytest.approx(by_hand)
    with pytest.raises(OptionError, match="got 'zip' for 'address'"):
        mlflow_interpret.TabularExplainer(
            MODEL, X, explain_subset=[0, 1, 3], feature_groups=GROUPS
        ).explain_global(X)


def test_without_groups_the_error_names_the_option():
    explanation = mlflow_interpret.explain(MODEL, X, silent=True)
    with pytest.raises(CannotExplainError, match="pass feature_groups"):
        explanation.get_group_importance_dict()
    with pytest.raises(CannotExplainError, match="pass feature_groups"):
        explanation.to_frame(groups=True)


@pytest.mark.parametrize("log_data", [True, False])
def test_a_fit_logs_groups_beside_columns(store, log_data):
    mlflow_interpret.autolog(
        feature_groups=group_of, log_data=log_data, log_figures=False, log_report=False
    )
    with mlflow.start_run() as run:
        LinearRegression().fit(X, y)
    expected = address(mlflow_interpret.explain(MODEL, X, silent=True))
    explanation = mlflow_interpret.load_explanation(run.info.run_id)
    assert explanation.get_group_importance_dict()["address"] == pytest.approx(expected)
    metrics = mlflow.get_run(run.info.run_id).data.metrics
    total = expected + metrics["importance/age"]
    assert metrics["importance_group/address"] == pytest.approx(expected)
    assert metrics["importance_share_group/address"] == pytest.approx(expected / total)
    assert "importance_group/age" not in metrics
    folder = Path(MlflowClient().download_artifacts(run.info.run_id, "mlflow_interpret"))
    table = json.loads((folder / explanation_io.GROUPS).read_text())
    assert {row[0] for row in table["data"]} == {"address", "age"}
    status = json.loads((folder / "status.json").read_text())
    assert status["metrics"]["groups"] == {"importance_group/address": "address"}
    assert status["metrics"]["groups_left_out"] == 0


def test_a_fit_without_these_columns_is_explained_with_a_warning(store, caplog):
    mlflow_interpret.autolog(feature_groups=GROUPS, log_figures=False, log_report=False)
    with caplog.at_level(logging.WARNING), mlflow.start_run() as run:
        LinearRegression().fit(X[["street", "age"]], y)
    (warning,) = [record.getMessage() for record in caplog.records]
    assert "explained without groups: feature_groups must be groups of columns" in warning
    assert "Change feature_groups of autolog" in warning
    metrics = mlflow.get_run(run.info.run_id).data.metrics
    assert "importance/age" in metrics
    assert not any("group" in name for name in metrics)
    record = mlflow_interpret.load_explanation(run.info.run_id)._mlflow_interpret_record
    assert "'city', 'zip'" in record.details.groups_missing


def test_groups_of_a_given_explanation_are_computed_when_it_is_logged(store):
    explanation = mlflow_interpret.explain(MODEL, X, silent=True)
    options = {"log_figures": False, "log_report": False, "silent": True}
    run_id = mlflow_interpret.log_explanation(explanation, feature_groups=GROUPS, **options)
    loaded = mlflow_interpret.load_explanation(run_id)
    assert loaded.get_group_importance_dict()["address"] == pytest.approx(address(explanation))
    with pytest.raises(OptionError, match="'town' for 'place'"):
        mlflow_interpret.log_explanation(explanation, feature_groups={"place": ["town"]}, **options)

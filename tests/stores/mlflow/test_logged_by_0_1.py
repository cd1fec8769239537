"""Runs that version 0.1 logged are read, displayed and compared.

`tests/data/logged_by_0_1` holds the artifact folders of five runs, and the values that version 0.1
read back from them.
"""

from __future__ import annotations

import json
from pathlib import Path

import mlflow
import numpy as np
import pytest

import mlflow_interpret
from mlflow_interpret.core.errors import ExplanationNotFoundError
from mlflow_interpret.stores import mlflow as mlflow_store

DATA = Path(__file__).parents[2] / "data" / "logged_by_0_1"
EXPECTED = json.loads((DATA / "expected.json").read_text("utf-8"))
RUNS = [name for name in EXPECTED if name != "comparison"]
EXPLAINED = [name for name in RUNS if name != "skipped"]


@pytest.fixture
def runs(store):
    """The runs of version 0.1, by name, in a store of this version."""
    runs = {}
    for name in RUNS:
        with mlflow.start_run(run_name=name) as run:
            mlflow.set_tags(EXPECTED[name]["tags"])
            mlflow.log_metrics(EXPECTED[name]["metrics"])
            mlflow.log_artifacts(str(DATA / name), "mlflow_interpret")
        runs[name] = run.info.run_id
    return runs


@pytest.mark.parametrize("name", EXPLAINED)
def test_explanations_are_read(runs, store, name):
    expected = EXPECTED[name]
    explanation = mlflow_interpret.load_explanation(runs[name])
    assert explanation.get_feature_importance_dict() == expected["importances"]
    record = mlflow_store.load(runs[name], None, store)
    assert record.id == expected["tags"]["mlflow_interpret.explanation_id"]
    assert (record.local_values is not None) == expected["is_local"]
    if expected["is_local"]:
        assert float(np.abs(record.local_values).sum()) == pytest.approx(expected["local_sum"])
    assert record.details.rows.explained
    assert record.details.versions
    status = mlflow_store.status_of(runs[name], store)
    assert status["features"] == record.details.n_features == len(record.features)
    assert record.details.to_json().items() <= status.items()


def test_the_view_by_engineered_column_is_read(runs, store):
    record = mlflow_store.load(runs["pipeline"], None, store)
    assert record.is_raw
    assert record.engineered.is_engineered
    engineered = mlflow_interpret.load_explanation(runs["pipeline"], engineered=True)
    assert len(engineered.features) == 6
    assert list(record.classes) == ["setosa", "versicolor", "virginica"]


def test_a_skipped_fit_has_a_reason(runs):
    with pytest.raises(ExplanationNotFoundError, match="skipped. Reason: features has 2 names"):
        mlflow_interpret.load_explanation(runs["skipped"])


def test_the_comparison_with_a_baseline_is_read(runs, store):
    record = mlflow_store.load(runs["compared"], None, store)
    assert record.details.baseline["spearman"] == pytest.approx(0.6)
    assert EXPECTED["compared"]["metrics"]["importance_shift/spearman"] == pytest.approx(0.6)


@pytest.mark.parametrize("name", EXPLAINED)
def test_explanations_are_displayed(runs, name):
    display = mlflow_interpret.ExplanationDisplay.from_run(runs[name])
    assert str(len(EXPECTED[name]["importances"])) in repr(display)
    page = display.to_html()
    assert all(feature in page for feature in EXPECTED[name]["importances"])


def test_explanations_are_compared(runs):
    names = ["regressor", "without_rows", "compared"]
    comparison = mlflow_interpret.compare_runs([runs[name] for name in names], silent=True)
    expected = EXPECTED["comparison"]
    table = comparison.table.drop(columns="name")
    assert list(table.columns) == expected["columns"]
    new_ids = {EXPECTED[name]["run_id"]: runs[name] for name in names}
    for row, old in zip(table.to_numpy(), expected["table"], strict=True):
        assert (row[0], row[1]) == (old[0], new_ids[old[1]])
        np.testing.assert_allclose(row[2:].astype(float), old[2:], atol=1e-9)
    for row, old in zip(
        comparison.agreement.to_dict("records"), expected["agreement"], strict=True
    ):
        for key, value in old.items():
            assert row[key] == pytest.approx(value)


def test_a_new_explanation_gets_the_next_number_and_the_old_is_a_baseline(runs, store):
    from sklearn.datasets import load_diabetes
    from sklearn.linear_model import Ridge

    X, y = load_diabetes(return_X_y=True, as_frame=True)
    mlflow_interpret.autolog(silent=True, log_figures=False, baseline=runs["regressor"])
    with mlflow.start_run(run_id=runs["without_rows"]):
        Ridge().fit(X.iloc[:40, :4], y[:40])
    tags = mlflow.get_run(runs["without_rows"]).data.tags
    assert tags["mlflow_interpret.explanations"] == "2"
    status = mlflow_store.status_of(runs["without_rows"], store)
    assert status["baseline"]["spearman"] == pytest.approx(0.6)
    assert status["baseline"]["run_id"] == runs["regressor"]

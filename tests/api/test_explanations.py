"""Functions that users call."""

from __future__ import annotations

import io
import logging
import sys

import mlflow
import numpy as np
import pytest
from sklearn.datasets import load_diabetes, load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import KBinsDiscretizer
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

import mlflow_interpret
from mlflow_interpret import interpret_community
from mlflow_interpret.runtime import progress
from mlflow_interpret.stores import mlflow as mlflow_store

X, y = load_iris(return_X_y=True, as_frame=True)
model = DecisionTreeClassifier(max_depth=3, random_state=0).fit(X, y)


def original_explainer():
    """TabularExplainer of interpret-community."""
    if not interpret_community.is_available():
        pytest.skip('needs: pip install "mlflow-interpret[interpret]"')
    from interpret_community import TabularExplainer

    return TabularExplainer


def test_explain_equals_tabular_explainer_on_the_same_rows():
    TabularExplainer = original_explainer()
    ours = mlflow_interpret.explain(model, X, X[:40], engine="tabular")
    plain = TabularExplainer(model, X, features=list(X), classes=["0", "1", "2"]).explain_global(
        X[:40]
    )
    assert ours.get_feature_importance_dict() == plain.get_feature_importance_dict()
    assert ours.get_ranked_per_class_names() == plain.get_ranked_per_class_names()
    np.testing.assert_array_equal(ours.local_importance_values, plain.local_importance_values)
    np.testing.assert_array_equal(ours.expected_values, plain.expected_values)
    assert ours.method == plain.method


def test_explain_needs_no_run_and_makes_none(store):
    mlflow_interpret.autolog()
    mlflow_interpret.explain(model, X)
    assert mlflow.search_runs(output_format="list") == []


def test_an_explanation_is_logged_to_the_active_run_to_a_named_one_or_to_a_new_one(store):
    explanation = mlflow_interpret.explain(model, X, (X[:50], y[:50]))
    with mlflow.start_run() as active:
        assert mlflow_interpret.log_explanation(explanation) == active.info.run_id
    with mlflow.start_run() as other:
        named = mlflow_interpret.log_explanation(explanation, active.info.run_id)
        assert named == active.info.run_id != other.info.run_id
    new = mlflow_interpret.log_explanation(explanation, comment="alone")
    assert mlflow.active_run() is None
    assert mlflow.get_run(new).info.status == "FINISHED"
    assert mlflow_interpret.load_explanation(new).id == explanation.id
    assert mlflow_store.status_of(new, store)["comment"] == "alone"
    assert list(mlflow_store.load(new, None, store).true_labels) == list(y[:50])


def test_an_explanation_of_interpret_community_is_logged(store):
    TabularExplainer = original_explainer()
    data, target = load_diabetes(return_X_y=True, as_frame=True)
    tree = DecisionTreeRegressor(max_depth=2).fit(data, target)
    plain = TabularExplainer(tree, data, features=list(data)).explain_global(data[:20])
    run_id = mlflow_interpret.log_explanation(plain, true_ys=target[:20], top_k=3)
    loaded = mlflow_interpret.load_explanation(run_id)
    assert loaded.get_feature_importance_dict() == plain.get_feature_importance_dict()
    np.testing.assert_array_equal(loaded.local_importance_values, plain.local_importance_values)
    np.testing.assert_array_equal(loaded.expected_values, plain.expected_values)
    metrics = mlflow.get_run(run_id).data.metrics
    assert sum(name.startswith("importance/") for name in metrics) == 3
    assert list(mlflow_store.load(run_id, None, store).true_labels) == list(target[:20])


def test_other_objects_than_explanations_are_refused(store):
    with pytest.raises(mlflow_interpret.CannotExplainError, match="got dict"):
        mlflow_interpret.log_explanation({"a": 1.0})
    assert mlflow.search_runs(output_format="list") == []


def test_an_unknown_run_is_refused(store):
    explanation = mlflow_interpret.explain(model, X)
    with pytest.raises(mlflow_interpret.RunNotFoundError):
        mlflow_interpret.log_explanation(explanation, "0" * 32)


def test_a_loaded_explanation_equals_the_original(store):
    labels = np.array(["no", "yes"])[(y == 2).astype(int)]
    logistic = LogisticRegression(max_iter=1000).fit(X, labels)
    original = mlflow_interpret.explain(logistic, X, (X[::3], labels[::3]))
    loaded = mlflow_interpret.load_explanation(mlflow_interpret.log_explanation(original))
    assert type(loaded).__name__ == type(original).__name__
    for name in ("id", "method", "model_task", "model_type", "features", "classes", "num_classes"):
        assert getattr(loaded, name) == getattr(original, name), name
    for name in (
        "local_importance_values",
        "global_importance_values",
        "global_importance_rank",
        "per_class_values",
        "per_class_rank",
        "expected_values",
        "eval_data",
        "eval_y_predicted",
        "eval_y_predicted_proba",
    ):
        np.testing.assert_array_equal(getattr(loaded, name), getattr(original, name), name)


def test_wrong_arguments_are_named():
    with pytest.raises(mlflow_interpret.OptionError, match="top_k must be .* from 1 to 30, got 31"):
        mlflow_interpret.log_explanation(None, top_k=31)
    with pytest.raises(mlflow_interpret.OptionError, match="max_rows must be a positive integer"):
        mlflow_interpret.explain(model, X, max_rows=-1)
    with pytest.raises(mlflow_interpret.CannotExplainError, match="neither a classifier nor"):
        mlflow_interpret.explain(object(), X)


def test_flush_has_nothing_to_wait_for():
    assert mlflow_interpret.flush() is True
    assert mlflow_interpret.flush(timeout=0.1) is True


def test_a_run_that_the_launcher_names_is_used_and_left_open(store, monkeypatch):
    experiment = mlflow.get_experiment_by_name("test").experiment_id
    run = mlflow.MlflowClient().create_run(experiment)
    monkeypatch.setenv("MLFLOW_RUN_ID", run.info.run_id)
    assert mlflow_interpret.log_explanation(mlflow_interpret.explain(model, X)) == run.info.run_id
    assert mlflow.get_run(run.info.run_id).info.status == "RUNNING"


def test_a_pipeline_is_explained_by_engineered_column_on_request():
    X, y = load_iris(return_X_y=True, as_frame=True)
    front = KBinsDiscretizer(3, encode="onehot-dense", quantile_method="averaged_inverted_cdf")
    model = make_pipeline(front, LogisticRegression()).fit(X, y)
    raw = mlflow_interpret.explain(model, X)
    engineered = mlflow_interpret.explain(model, X, engineered=True)
    assert raw.is_raw
    assert engineered.is_engineered
    assert len(raw.features) == 4
    assert len(engineered.features) == 12
    summed = np.array(engineered.local_importance_values).reshape(3, -1, 4, 3).sum(axis=-1)
    np.testing.assert_allclose(summed, raw.local_importance_values, atol=1e-12)
    with pytest.raises(mlflow_interpret.ExplanationNotFoundError, match="no engineered view"):
        mlflow_interpret.explain(model[-1].fit(X, y), X, engineered=True)


def test_a_parquet_dataset_is_explained_and_logged_in_one_call(store, tmp_path):
    X.to_parquet(tmp_path / "rows.parquet")
    run_id = mlflow_interpret.log_explanation(
        model=model, initialization_examples=X, evaluation_examples=tmp_path / "rows.parquet"
    )
    expected = mlflow_interpret.explain(model, X, X, max_rows=len(X))
    found = mlflow_interpret.load_explanation(run_id)
    np.testing.assert_allclose(
        found.global_importance_values, expected.global_importance_values, rtol=1e-9
    )
    assert mlflow_store.status_of(run_id, store)["rows"]["explained"] == len(X)
    hidden = mlflow_interpret.log_explanation(
        mlflow_interpret.explain(model, X, tmp_path / "rows.parquet"), log_data=False
    )
    assert "histograms" not in mlflow_store.status_of(hidden, store)


@pytest.mark.parametrize("background", [False, True])
def test_autolog_takes_a_dask_dataframe_or_a_parquet_dataset(store, tmp_path, background, caplog):
    import dask.dataframe

    caplog.set_level(logging.INFO)
    X.to_parquet(tmp_path / "rows.parquet")
    frame = dask.dataframe.from_pandas(X, npartitions=2)
    for examples in (str(tmp_path / "rows.parquet"), frame):
        mlflow_interpret.autolog(evaluation_examples=examples, background=background)
        with mlflow.start_run() as run:
            DecisionTreeClassifier(max_depth=3, random_state=0).fit(X, y)
        assert mlflow_interpret.flush()
        rows = mlflow_store.status_of(run.info.run_id, store)["rows"]
        assert rows == {
            "source": "evaluation_examples", "available": 150, "explained": 150, "kept": 150,
        }  # fmt: skip
    assert ("belongs to this process" in caplog.text) == background


@pytest.mark.parametrize("given", [{}, {"explanation": object(), "model": model}])
def test_an_explanation_or_a_model_is_logged_and_not_both(store, given):
    with pytest.raises(mlflow_interpret.OptionError, match="explanation must be"):
        mlflow_interpret.log_explanation(**given)


def test_rows_that_are_none_are_named():
    with pytest.raises(mlflow_interpret.OptionError, match="^initialization_examples .* got None"):
        mlflow_interpret.explain(model, None)
    with pytest.raises(mlflow_interpret.OptionError, match="^initialization_examples .* got None"):
        mlflow_interpret.log_explanation(model=model)


@pytest.mark.parametrize("silent", [False, True])
def test_explain_shows_its_progress(store, monkeypatch, silent):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(progress, "DELAY", 0.0)
    mlflow_interpret.explain(model, X, silent=silent)
    assert ("Explaining" in terminal.getvalue()) is not silent
    terminal.truncate(0)
    mlflow_interpret.log_explanation(
        model=model, initialization_examples=X, silent=silent, baseline="nowhere"
    )
    assert ("Explaining" in terminal.getvalue()) is not silent


def test_an_explanation_is_computed_and_logged_with_output_and_interactions(store):
    run_id = mlflow_interpret.log_explanation(
        model=model, initialization_examples=X, output="probability", interactions=2,
        log_figures=False, log_report=False, silent=True,
    )  # fmt: skip
    explanation = mlflow_interpret.load_explanation(run_id)
    assert np.asarray(explanation.expected_values).sum() == pytest.approx(1)
    assert len(explanation.get_interactions()) == 1


@pytest.mark.parametrize("options", [{"output": "raw"}, {"interactions": True}])
def test_options_of_a_computation_need_a_model(options):
    with pytest.raises(mlflow_interpret.OptionError, match="for a given explanation; pass model"):
        mlflow_interpret.log_explanation(mlflow_interpret.explain(model, X), **options)

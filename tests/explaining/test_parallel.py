"""Tests of parallel explaining: the values do not depend on the workers."""

from __future__ import annotations

import os
import sys
import threading
from contextlib import suppress

import cloudpickle
import joblib
import numpy as np
import pytest
from sklearn.datasets import load_diabetes
from sklearn.ensemble import RandomForestRegressor
from sklearn.svm import SVR

from mlflow_interpret.core.explanation import Plan, TrainingContext
from mlflow_interpret.explaining.explain import explain
from mlflow_interpret.explaining.explainers.base import ExplainerInfo
from mlflow_interpret.explaining.parallel import Workers
from mlflow_interpret.runtime.isolation import suppress_warnings

X, y = load_diabetes(return_X_y=True, as_frame=True)
FOREST = RandomForestRegressor(5, max_depth=4, random_state=0).fit(X, y)
HERE = os.getpid()

cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers cannot import tests


class Mortal(SVR):
    """A model that ends the worker in which it predicts."""

    def predict(self, X):
        if os.getpid() != self.home:
            os._exit(7)
        return super().predict(X)


def explain_rows(model, **plan):
    with suppress_warnings():
        return explain(TrainingContext(model, X, y), Plan(**plan))


def assert_same(actual, expected):
    np.testing.assert_allclose(actual.local_values, expected.local_values, rtol=1e-9, atol=1e-12)
    assert actual.evaluation_rows.equals(expected.evaluation_rows)
    np.testing.assert_allclose(actual.standard_errors(), expected.standard_errors())


@pytest.mark.parametrize(
    "model", [FOREST, SVR(kernel="poly").fit(X, y)], ids=["trees", "black box"]
)
def test_threads_give_the_values_of_one_thread(model):
    sequential = explain_rows(model, max_rows=60)
    with joblib.parallel_config(backend="threading", n_jobs=3):
        assert_same(explain_rows(model, max_rows=60), sequential)


def test_processes_give_the_values_of_one_process_also_after_a_loss():
    model = SVR(kernel="poly").fit(X, y)
    sequential = explain_rows(model, max_rows=40)
    assert_same(explain_rows(model, max_rows=40, n_jobs=2), sequential)
    mortal = Mortal(kernel="poly").fit(X, y)
    mortal.home = HERE
    found = explain_rows(mortal, max_rows=40, n_jobs=2)
    np.testing.assert_allclose(found.local_values, sequential.local_values, rtol=1e-9)
    assert any("TerminatedWorkerError" in str(note) for note in found.details.to_json()["notes"])


def test_a_model_that_cannot_be_pickled_is_explained_in_this_process():
    model = SVR(kernel="poly").fit(X, y)
    model.lock = threading.Lock()
    found = explain_rows(model, max_rows=20, n_jobs=2)
    assert any(
        "cannot be sent to other processes" in str(note)
        for note in found.details.to_json()["notes"]
    )


class ParallelExplainer:
    info = ExplainerInfo("shap_none", "none", 100, is_parallel=True)


class TestCount:
    def test_only_much_work_is_spread_over_all_cores(self):
        assert Workers(ParallelExplainer(), None).count(0.5) == 1
        assert Workers(ParallelExplainer(), None).count(1e4) == joblib.effective_n_jobs(-1)

    def test_an_explainer_that_uses_all_cores_runs_in_this_process(self):
        explainer = ParallelExplainer()
        explainer.info = ExplainerInfo("shap_none", "none", 100, is_parallel=False)
        assert Workers(explainer, None).count(1e4) == 1
        assert Workers(explainer, 2).count(0.1) == 2

    def test_a_requested_number_is_used(self):
        assert Workers(ParallelExplainer(), 3).count(0.0) == 3
        assert Workers(ParallelExplainer(), 1).count(1e4) == 1

    def test_the_configuration_of_joblib_is_used_for_any_work(self):
        with joblib.parallel_config(backend="threading", n_jobs=3):
            assert Workers(ParallelExplainer(), None).count(0.0) == 3
        with joblib.parallel_config(n_jobs=1):
            assert Workers(ParallelExplainer(), None).count(1e4) == 1

    def test_a_worker_of_the_caller_does_not_start_workers(self):
        inner = joblib.delayed(lambda: Workers(ParallelExplainer(), None).count(1e4))
        assert joblib.Parallel(2, backend="threading")([inner(), inner()]) == [1, 1]


class Recorded(SVR):
    """A model that records the processes in which it predicts."""

    def predict(self, X):
        (self.folder / str(os.getpid())).touch()
        return super().predict(X)


class Fatal(SVR):
    """A model that ends one worker in which it predicts."""

    def predict(self, X):
        if os.getpid() != self.home:
            with suppress(FileExistsError):
                self.mark.touch(exist_ok=False)
                os._exit(7)
        return super().predict(X)


class TestDask:
    """Explaining on a cluster with several worker processes."""

    def test_the_values_are_those_of_one_process(self, dask_client, tmp_path):
        model = Recorded(kernel="poly").fit(X, y)
        model.folder = tmp_path / "processes"
        model.folder.mkdir()
        sequential = explain_rows(model, max_rows=60)
        assert [path.name for path in model.folder.iterdir()] == [str(HERE)]
        with joblib.parallel_config(backend="dask"):
            found = explain_rows(model, max_rows=60)
        assert_same(found, sequential)
        assert len(list(model.folder.iterdir())) > 1
        assert not any("in this process" in str(note) for note in found.details.to_json()["notes"])

    def test_a_lost_worker_does_not_lose_the_result(self, dask_client, tmp_path):
        sequential = explain_rows(SVR(kernel="poly").fit(X, y), max_rows=60)
        fatal = Fatal(kernel="poly").fit(X, y)
        fatal.home, fatal.mark = HERE, tmp_path / "killed"
        with joblib.parallel_config(backend="dask"):
            found = explain_rows(fatal, max_rows=60)
        assert fatal.mark.exists()
        np.testing.assert_allclose(found.local_values, sequential.local_values, rtol=1e-9)

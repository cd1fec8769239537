"""Blocks of rows at once: the same values, whoever computes them."""

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
    """A model whose workers die while it predicts."""

    def predict(self, X):
        if os.getpid() != self.home:
            os._exit(7)
        return super().predict(X)


def explained(model, **plan):
    with suppress_warnings():
        return explain(TrainingContext(model, X, y), Plan(**plan))


def assert_same(one, other):
    np.testing.assert_allclose(one.local_values, other.local_values, rtol=1e-9, atol=1e-12)
    assert one.evaluation_rows.equals(other.evaluation_rows)
    np.testing.assert_allclose(one.standard_errors(), other.standard_errors())


@pytest.mark.parametrize("model", [FOREST, SVR().fit(X, y)], ids=["trees", "black box"])
def test_threads_give_the_values_of_one_process(model):
    alone = explained(model, max_rows=60)
    with joblib.parallel_config(backend="threading", n_jobs=3):
        assert_same(explained(model, max_rows=60), alone)


def test_processes_give_the_values_of_one_and_get_over_their_loss():
    model = SVR().fit(X, y)
    alone = explained(model, max_rows=40)
    assert_same(explained(model, max_rows=40, n_jobs=2), alone)
    mortal = Mortal().fit(X, y)
    mortal.home = HERE
    found = explained(mortal, max_rows=40, n_jobs=2)
    np.testing.assert_allclose(found.local_values, alone.local_values, rtol=1e-9)
    assert any("TerminatedWorkerError" in str(note) for note in found.details.to_json()["notes"])


def test_a_model_that_cannot_be_sent_is_explained_here():
    model = SVR().fit(X, y)
    model.lock = threading.Lock()
    found = explained(model, max_rows=20, n_jobs=2)
    assert any(
        "cannot be sent to other processes" in str(note)
        for note in found.details.to_json()["notes"]
    )


class Engine:
    info = ExplainerInfo("shap_none", "none", 100, is_parallel=True)


class TestHowMany:
    def test_little_work_is_done_here_and_much_on_all_cores(self):
        assert Workers(Engine(), None).count(0.5) == 1
        assert Workers(Engine(), None).count(1e4) == joblib.effective_n_jobs(-1)

    def test_an_engine_that_uses_all_cores_itself_is_left_alone(self):
        engine = Engine()
        engine.info = ExplainerInfo("shap_none", "none", 100, is_parallel=False)
        assert Workers(engine, None).count(1e4) == 1
        assert Workers(engine, 2).count(0.1) == 2

    def test_a_number_is_kept_to(self):
        assert Workers(Engine(), 3).count(0.0) == 3
        assert Workers(Engine(), 1).count(1e4) == 1

    def test_what_the_user_configured_counts_whatever_the_work(self):
        with joblib.parallel_config(backend="threading", n_jobs=3):
            assert Workers(Engine(), None).count(0.0) == 3
        with joblib.parallel_config(n_jobs=1):
            assert Workers(Engine(), None).count(1e4) == 1

    def test_within_somebody_elses_worker_nothing_is_spread(self):
        inner = joblib.delayed(lambda: Workers(Engine(), None).count(1e4))
        assert joblib.Parallel(2, backend="threading")([inner(), inner()]) == [1, 1]


class Noted(SVR):
    """A model that notes which processes predict with it."""

    def predict(self, X):
        (self.folder / str(os.getpid())).touch()
        return super().predict(X)


class Fatal(SVR):
    """A model that kills the worker which predicts with it, once."""

    def predict(self, X):
        if os.getpid() != self.home:
            with suppress(FileExistsError):
                self.mark.touch(exist_ok=False)
                os._exit(7)
        return super().predict(X)


class TestDask:
    """On a cluster of several worker processes."""

    def test_the_values_are_those_of_one_process(self, dask_client, tmp_path):
        model = Noted().fit(X, y)
        model.folder = tmp_path / "processes"
        model.folder.mkdir()
        alone = explained(model, max_rows=60)
        assert [path.name for path in model.folder.iterdir()] == [str(HERE)]
        with joblib.parallel_config(backend="dask"):
            found = explained(model, max_rows=60)
        assert_same(found, alone)
        assert len(list(model.folder.iterdir())) > 1
        assert not any("in this process" in str(note) for note in found.details.to_json()["notes"])

    def test_a_worker_that_is_lost_half_way_does_not_lose_the_answer(self, dask_client, tmp_path):
        alone = explained(SVR().fit(X, y), max_rows=60)
        fatal = Fatal().fit(X, y)
        fatal.home, fatal.mark = HERE, tmp_path / "killed"
        with joblib.parallel_config(backend="dask"):
            found = explained(fatal, max_rows=60)
        assert fatal.mark.exists()
        np.testing.assert_allclose(found.local_values, alone.local_values, rtol=1e-9)

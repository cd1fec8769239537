"""A toy store lands as one file: a class, registered, and nothing else."""

from __future__ import annotations

import shutil
import threading

import mlflow
import numpy as np
import pytest
from sklearn.linear_model import LinearRegression

import mlflow_interpret
from logged_explanations import explanation
from mlflow_interpret.core import explanation_io
from mlflow_interpret.core.errors import TrackingUnavailableError
from mlflow_interpret.core.options import Options
from mlflow_interpret.stores import base, delivery
from mlflow_interpret.stores import mlflow as mlflow_store
from mlflow_interpret.stores.base import Receipt, Store, StoreLimits


@pytest.fixture
def register():
    """Register store classes for the time of a test."""
    names = []

    def register(cls):
        names.append(cls.name)
        return base.register_store(cls)

    yield register
    for name in names:
        base.unregister_store(name)


@pytest.fixture
def shelf(register, tmp_path):
    """The folder of a toy store that copies explanations."""

    @register
    class ShelfStore(Store):
        name = "shelf"
        title = "the shelf"

        def accepts(self, options, tracking_uri):
            return options.comment != "not on the shelf"

        def put(self, explanation, folder, run):
            shutil.copytree(folder, tmp_path / "shelf" / run.run_id)
            return Receipt("complete", entry={"explanation_id": explanation.id})

    return tmp_path / "shelf"


def test_each_fit_goes_to_a_toy_store(shelf, store):
    X = np.random.default_rng(0).normal(size=(30, 2))
    mlflow_interpret.autolog(silent=True, log_figures=False)
    with mlflow.start_run() as run:
        LinearRegression().fit(X, X[:, 0])
    mlflow_interpret.autolog(silent=True, log_figures=False, comment="not on the shelf")
    with mlflow.start_run():
        LinearRegression().fit(X, X[:, 0])
    (folder,) = shelf.iterdir()
    copy, logged = explanation_io.read(folder), mlflow_store.load(run.info.run_id, None, store)
    assert folder.name == run.info.run_id
    assert copy.id == logged.id
    record = mlflow_store.status_of(run.info.run_id, store)
    assert (record["status"], record["shelf"]) == ("complete", {"explanation_id": copy.id})


def deliver(store, **options):
    with mlflow.start_run() as run:
        pass
    delivery.deliver_explanation(explanation(), run.info.run_id, store, Options(**options))
    return run.info.run_id


def test_a_store_that_fails_is_a_status_and_one_warning(register, shelf, store, caplog):
    @register
    class BrokenStore(Store):
        name = "broken"
        title = "the broken store"

        def accepts(self, options, tracking_uri):
            return True

        def put(self, explanation, folder, run):
            raise OSError("no space left")

    run_id = deliver(store)
    record = mlflow_store.status_of(run_id, store)
    assert (record["status"], record["reason"]) == ("failed", "no space left")
    assert record["shelf"]["explanation_id"]
    (warning,) = [message for message in caplog.messages if "broken store" in message]
    assert run_id in warning


def test_the_folder_stays_until_the_last_store_has_finished(register, store):
    runs, folders = [], []

    def pending(key):
        @register
        class PendingStore(Store):
            name = title = key

            def accepts(self, options, tracking_uri):
                return True

            def put(self, explanation, folder, run):
                runs.append(run)
                folders.append(folder)
                return Receipt("pending")

    pending("first")
    pending("second")
    run_id = deliver(store)
    for run, is_there in zip(runs, (True, False), strict=True):
        assert folders[0].exists()
        thread = threading.Thread(target=run.finish, args=[Receipt("complete", seconds=1.0)])
        thread.start()
        thread.join()
        assert folders[0].exists() == is_there
        state = mlflow_store.status_of(run_id, store)["status"]
        assert state == ("pending" if is_there else "complete")
    record = mlflow_store.status_of(run_id, store)
    assert record["first"] == record["second"] == {"seconds": 1.0}


def test_a_store_checks_its_option_and_the_connection_of_its_scheme(register):
    @register
    class ToyStore(Store):
        name = title = "toy"
        scheme = "toy"
        limits = StoreLimits(metrics=7)

        def accepts(self, options, tracking_uri):
            return False

        def put(self, explanation, folder, run):
            raise AssertionError

        def check_options(self, options):
            raise mlflow_interpret.OptionError("comment must be a toy")

        def check_connection(self, tracking_uri):
            raise mlflow_interpret.AzureMLError("the toy is in its box")

    with pytest.raises(mlflow_interpret.OptionError, match="must be a toy"):
        mlflow_interpret.autolog()
    with pytest.raises(TrackingUnavailableError, match="toy is not reached: the toy is in its box"):
        mlflow_store.check_reachable("toy://box")
    assert base.limits_of("toy://box").metrics == 7
    assert base.limits_of("sqlite:///box") == StoreLimits()
    assert base.limits_of("http://[broken") == StoreLimits()


def test_the_stores_of_the_package_are_found():
    assert [store.name for store in base.stores()] == ["azureml"]
    assert base.limits_of("azureml://workspace").overwrites is False

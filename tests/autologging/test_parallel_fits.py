"""Fits in parallel threads do not wait for each other's requests."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import mlflow
from mlflow import MlflowClient
from sklearn.datasets import load_iris
from sklearn.tree import DecisionTreeClassifier

import mlflow_interpret
from faulty_proxy import Proxy
from mlflow_interpret.stores import mlflow as mlflow_store

N_THREADS, N_FITS = 8, 5
SECONDS = 0.1  # for each answer of the server

X, y = load_iris(return_X_y=True, as_frame=True)


class SlowProxy(Proxy):
    """Counts the requests that it forwards at the same time."""

    def __init__(self, url, seconds):
        super().__init__(url, seconds)
        self.changed, self.n_open, self.most_open = threading.Condition(), 0, 0

    @contextmanager
    def forwarded(self, path):
        """Count the open requests that log the metrics of a fit; each fit has one.

        The first one waits for another fit, which never comes if fits wait for each other.
        """
        logs_metrics = path.endswith("/runs/log-batch")
        with self.changed:
            self.n_open += logs_metrics
            self.most_open = max(self.most_open, self.n_open)
            self.changed.notify_all()
            if logs_metrics:
                self.changed.wait_for(lambda: self.most_open > 1, 30)
        try:
            yield
        finally:
            with self.changed:
                self.n_open -= logs_metrics


@contextmanager
def slow_server(url, seconds=SECONDS):
    """An MLflow server behind a proxy that delays each answer."""
    with SlowProxy(url, seconds) as proxy, proxy.serving():
        yield proxy


def fit_in_threads(n_threads, n_fits):
    """The runs of all fits, each in a run of its own."""

    def train(number):
        runs = []
        for i in range(n_fits):
            with mlflow.start_run(run_name=f"{number}-{i}") as run:
                DecisionTreeClassifier(max_depth=2, random_state=number).fit(X, y)
            runs.append(run.info.run_id)
        return runs

    with ThreadPoolExecutor(n_threads) as pool:
        return [run_id for runs in pool.map(train, range(n_threads)) for run_id in runs]


def test_each_of_many_fits_is_explained_in_its_own_run(store, tracking_server):
    with slow_server(tracking_server) as proxy:
        url = proxy.url
        mlflow.set_tracking_uri(url)
        mlflow.set_experiment("slow")
        mlflow_interpret.autolog(max_rows=20, log_figures=False, log_report=False, silent=True)
        runs = fit_in_threads(N_THREADS, N_FITS)
        proxy.seconds = 0.0
        client = MlflowClient(url)
        for run_id in runs:
            tags = client.get_run(run_id).data.tags
            assert tags["mlflow_interpret.status"] == "complete"
            assert tags["mlflow_interpret.explanations"] == "1"
        assert len(set(runs)) == N_THREADS * N_FITS
        assert mlflow_store.status_of(runs[-1], url)["run_id"] == runs[-1]
        mlflow.set_tracking_uri(store)
    assert proxy.most_open > 1  # with a lock, only one fit at a time would be logged

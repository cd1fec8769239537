"""Fits in processes that are forked while another thread explains, draws and logs."""

from __future__ import annotations

import os
import subprocess
import sys

import mlflow
import pytest

pytestmark = [
    pytest.mark.subprocess,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows has no forks"),
]

# A model whose explanation waits keeps a thread in the middle of it, and drawings are pending.
PROGRAM = """
import os, sys, threading, warnings
import mlflow, numpy as np, mlflow_interpret
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.datasets import load_diabetes
from sklearn.linear_model import LinearRegression

warnings.simplefilter("ignore", DeprecationWarning)  # of forks beside threads
explaining, go = threading.Event(), threading.Event()
X, y = load_diabetes(return_X_y=True, as_frame=True)

class Waiting(RegressorMixin, BaseEstimator):
    def fit(self, X, y):
        self.fitted_ = True
        return self

    def predict(self, X):
        explaining.set()
        go.wait()
        return np.asarray(X)[:, 0]

def explain_beside():
    with mlflow.start_run(run_name="parent, beside"):
        Waiting().fit(X, y)

background = sys.argv[1] == "background"
mlflow_interpret.autolog(background=background, max_rows=5)
with mlflow.start_run(run_name="parent, before"):
    LinearRegression().fit(X, y)
mlflow_interpret.autolog(max_rows=5)  # in the foreground, so that the thread explains
thread = threading.Thread(target=explain_beside)
thread.start()
explaining.wait()
mlflow_interpret.autolog(background=background, max_rows=5)
children = []
for number in range(2):
    pid = os.fork()
    if pid == 0:
        with mlflow.start_run(run_name=f"child {number}"):
            LinearRegression().fit(X, y)
        finished = mlflow_interpret.flush(100)
        os._exit(0 if finished else 1) if number else sys.exit(0 if finished else 1)
    children.append(pid)
codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children]
go.set()
thread.join()
assert codes == [0, 0], codes
"""


@pytest.mark.parametrize("mode", ["foreground", "background"])
def test_each_fit_is_explained_and_drawn_once(store, mode):
    child = subprocess.run(
        [sys.executable, "-c", PROGRAM, mode],
        env={**os.environ, "MLFLOW_TRACKING_URI": store, "MLFLOW_EXPERIMENT_NAME": "test"},
        capture_output=True,
        text=True,
        timeout=400,
    )
    assert child.returncode == 0, child.stderr
    runs = mlflow.search_runs(experiment_names=["test"], output_format="list")
    names = [run.info.run_name for run in runs]
    assert sorted(names) == ["child 0", "child 1", "parent, before", "parent, beside"]
    client = mlflow.MlflowClient()
    for run in runs:
        assert run.info.status == "FINISHED"
        assert run.data.tags["mlflow_interpret.explanations"] == "1"
        folders = [file.path for file in client.list_artifacts(run.info.run_id)]
        assert folders == ["mlflow_interpret"]
        files = client.list_artifacts(run.info.run_id, "mlflow_interpret")
        assert "mlflow_interpret/report.html" in [file.path for file in files]

"""The requests of the background worker."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys

import cloudpickle
import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.tree import DecisionTreeClassifier

from mlflow_interpret.autologging import background_worker
from mlflow_interpret.core import explanation_io
from mlflow_interpret.core.explanation import Plan, TrainingContext
from mlflow_interpret.explaining.explain import draw_inputs
from mlflow_interpret.report import artifacts

X, y = load_iris(return_X_y=True, as_frame=True)


class Broken(DecisionTreeClassifier):
    def predict_proba(self, X):
        raise ValueError(f"a cell holds {X.iloc[0, 0]}")

    predict = predict_proba


def requests(folder, model, **changes):
    """The request to explain, and the request to write."""
    inputs = draw_inputs(TrainingContext(model.fit(X, y), X, y), Plan())
    (folder / "snapshot.pkl").write_bytes(cloudpickle.dumps((inputs, Plan())))
    (folder / "record").mkdir()
    common = {"log_data": True, "cwd": os.getcwd(), **changes}
    explain = {
        "snapshot": str(folder / "snapshot.pkl"),
        "id": "an id",
        "importances": str(folder / "importances.pkl"),
    }
    write = {
        "write": str(folder / "record"), "details": {"baseline_missing": "none"}, "figures": True,
        "report": True, "run_id": "0123", "comment": "a comment", "metrics": {"score": 0.5},
    }  # fmt: skip
    return {**explain, **common}, {**write, **common}


@pytest.mark.parametrize("log_data", [True, False])
def test_the_explanation_is_written_with_its_figures_and_report(tmp_path, log_data):
    worker = background_worker.Worker()
    explain, write = requests(tmp_path, DecisionTreeClassifier(), log_data=log_data)
    assert worker.answer(explain) == {"ok": True}
    assert pickle.loads((tmp_path / "importances.pkl").read_bytes()).features == tuple(X.columns)
    answer = worker.answer(write)
    assert answer["ok"]
    assert answer["not_drawn"] == {}
    explanation = explanation_io.read(tmp_path / "record")
    assert explanation.features == tuple(X.columns)
    assert explanation.details.baseline_missing == "none"
    assert (explanation.evaluation_rows is not None) == log_data
    assert (tmp_path / "record" / artifacts.FIGURE).is_file()
    report = (tmp_path / "record" / artifacts.REPORT).read_text("utf-8")
    assert all(
        text in report for text in ("0123", "a comment", answer["created"], "<dt>score</dt>")
    )


@pytest.mark.parametrize("log_data", [True, False])
def test_the_reason_of_a_failure_quotes_cells_only_if_rows_may_be_logged(tmp_path, log_data):
    explain, write = requests(tmp_path, Broken(), log_data=log_data)
    worker = background_worker.Worker()
    answer = worker.answer(explain)
    assert not answer["ok"]
    assert ("a cell holds" in answer["reason"]) == log_data
    assert not worker.answer(write)["ok"]


class Printing(DecisionTreeClassifier):
    def predict_proba(self, X):
        print("as models do")
        return super().predict_proba(X)


def test_the_worker_ends_with_its_parent_and_models_may_print(tmp_path):
    code = "from mlflow_interpret.autologging.background_worker import main; main()"
    child = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    for request in requests(tmp_path, Printing(max_depth=2)):
        child.stdin.write(f"{json.dumps(request)}\n")
        child.stdin.flush()
        assert json.loads(child.stdout.readline())["ok"]
    child.stdin.close()
    assert child.wait(timeout=30) == 0
    child.stdout.close()
    assert np.isfinite(explanation_io.read(tmp_path / "record").global_values).all()

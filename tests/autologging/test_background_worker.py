"""What the child process does with one request."""

from __future__ import annotations

import json
import os
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


def request(folder, model, **changes):
    subject = draw_inputs(TrainingContext(model.fit(X, y), X, y), Plan())
    (folder / "snapshot.pkl").write_bytes(cloudpickle.dumps((subject, Plan())))
    paths = {name: str(folder / name) for name in ("record", "drawn")}
    return {
        "snapshot": str(folder / "snapshot.pkl"), **paths, "log_data": True, "figures": True,
        "cwd": os.getcwd(), **changes,
    }  # fmt: skip


@pytest.mark.parametrize("log_data", [True, False])
def test_it_writes_the_explanation_and_its_figures(tmp_path, log_data):
    assert background_worker.explained(
        request(tmp_path, DecisionTreeClassifier(), log_data=log_data)
    )["ok"]
    found = explanation_io.read(tmp_path / "record")
    assert found.features == tuple(X.columns)
    assert (found.evaluation_rows is not None) == log_data
    assert (tmp_path / "drawn" / artifacts.FIGURE).is_file()


@pytest.mark.parametrize("log_data", [True, False])
def test_a_failure_is_answered_and_quotes_cells_only_where_they_may_be_logged(tmp_path, log_data):
    answer = background_worker.explained(request(tmp_path, Broken(), log_data=log_data))
    assert not answer["ok"]
    assert ("a cell holds" in answer["reason"]) == log_data


class Printing(DecisionTreeClassifier):
    def predict_proba(self, X):
        print("as models do")
        return super().predict_proba(X)


def test_it_ends_with_its_parent_and_models_may_print(tmp_path):
    line = json.dumps(request(tmp_path, Printing(max_depth=2)))
    code = "from mlflow_interpret.autologging.autolog.background_worker import main; main()"
    child = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    child.stdin.write(f"{line}\n")
    child.stdin.flush()
    assert json.loads(child.stdout.readline()) == {"ok": True}
    child.stdin.close()
    assert child.wait(timeout=30) == 0
    child.stdout.close()
    assert np.isfinite(explanation_io.read(tmp_path / "record").global_values).all()

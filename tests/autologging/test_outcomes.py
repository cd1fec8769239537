"""Messages about a fit's explanation."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import mlflow
import numpy as np
import pytest
from sklearn.neighbors import KNeighborsRegressor

import mlflow_interpret
from mlflow_interpret.autologging import outcomes
from mlflow_interpret.core.details import Details
from mlflow_interpret.core.explanation import Explanation
from mlflow_interpret.core.options import Options
from mlflow_interpret.stores import mlflow as mlflow_store
from mlflow_interpret.stores.spool_entry import Entry

DETAILS = {
    "rows": {"explained": 129, "available": 4420, "source": "training_rows"},
    "model": {"estimator": "Ridge"},
    "output_scale": "prediction",
    "seconds": 4.63,
}


@pytest.mark.parametrize("stopped", ["settled", "all rows"])
def test_the_message_has_the_reason_for_the_number_of_rows(stopped):
    explanation = Explanation(
        "shap_linear",
        "regression",
        None,
        ("a", "b"),
        np.array([1.0, 2571.8]),
        details=Details.from_json(DETAILS),
    )
    explanation = replace(explanation, details=Details.from_json({**DETAILS, "stopped": stopped}))
    logged = SimpleNamespace(run_id="run", folder="mlflow_interpret", status={}, report=None)
    line = outcomes._summary(SimpleNamespace(model="Ridge"), explanation, logged)
    assert "129 of 4,420 training rows" in line
    assert "b 2,572, a 1.00" in line
    assert ("rows, ranking stable after 129 rows, 4.6 s" in line) is (stopped == "settled")
    assert line.endswith("Run run, artifacts in mlflow_interpret/")


def test_feature_names_do_not_control_the_terminal():
    features = ("\x1b[2Jbmi", "a\nb", "x" * 100)
    explanation = Explanation(
        "shap_linear",
        "regression",
        None,
        features,
        np.array([3.0, 2.0, 1.0]),
        details=Details.from_json(DETAILS),
    )
    logged = SimpleNamespace(run_id="run", folder="mlflow_interpret", status={}, report="x.html")
    line = outcomes._summary(SimpleNamespace(model="Ridge"), explanation, logged)
    assert line.isprintable()
    assert ": \ufffd[2Jbmi 3.00, a b 2.00, xxx" in line
    assert "x" * 41 not in line


def test_an_entry_of_the_spool_holds_the_options_for_logging():
    chosen = Options(
        comment="a comment", top_k=7, log_figures=False, baseline="latest", log_report=False,
        visualization_points=99,
    )  # fmt: skip
    entry = Entry.of(chosen, "sqlite:///x", "run")
    assert (entry.tracking_uri, entry.run_id) == ("sqlite:///x", "run")
    assert entry.to_options() == chosen


def test_a_partial_explanation_is_one_warning_with_the_way_out(store, caplog):
    generator = np.random.default_rng(0)
    X = generator.normal(size=(4_000, 3)) * [1.0, 1.06, 1.12]  # a ranking that stays open
    mlflow_interpret.autolog(time_budget=None)
    KNeighborsRegressor().fit(X, X.sum(axis=1))
    run = mlflow.last_active_run()
    (warning,) = [entry.getMessage() for entry in caplog.records if entry.levelname == "WARNING"]
    assert "the ranking of the features is not stable. Pass max_rows." in warning
    assert run.info.run_id in warning
    status = mlflow_store.status_of(run.info.run_id, store)
    assert status["partial"] is True
    caplog.clear()
    mlflow_interpret.autolog(time_budget=None, max_rows=status["rows"]["explained"])
    KNeighborsRegressor().fit(X, X.sum(axis=1))
    assert not [entry for entry in caplog.records if entry.levelname == "WARNING"]

"""Messages about a fit's explanation."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from mlflow_interpret.autologging import outcomes
from mlflow_interpret.core.details import Details
from mlflow_interpret.core.explanation import Explanation
from mlflow_interpret.core.options import Options
from mlflow_interpret.stores.spool import Entry

DETAILS = {
    "rows": {"explained": 129, "available": 4420, "source": "training_rows"},
    "model": {"estimator": "Ridge"},
    "output_scale": "prediction",
    "seconds": 4.63,
}


@pytest.mark.parametrize("partial", [False, True])
def test_the_message_says_whether_the_time_budget_was_spent(partial):
    explanation = Explanation(
        "shap_linear",
        "regression",
        None,
        ("a", "b"),
        np.array([1.0, 2571.8]),
        details=Details.from_json(DETAILS),
    )
    explanation = replace(explanation, details=Details.from_json({**DETAILS, "partial": partial}))
    logged = SimpleNamespace(run_id="run", folder="mlflow_interpret", status={})
    line = outcomes._summary(SimpleNamespace(model="Ridge"), explanation, logged)
    assert "129 of 4,420 training rows, 4.6 s" in line
    assert "b 2,572, a 1.00" in line
    assert ("the time budget was spent" in line) is partial


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
    logged = SimpleNamespace(run_id="run", folder="mlflow_interpret", status={})
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

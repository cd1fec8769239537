"""Quadratic discriminant analysis in closed form, compared with enumeration."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_wine
from sklearn.discriminant_analysis import QuadraticDiscriminantAnalysis

from explaining.agreement import assert_agrees, explain, rows_of


@pytest.mark.parametrize("regularization", [0.0, 0.4])
@pytest.mark.parametrize("load", [load_breast_cancer, load_wine])
def test_log_odds_are_exact(load, regularization):
    rows, y = rows_of(load, 80, [0, 4, 6, 9])
    model = QuadraticDiscriminantAnalysis(reg_param=regularization).fit(rows, y)
    found = explain(model, rows, max_rows=5)
    assert (found.method, found.scale) == ("shap_quadratic", "log-odds")

    def output(cells):
        scores = model.decision_function(cells)
        return np.stack([-scores, scores], axis=1) if scores.ndim == 1 else scores

    assert_agrees(found, output, rows)


def test_a_pair_of_columns_shares_its_interaction():
    draw = np.random.default_rng(0)
    rows = draw.normal(size=(400, 2))
    y = rows[:, 0] * rows[:, 1] > 0  # no column tells anything alone
    model = QuadraticDiscriminantAnalysis().fit(rows, y)
    found = explain(model, rows, max_rows=400)
    importances = np.abs(found.local_values[1]).mean(axis=0)
    assert importances.min() > 0.5 * importances.max() > 0

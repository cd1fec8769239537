"""Naive Bayes models in closed form, compared with enumeration."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_wine
from sklearn.naive_bayes import BernoulliNB, CategoricalNB, GaussianNB

from explaining.agreement import assert_agrees, explain, rows_of

COLUMNS = [0, 3, 6, 9]


def log_odds(model):
    """The log-odds of two classes; of several, log-probabilities less their mean."""

    def output(rows):
        logs = model.predict_log_proba(rows)
        return logs - (logs[:, ::-1] if logs.shape[1] == 2 else logs.mean(axis=1, keepdims=True))

    return output


@pytest.mark.parametrize("load", [load_breast_cancer, load_wine])
@pytest.mark.parametrize("weight", [None, "rows"])
@pytest.mark.parametrize(
    "model", [GaussianNB(), BernoulliNB(binarize=0.3), CategoricalNB(min_categories=3)], ids=str
)
def test_log_odds_are_exact(model, load, weight):
    rows, y = rows_of(load, 60, COLUMNS)
    if isinstance(model, CategoricalNB):
        rows = (rows.rank(pct=True) * 2.99).astype(int)
    weights = None if weight is None else np.linspace(0.5, 2.0, len(rows))
    found = explain(model.fit(rows, y, sample_weight=weights), rows, max_rows=5)
    assert (found.method, found.scale) == ("shap_additive", "log-odds")
    assert_agrees(found, log_odds(model), rows)


def test_binary_columns_are_linear():
    rows, y = rows_of(load_breast_cancer, 60, COLUMNS)
    rows = (rows > 0).astype(float)
    found = explain(BernoulliNB().fit(rows, y), rows, max_rows=5)
    assert found.method == "shap_linear"

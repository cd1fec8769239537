"""Helpers for tests of explainers: rows of real data sets and comparison with exact values."""

from __future__ import annotations

import numpy as np
import pandas as pd
from sklearn.preprocessing import StandardScaler

from mlflow_interpret.core.explanation import Plan
from mlflow_interpret.explaining.batch import as_batch, feature_names
from mlflow_interpret.explaining.explainers.base import ExplainRequest
from mlflow_interpret.explaining.model_adapter import adapt_model
from mlflow_interpret.explaining.row_sources import TableSource
from mlflow_interpret.explaining.select import explain_rows
from mlflow_interpret.runtime.isolation import suppress_warnings

from .exact import shapley


def explain(model, rows, background=None, *, seed=0, by=explain_rows, **options):
    """Compute the attributions of ``rows`` as the public function does."""
    background = rows if background is None else background
    names = feature_names(rows, None)
    with suppress_warnings():
        request = ExplainRequest(
            adapt_model(model, row=rows[:1]),
            as_batch(background, names, rows),
            Plan(random_state=seed, **options),
        )
        return by(request, TableSource(as_batch(rows, names, rows)))


def rows_of(load, n_rows, columns, *, scaled=True):
    """Some rows of a bundled data set, of all classes, and their labels."""
    X, y = load(return_X_y=True, as_frame=True)
    picked = np.random.default_rng(1).permutation(len(X))[:n_rows]
    X = X.iloc[picked, columns].reset_index(drop=True)
    X = pd.DataFrame(StandardScaler().fit_transform(X), columns=X.columns) if scaled else X
    return X, y.iloc[picked].reset_index(drop=True)


def with_gaps(X):
    """Remove a fifth of the cells of a table."""
    gaps = np.random.default_rng(0).random(X.shape) < 0.2
    return X.mask(gaps) if isinstance(X, pd.DataFrame) else np.where(gaps, np.nan, X)


def assert_agrees(found, output, rows, background=None, *, tolerance=1e-6):
    """The values are the exact ones; ``found`` may have explained some of the rows only.

    Sampled values have to be within five of their own standard errors, which have to be small, and
    a twentieth of the largest value for what no sample showed.
    """
    picked = rows.iloc[found.rows].reset_index(drop=True)
    values, expected = shapley(output, picked, rows if background is None else background)
    assert found.local_values.shape == values.shape
    size = np.abs(values).max()
    assert size > 0
    allowed = tolerance * size
    if found.sampling_error is not None:
        assert found.sampling_error.mean() < 0.2 * size
        allowed = 0.05 * size + 5 * found.sampling_error
    assert (np.abs(found.local_values - values) <= allowed).all()
    np.testing.assert_allclose(found.expected_values, expected, rtol=tolerance, atol=tolerance)

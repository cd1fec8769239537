"""Rows and labels among the arguments of a fit."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mlflow_interpret import CannotExplainError
from mlflow_interpret.autologging.training_arguments import Call, x_and_y

X = pd.DataFrame({"a": [1.0, 2.0, 3.0], "b": [0.0, 1.0, 0.0]})
y = pd.Series([0, 1, 0])
weights = np.ones(3)


class Plain:
    def fit(self, X, y=None, sample_weight=None): ...


class Named:
    def fit(self, X_train, y_train, *, groups=None): ...


class KeywordsOnly:
    def fit(self, *, target, features): ...


class LabelsFirst:
    def fit(self, y, X): ...


class Unsupervised:
    def fit(self, data, categorical=(), sample_weight=None): ...


class WeightsFirst:
    def fit(self, table, sample_weight=None, outcome=None): ...


class Stars:
    def fit(self, *args, **kwargs): ...


class Optional:
    def fit(self, X=None, y=None, **kwargs): ...


CALLS = [
    (Plain, (X, y), {}, (X, y)),
    (Plain, (X,), {"y": y}, (X, y)),
    (Plain, (), {"y": y, "X": X}, (X, y)),
    (Plain, (X,), {"sample_weight": weights}, (X, None)),
    (Named, (X, y), {}, (X, y)),
    (Named, (), {"y_train": y, "X_train": X}, (X, y)),
    (KeywordsOnly, (), {"target": y, "features": X}, (X, y)),
    (LabelsFirst, (y, X), {}, (X, y)),
    (Unsupervised, (X,), {}, (X, None)),
    (Unsupervised, (X, ["a"]), {}, (X, None)),
    (Unsupervised, (X,), {"sample_weight": weights}, (X, None)),
    (WeightsFirst, (X, weights, y), {}, (X, y)),
    (Stars, (X, y), {}, (X, y)),
    (Stars, (X,), {"y": y}, (X, y)),
    (Stars, (), {"y": y, "X": X}, (X, y)),
    (Stars, (), {"y_train": y, "X_train": X}, (X, y)),
    (Stars, (), {"labels": y, "verbose": 1, "data": X}, (X, y)),
    (Stars, (), {"verbose": 1, "target": y, "table": X.to_numpy()}, (X.to_numpy(), y)),
    (Optional, (), {"features": X, "y": y}, (X, y)),
    (Optional, (None,), {"df": X}, (X, None)),
]


@pytest.mark.parametrize(("cls", "args", "kwargs", "expected"), CALLS)
def test_rows_and_labels_are_recognised(cls, args, kwargs, expected):
    rows, labels = x_and_y(Call(cls.fit, cls(), args, kwargs))
    np.testing.assert_array_equal(rows, expected[0])
    assert labels is expected[1]


@pytest.mark.parametrize("kwargs", [{}, {"verbose": 1}, {"y": y}])
def test_arguments_without_rows_are_an_error_with_a_way_out(kwargs):
    with pytest.raises(CannotExplainError, match="fit is recognised as rows; name them X, or call"):
        x_and_y(Call(Stars.fit, Stars(), (), kwargs))

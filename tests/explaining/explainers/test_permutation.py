"""Sampled permutations of any model."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from sklearn.datasets import load_diabetes
from sklearn.svm import SVR

from explaining.agreement import explain, rows_of
from explaining.any_model import AnyModel
from mlflow_interpret.core.errors import CannotExplainError
from mlflow_interpret.explaining.explainers import permutation
from mlflow_interpret.explaining.row_scheduler import run


def by_permutations(request, source):
    explainer = permutation.PermutationExplainer(request)
    return run(explainer, source, request.plan, request.budget)


class TestPermutationExplainer(AnyModel):
    method = "shap_permutation"
    explain = staticmethod(explain)
    of_the_whole = staticmethod(partial(explain, by=by_permutations))

    def test_notes_give_the_reason_and_the_method(self, diabetes):
        rows, y = diabetes
        found = explain(SVR(kernel="poly").fit(rows, y), rows, max_rows=2)
        assert "no exact method is known for SVR" in str(found.notes[0])
        assert found.background_rows == len(rows)

    def test_values_add_up_to_the_output(self):
        rows, y = rows_of(load_diabetes, 120, [2, 3, 8])
        model = SVR(kernel="poly").fit(rows, y)
        found = explain(model, rows, max_rows=5)
        assert found.background_rows == 120
        sums = found.local_values.sum(axis=-1) + found.expected_values
        np.testing.assert_allclose(sums, model.predict(rows.iloc[found.rows]), rtol=1e-8)
        np.testing.assert_allclose(found.expected_values, model.predict(rows).mean())
        assert found.additivity_error < 1e-6

    def test_wide_tables_have_fewer_rows_and_permutations(self):
        narrow, wide, huge = (permutation._effort(n, None, 100_000) for n in (10, 300, 10_000))
        assert narrow[0] > wide[0] >= huge[0] >= 2
        assert narrow[1] >= wide[1] >= huge[1] >= 2
        assert permutation._effort(10, 7, 100_000) == (7, 40)

    def test_a_model_that_predicts_nan_cannot_be_explained(self, diabetes):
        class Nan(SVR):
            def predict(self, X):
                return np.full(len(X), np.nan)

        rows, y = diabetes
        with pytest.raises(CannotExplainError, match=r"Nan predicts NaN or infinity"):
            explain(Nan(kernel="poly").fit(rows, y), rows, max_rows=2)

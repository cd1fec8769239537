"""The mean explanation of a cross-validation."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.stats import spearmanr
from tests.explanations import explanation

from mlflow_interpret.core import explanation_io
from mlflow_interpret.core.errors import CannotExplainError
from mlflow_interpret.explaining.folds import concordance, mean_explanation
from mlflow_interpret.report.page import render_report


def mean_of(folds):
    return mean_explanation(
        folds, splitter="KFold()", train_rows=[80] * len(folds), test_rows=[40] * len(folds),
        scores={"test_score": [0.5] * len(folds)},
    )  # fmt: skip


@pytest.mark.parametrize("n_folds", [2, 3, 7])
def test_concordance_is_the_mean_rank_correlation(n_folds):
    values = np.random.default_rng(n_folds).normal(size=(n_folds, 9))
    pairs = itertools.combinations(values, 2)
    mean = np.mean([spearmanr(a, b).statistic for a, b in pairs])
    assert concordance(values) == pytest.approx((mean * (n_folds - 1) + 1) / n_folds)


def test_concordance_of_equal_and_opposite_rankings():
    values = np.array([[3.0, 2.0, 1.0], [30.0, 20.0, 10.0]])
    assert concordance(values) == pytest.approx(1)
    assert concordance(np.array([[1.0, 2.0, 3.0], [3.0, 2.0, 1.0]])) == pytest.approx(0)
    assert concordance(np.array([[1.0, 1.0, 0.0], [2.0, 2.0, 1.0]])) == pytest.approx(1)  # ties
    assert concordance(np.ones((3, 4))) is None
    assert concordance(np.ones((3, 1))) is None


def test_errors_are_those_of_overlapping_training_rows():
    folds = [explanation(n_classes=3, seed=seed) for seed in range(4)]
    mean = mean_of(folds)
    values = np.stack([fold.global_values for fold in folds])
    np.testing.assert_allclose(mean.global_values, values.mean(axis=0))
    expected = np.sqrt((1 / 4 + 40 / 80) * values.var(axis=0, ddof=1))
    np.testing.assert_allclose(mean.standard_errors(), expected)
    assert mean.local_values.shape == (3, 160, 6)
    assert len(mean.evaluation_rows) == 160
    assert mean.id not in {fold.id for fold in folds}


def test_the_folds_are_read_as_they_were_written(tmp_path):
    mean = mean_of([explanation(seed=seed) for seed in range(2)])
    explanation_io.write(mean, tmp_path)
    folds = explanation_io.read(tmp_path).cross_validation
    np.testing.assert_array_equal(folds.importances, mean.cross_validation.importances)
    assert folds.scores == mean.cross_validation.scores
    assert folds.ranking_agreement == mean.cross_validation.ranking_agreement
    aggregates = mean.without_rows()
    np.testing.assert_array_equal(
        aggregates.cross_validation.importances, mean.cross_validation.importances
    )


def test_the_report_has_a_section_of_the_folds():
    mean = mean_of([explanation(seed=seed) for seed in range(12)])
    page = render_report(mean)
    assert ">Cross-validation</h2>" in page
    assert "The first 10 folds are shown, 2 more are in fold_importances.json" in page
    assert "models of other training rows" in page
    assert ">Cross-validation</h2>" not in render_report(explanation())


def test_models_of_different_scales_have_no_mean():
    with pytest.raises(CannotExplainError, match="different outputs: classes"):
        mean_of([explanation(n_classes=3), explanation(n_classes=4)])

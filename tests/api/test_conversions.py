"""Explanations as tables, as objects of shap and as output of a notebook, for both types."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_diabetes, load_iris
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

import mlflow_interpret
from mlflow_interpret import interpret_community
from mlflow_interpret.api.conversions import with_conversions
from mlflow_interpret.api.global_explanation import GlobalExplanation
from mlflow_interpret.api.local_explanation import LocalExplanation

OWN = pytest.param(GlobalExplanation, id="own")
THEIRS = pytest.param(
    lambda record: with_conversions(interpret_community.to_interpret_community(record)),
    id="interpret-community",
    marks=pytest.mark.interpret,
)
types = pytest.mark.parametrize("as_type", [OWN, THEIRS])


def record_of(model, X, y, **options):
    explanation = mlflow_interpret.explain(model.fit(X, y), X, silent=True, **options)
    return interpret_community.to_record(explanation)


@pytest.fixture(scope="module")
def regression():
    return record_of(Ridge(), *load_diabetes(return_X_y=True, as_frame=True))


@pytest.fixture(scope="module")
def two_classes():
    X, y = load_iris(return_X_y=True, as_frame=True)
    return record_of(
        LogisticRegression(max_iter=1000), X[:100], y[:100].map(["no", "yes"].__getitem__)
    )


@pytest.fixture(scope="module")
def three_classes():
    X, y = load_iris(return_X_y=True, as_frame=True)
    return record_of(LogisticRegression(max_iter=1000), X, y)


@types
def test_the_table_has_the_features_by_falling_importance(as_type, regression):
    table = as_type(regression).to_frame()
    assert list(table.columns) == ["importance", "share", "rank", "standard_error", "direction"]
    assert list(zip(table.index, table["importance"])) == regression.ranked()
    assert table["share"].sum() == pytest.approx(1)
    assert list(table["rank"]) == list(range(1, 11))
    assert table.loc["bmi", "direction"] == "higher values raise it"
    assert table.loc["sex", "direction"] == "higher values lower it"
    errors = dict(zip(regression.features, regression.standard_errors()))
    assert table["standard_error"].to_dict() == pytest.approx(errors)


def test_the_table_of_a_local_explanation_has_the_contributions(regression, three_classes):
    table = LocalExplanation(regression).to_frame()
    np.testing.assert_array_equal(table, regression.local_values)
    assert list(table.columns) == list(regression.features)
    assert table.index.equals(regression.evaluation_rows.index)
    table = LocalExplanation(three_classes).to_frame()
    np.testing.assert_array_equal(table[1], three_classes.local_values[1])
    assert table.columns.names == ["class", "feature"]


@types
def test_values_of_shap_add_up_to_the_prediction(as_type, regression):
    values = as_type(regression).to_shap()
    np.testing.assert_allclose(values.values.sum(axis=1) + values.base_values, regression.predicted)
    assert list(values.feature_names) == list(regression.features)
    np.testing.assert_array_equal(values.data, regression.evaluation_rows)


def test_of_two_classes_the_second_is_converted(two_classes):
    explanation = GlobalExplanation(two_classes)
    values = explanation.to_shap()
    np.testing.assert_array_equal(values.values, two_classes.local_values[1])
    np.testing.assert_array_equal(explanation.to_shap("no").values, two_classes.local_values[0])


def test_all_of_several_classes_are_converted(three_classes):
    values = GlobalExplanation(three_classes).to_shap()
    rows = len(three_classes.evaluation_rows)
    assert (values.values.shape, values.base_values.shape) == ((rows, 4, 3), (rows, 3))
    assert list(values.output_names) == ["0", "1", "2"]
    one = GlobalExplanation(three_classes).to_shap(2)
    np.testing.assert_array_equal(one.values, values.values[..., 2])
    np.testing.assert_array_equal(one.base_values, values.base_values[:, 2])


@pytest.mark.parametrize("kind", ["waterfall", "bar", "beeswarm", "heatmap", "scatter", "violin"])
@types
def test_the_plots_of_shap_work(as_type, regression, kind):
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt
    import shap

    values = as_type(regression).to_shap()
    chosen = values[0] if kind == "waterfall" else values[:, "bmi"] if kind == "scatter" else values
    getattr(shap.plots, kind)(chosen, show=False)
    assert plt.gcf().axes
    plt.close("all")


def test_categories_become_numbers_and_stay_as_displayed():
    X = pd.DataFrame({"kind": ["b", "a", None, "b"] * 5})
    model = make_pipeline(OneHotEncoder(), Ridge())
    values = GlobalExplanation(record_of(model, X, np.arange(20.0))).to_shap()
    np.testing.assert_array_equal(values.data[:4, 0], [1.0, 0.0, np.nan, 1.0])
    assert list(values.display_data[:2, 0]) == ["b", "a"]


def test_an_unknown_output_raises(three_classes, regression):
    with pytest.raises(mlflow_interpret.OptionError, match="output must be one of 0, 1, 2, got 7"):
        GlobalExplanation(three_classes).to_shap(7)
    with pytest.raises(mlflow_interpret.OptionError, match="single output"):
        GlobalExplanation(regression).to_shap("x")


def test_aggregates_have_a_table_and_no_values_of_shap(regression):
    explanation = GlobalExplanation(regression.without_rows())
    assert explanation.to_frame()["standard_error"].notna().all()
    with pytest.raises(mlflow_interpret.MlflowInterpretError, match="log_data=True"):
        explanation.to_shap()


@types
def test_a_notebook_shows_a_sentence_and_the_leading_features(as_type, regression):
    page = as_type(regression)._repr_html_()
    assert " carry " in page
    assert len(re.findall("<tr>", page)) == 11
    assert "higher values raise it" in page
    assert "<script" not in page


def test_names_are_escaped_in_a_notebook(regression):
    names = ("<script>alert(1)</script>", *regression.features[1:])
    importances = np.arange(10, 0, -1.0)
    hostile = replace(regression, features=names, global_values=importances)
    assert "<script" not in GlobalExplanation(hostile)._repr_html_()


@types
def test_values_of_dictionaries_are_floats(as_type, regression):
    values = as_type(regression).get_feature_importance_dict().values()
    assert as_type is not GlobalExplanation or {type(value) for value in values} == {float}

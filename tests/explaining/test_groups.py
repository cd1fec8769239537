"""Importances of groups in explanations of models, in memory and in partitions."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.tree import DecisionTreeClassifier

from mlflow_interpret.core.errors import OptionError
from mlflow_interpret.core.explanation import Plan, TrainingContext
from mlflow_interpret.explaining.explain import draw_inputs, explain, explain_inputs

from .partitioned import parquet

rng = np.random.default_rng(0)
X = pd.DataFrame(rng.normal(size=(300, 4)), columns=["street", "city", "zip", "age"])
X["word"] = rng.choice(list("abc"), 300)
NUMBERS = X.drop(columns="word")
LABELS = (X["street"] - X["city"] > 0).astype(int) + (X["age"] > 1)
GROUPS = {"address": ["street", "city", "zip"]}


def by_hand(local, columns):
    """Mean over outputs and rows of the absolute sum of some columns."""
    return np.abs(sum(local[..., i] for i in columns)).mean()


def context(model, rows=NUMBERS, **options):
    return TrainingContext(model=model, X=rows, **options)


def test_groups_of_the_raw_columns_of_a_pipeline():
    columns = make_column_transformer(
        (OneHotEncoder(), ["word"]), (StandardScaler(), ["street", "city", "zip", "age"])
    )
    model = make_pipeline(columns, LogisticRegression()).fit(X, LABELS)
    groups = {"address": ["street", "city", "zip"], "person": ["word", "age"]}
    record = explain(context(model, X, feature_groups=groups))
    assert record.groups.names == ("address", "person")
    expected = [by_hand(record.local_values, columns) for columns in ([0, 1, 2], [3, 4])]
    np.testing.assert_allclose(record.groups.values, expected)
    assert record.engineered.groups is None
    assert len(record.engineered.details.directions) == 7
    assert set(record.details.directions["age"]["outputs"]) <= {"0", "1", "2"}
    assert len(record.engineered.features) == 7


def test_partitions_give_the_groups_of_all_rows(tmp_path):
    model = DecisionTreeClassifier(max_depth=4, random_state=0).fit(NUMBERS, LABELS)
    rows = pd.concat([NUMBERS] * 5, ignore_index=True)
    folder = parquet(tmp_path / "rows", rows)
    options = {"feature_groups": GROUPS}
    sums = explain(context(model, evaluation_examples=str(folder), **options), Plan(n_jobs=1))
    kept = explain(context(model, evaluation_examples=rows, **options), Plan(max_rows=len(rows)))
    assert len(sums.local_values[0]) < len(rows) == len(kept.local_values[0])
    for name in ("values", "errors", "per_class_values", "per_class_errors"):
        by_sums, by_rows = getattr(sums.groups, name), getattr(kept.groups, name)
        np.testing.assert_allclose(by_sums, by_rows, rtol=1e-6)
    np.testing.assert_allclose(sums.groups.values[0], by_hand(kept.local_values, [0, 1, 2]))


def test_errors_of_sampled_contributions_are_bounded():
    """The intervals of a group are no shorter than the one of its sampled sum."""
    model = KNeighborsRegressor().fit(NUMBERS, X["street"] + X["city"] * X["zip"])
    plan = Plan(max_rows=30)
    record = explain(context(model, NUMBERS[:30], feature_groups=GROUPS), plan)
    (interval,) = [e for e in record.groups.intervals["of"] if e["feature"] == "address"]
    singles = {e["feature"]: e["high"] - e["low"] for e in record.details.intervals["of"]}
    assert interval["low"] < by_hand(record.local_values, [0, 1, 2]) < interval["high"]
    assert interval["high"] - interval["low"] >= max(singles[name] for name in GROUPS["address"])
    assert record.groups.intervals["about"] == record.details.intervals["about"]


def test_a_function_is_called_before_the_inputs_are_pickled():
    model = LinearRegression().fit(NUMBERS, X["street"])
    grouping = {"street": "address", "city": "address", "zip": "address"}
    plan = Plan()
    inputs = draw_inputs(context(model, feature_groups=lambda name: grouping.get(name)), plan)
    record = explain_inputs(pickle.loads(pickle.dumps(inputs)), plan)
    np.testing.assert_allclose(record.groups.values[0], by_hand(record.local_values, [0, 1, 2]))


@pytest.mark.parametrize("groups", [{"address": ["street", "town"]}, lambda name: 1 / 0])
def test_groups_that_do_not_fit_leave_the_explanation_or_raise(groups):
    model = LinearRegression().fit(NUMBERS, X["street"])
    with pytest.raises(OptionError, match="^feature_groups must be "):
        explain(context(model, feature_groups=groups))
    record = explain(context(model, feature_groups=groups, are_groups_required=False))
    assert record.groups is None
    assert record.details.groups_missing.startswith("feature_groups must be ")
    assert record.global_values[0] > 0


TEXTS = [" ".join(rng.choice(["good", "bad", "fine", "poor"], 3)) for _ in range(60)]
SENTIMENT = np.array([text.count("good") - 2.0 * text.count("poor") for text in TEXTS])
FEELINGS = {"positive": ["good", "fine"], "negative": ["bad", "poor"]}


@pytest.mark.parametrize(
    "groups",
    [FEELINGS, lambda name: "positive" if name in FEELINGS["positive"] else "negative"],
)
def test_groups_of_text_models_are_groups_of_words(groups):
    model = make_pipeline(CountVectorizer(), Ridge()).fit(TEXTS, SENTIMENT)
    record = explain(context(model, TEXTS, feature_groups=groups))
    cells = model[0].transform(TEXTS).toarray()
    by_word = (cells - cells.mean(axis=0)) * model[-1].coef_  # bad, fine, good, poor
    positive = np.abs(by_word[:, 1] + by_word[:, 2]).mean()
    negative = np.abs(by_word[:, 0] + by_word[:, 3]).mean()
    assert record.features == ("bad", "fine", "good", "poor")
    values = dict(zip(record.groups.names, record.groups.values, strict=True))
    assert values == pytest.approx({"positive": positive, "negative": negative})
    assert {entry["feature"] for entry in record.groups.intervals["of"]} == set(FEELINGS)
    assert record.raw.groups is None


def test_groups_without_words_of_a_text_model_are_refused_or_noted():
    model = make_pipeline(CountVectorizer(), Ridge()).fit(TEXTS, SENTIMENT)
    groups = {"texts": ["text"]}
    with pytest.raises(OptionError, match="got 'text' for 'texts'.* leading words") as caught:
        explain(context(model, TEXTS, feature_groups=groups))
    assert caught.value.argument == "feature_groups"
    record = explain(context(model, TEXTS, feature_groups=groups, are_groups_required=False))
    assert record.groups is None
    assert "got 'text' for 'texts'" in record.details.groups_missing


def test_texts_that_are_not_explained_by_word_have_groups_of_their_column():
    model = make_pipeline(CountVectorizer(), KNeighborsRegressor()).fit(TEXTS, SENTIMENT)
    record = explain(context(model, TEXTS, feature_groups={"all": ["text"]}), Plan(max_rows=5))
    assert record.features == ("text",)
    np.testing.assert_allclose(record.groups.values, record.global_values)

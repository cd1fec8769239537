"""Texts in front of vectorizers: their words are the features."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import RandomForestRegressor
from sklearn.feature_extraction import DictVectorizer
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.naive_bayes import BernoulliNB, ComplementNB, MultinomialNB
from sklearn.pipeline import make_pipeline
from sklearn.svm import SVR
from tests.explaining import exact, path_dependent

from mlflow_interpret.core.errors import CannotExplainError
from mlflow_interpret.core.explanation import Plan, TrainingContext
from mlflow_interpret.explaining.dataframes import as_rows
from mlflow_interpret.explaining.explain import explain
from mlflow_interpret.explaining.explainers import wide_linear
from mlflow_interpret.explaining.inputs import draw_inputs

rng = np.random.default_rng(0)
WORDS = ["good", "bad", "fine", "poor", "great"]
TEXTS = [" ".join(rng.choice(WORDS, 4)) for _ in range(120)]
number = np.array([2.0 * text.count("good") - text.count("bad") for text in TEXTS])
three = np.digitize(number, [0, 2])
CONTAINERS = {
    "list": TEXTS,
    "series": pd.Series(TEXTS, index=range(120, 0, -1)),
    "strings": pd.Series(TEXTS, dtype="string"),
    "objects": np.array(TEXTS, dtype=object),
    "array": np.array(TEXTS),
}


def explained(model, X, **context):
    return explain(TrainingContext(model, X, **context), Plan())


def closed_form(model, texts, background):
    """``(n_outputs, n_rows, n_words)``: coefficient times the difference from the mean."""
    vectorizer, linear = model.steps[0][1], model.steps[-1][1]
    cells, known = vectorizer.transform(texts).toarray(), vectorizer.transform(background).toarray()
    return np.atleast_2d(linear.coef_)[:, None, :] * (cells - known.mean(axis=0))


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("vectorizer", [CountVectorizer, TfidfVectorizer])
def test_words_have_the_closed_form(container, vectorizer):
    X = CONTAINERS[container]
    model = make_pipeline(vectorizer(), Ridge()).fit(X, number)
    explanation = explained(model, X, y=number)
    assert explanation.features == tuple(sorted(WORDS))
    assert (explanation.method, explanation.details.output_scale) == ("shap_linear", "prediction")
    (expected,) = closed_form(model, TEXTS, TEXTS)
    np.testing.assert_allclose(explanation.local_values, expected, atol=1e-12)
    np.testing.assert_allclose(explanation.global_values, np.abs(expected).mean(axis=0))
    np.testing.assert_array_equal(explanation.true_labels, number)
    cells = model[0].transform(TEXTS).toarray()
    np.testing.assert_array_equal(explanation.evaluation_rows.to_numpy(), cells)


@pytest.mark.parametrize("container", CONTAINERS)
def test_the_raw_view_has_the_texts_as_one_column(container):
    X = CONTAINERS[container]
    model = make_pipeline(CountVectorizer(), Ridge()).fit(X, number)
    explanation = explained(model, X, evaluation_examples=X[:9])
    raw = explanation.raw
    assert raw.features == ("text",)
    assert raw.is_raw
    assert list(raw.evaluation_rows["text"]) == TEXTS[:9]
    prediction = model.predict(TEXTS)
    np.testing.assert_allclose(raw.local_values[:, 0], prediction[:9] - prediction.mean())
    np.testing.assert_allclose(raw.local_values[:, 0], explanation.local_values.sum(axis=1))
    assert explanation.details.raw_explanation_id == raw.id != explanation.id


def test_a_series_gives_its_name_to_the_raw_column():
    X = pd.Series(TEXTS, name="review")
    model = make_pipeline(CountVectorizer(), Ridge()).fit(X, number)
    assert explained(model, X).raw.features == ("review",)
    assert explained(model, X, features=["opinion"]).raw.features == ("opinion",)


def test_classes_have_contributions_of_their_own():
    model = make_pipeline(CountVectorizer(), LogisticRegression()).fit(TEXTS, three)
    explanation = explained(model, TEXTS)
    assert explanation.classes == (0, 1, 2)
    assert explanation.details.output_scale == "log-odds"
    np.testing.assert_allclose(
        explanation.local_values, closed_form(model, TEXTS, TEXTS), atol=1e-12
    )


def test_texts_of_trees_are_explained_by_word():
    model = make_pipeline(CountVectorizer(), RandomForestRegressor(4, max_depth=3, random_state=0))
    explanation = explained(model.fit(TEXTS, number), TEXTS, evaluation_examples=TEXTS[:7])
    trees = [path_dependent.scikit_learn_tree(tree.tree_) for tree in model[-1].estimators_]
    cells = model[0].transform(TEXTS[:7]).toarray()
    expected = path_dependent.shapley(trees, cells) / len(trees)
    np.testing.assert_allclose(explanation.local_values, expected, atol=1e-9)


def test_texts_without_exact_explainer_are_one_column():
    model = make_pipeline(CountVectorizer(), SVR(kernel="poly")).fit(TEXTS, number)
    explanation = explained(model, TEXTS, evaluation_examples=TEXTS[:5])
    assert explanation.features == ("text",)
    prediction = model.predict(TEXTS)
    np.testing.assert_allclose(
        explanation.local_values[:, 0], prediction[:5] - prediction.mean(), atol=1e-9
    )


def test_dictionaries_are_rows_of_a_vectorizer():
    X = [{"age": float(i % 7), "plan": "ab"[i % 2]} for i in range(60)]
    y = [row["age"] + (row["plan"] == "a") for row in X]
    explanation = explained(make_pipeline(DictVectorizer(), Ridge()).fit(X, y), X)
    assert explanation.features == ("age", "plan=a", "plan=b")


@pytest.mark.parametrize("X", [[1.0, 2.0], pd.Series([1, 2]), np.arange(3), "text"])
def test_numbers_and_a_single_text_are_no_rows(X):
    with pytest.raises(CannotExplainError, match="X is not a table of rows and columns"):
        as_rows(X)


def test_texts_are_drawn_in_their_container():
    X = pd.Series(TEXTS, name="review")
    inputs = draw_inputs(TrainingContext(None, X), Plan())
    pd.testing.assert_series_equal(inputs.candidate_rows().original, X)


class TestManyWords:
    """Tables of more columns than are explained one by one."""

    @pytest.fixture
    def many(self, monkeypatch):
        monkeypatch.setattr(wide_linear, "LEADING", 3)

    @pytest.mark.parametrize("y", [number, three], ids=["number", "classes"])
    def test_leading_words_are_exact_and_the_others_summed_up(self, many, y):
        last = Ridge() if y is number else LogisticRegression()
        model = make_pipeline(CountVectorizer(), last).fit(TEXTS, y)
        explanation = explained(model, TEXTS)
        expected = closed_form(model, TEXTS, TEXTS)
        importances = np.abs(expected).mean(axis=(0, 1))
        leading = np.sort(np.argsort(importances)[-3:])
        words = sorted(WORDS)
        assert explanation.features == (*(words[i] for i in leading), "2 other columns")
        others = np.setdiff1d(range(5), leading)
        sums = expected[..., others].sum(axis=-1, keepdims=True)
        wanted = np.concatenate([expected[..., leading], sums], axis=-1)
        np.testing.assert_allclose(
            explanation.local_values, wanted[0] if y is number else wanted, atol=1e-12
        )
        counts = np.count_nonzero(model[0].transform(TEXTS).toarray()[:, others], axis=1)
        np.testing.assert_array_equal(explanation.evaluation_rows["2 other columns"], counts)

    def test_raw_columns_are_exact(self, many):
        X = pd.DataFrame({"age": rng.normal(size=120), "review": TEXTS})
        front = ColumnTransformer([("words", CountVectorizer(), "review")], remainder="passthrough")
        model = make_pipeline(front, Ridge()).fit(X, number + X.age)
        explanation = explained(model, X)
        cells = np.asarray(front.transform(X))
        values = model[-1].coef_ * (cells - cells.mean(axis=0))
        expected = np.column_stack([values[:, -1], values[:, :-1].sum(axis=1)])
        np.testing.assert_allclose(explanation.local_values, expected, atol=1e-12)
        assert "sparse" in explanation.details.engine
        assert len(explanation.engineered.features) == 4

    @pytest.mark.slow
    def test_a_million_hashed_columns_stay_sparse(self, monkeypatch):
        model = make_pipeline(HashingVectorizer(), Ridge(solver="sparse_cg")).fit(TEXTS, number)
        monkeypatch.setattr(sparse.csr_matrix, "toarray", _bounded(sparse.csr_matrix.toarray))
        explanation = explained(model, TEXTS)
        assert explanation.method == "shap_linear"
        assert len(explanation.features) == wide_linear.LEADING + 1
        prediction = model.predict(TEXTS)
        sums = explanation.local_values.sum(axis=1)
        np.testing.assert_allclose(sums, prediction - prediction.mean(), atol=1e-9)
        assert (explanation.global_values > 1e-9).sum() == len(WORDS)

    def test_columns_that_are_too_many_for_trees_leave_one_column(self):
        forest = RandomForestRegressor(2, max_depth=2, random_state=0)
        model = make_pipeline(HashingVectorizer(n_features=2**15), forest).fit(TEXTS, number)
        explanation = explained(model, TEXTS, evaluation_examples=TEXTS[:5])
        assert explanation.features == ("text",)
        assert any("too many" in note.text for note in explanation.details.notes)


def _bounded(toarray):
    def bounded(matrix, *args, **kwargs):
        assert np.prod(matrix.shape) < 2_000_000
        return toarray(matrix, *args, **kwargs)

    return bounded


class TestNaiveBayes:
    """Naive Bayes of words is linear on the log-odds."""

    @pytest.mark.parametrize("cls", [MultinomialNB, ComplementNB, BernoulliNB])
    @pytest.mark.parametrize("y", [(number > 0).astype(int), three], ids=["two", "three"])
    def test_words_have_the_closed_form(self, cls, y):
        is_binary = cls is BernoulliNB
        model = make_pipeline(CountVectorizer(binary=is_binary), cls()).fit(TEXTS, y)
        explanation = explained(model, TEXTS, evaluation_examples=TEXTS[:6])
        assert (explanation.method, explanation.details.output_scale) == ("shap_linear", "log-odds")
        cells = pd.DataFrame(model[0].transform(TEXTS).toarray())

        def log_odds(rows):
            logs = model[-1].predict_log_proba(rows.to_numpy())
            others = logs[:, ::-1] if logs.shape[1] == 2 else logs.mean(axis=1, keepdims=True)
            return logs - others

        expected, means = exact.shapley(log_odds, cells.iloc[:6], cells)
        np.testing.assert_allclose(explanation.local_values, expected, atol=1e-9)
        np.testing.assert_allclose(explanation.expected_values, means)

    def test_counts_as_binary_cells_are_additive(self):
        model = make_pipeline(CountVectorizer(), BernoulliNB()).fit(TEXTS, three)
        explanation = explained(model, TEXTS, evaluation_examples=TEXTS[:5])
        assert explanation.method == "shap_additive"
        logs = model.predict_log_proba(TEXTS[:5])
        sums = explanation.local_values.sum(axis=2).T + explanation.expected_values
        np.testing.assert_allclose(sums, logs - logs.mean(axis=1, keepdims=True), atol=1e-9)

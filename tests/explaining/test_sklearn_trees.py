"""Arrays of nodes give the outputs of the model."""

from __future__ import annotations

from functools import partial

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes, load_wine
from sklearn.dummy import DummyRegressor
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    IsolationForest,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LinearRegression
from sklearn.tree import (
    DecisionTreeClassifier,
    DecisionTreeRegressor,
    ExtraTreeClassifier,
    ExtraTreeRegressor,
)

from explaining.agreement import with_gaps
from mlflow_interpret.core.errors import CannotExplainError
from mlflow_interpret.explaining import sklearn_trees
from mlflow_interpret.explaining.batch import as_batch
from mlflow_interpret.explaining.model_adapter import adapt_model
from mlflow_interpret.explaining.sklearn_trees import tree_cells, trees_of

SMALL = {"n_estimators": 6, "random_state": 0}
REGRESSORS = (
    DecisionTreeRegressor(random_state=0),
    ExtraTreeRegressor(random_state=0),
    RandomForestRegressor(**SMALL),
    ExtraTreesRegressor(**SMALL),
    GradientBoostingRegressor(**SMALL, learning_rate=0.3, init="zero"),
    GradientBoostingRegressor(**SMALL, subsample=0.5),
    HistGradientBoostingRegressor(max_iter=6, min_samples_leaf=3, random_state=0),
)
CLASSIFIERS = (
    DecisionTreeClassifier(random_state=0),
    ExtraTreeClassifier(random_state=0, max_leaf_nodes=9),
    RandomForestClassifier(**SMALL, class_weight="balanced"),
    ExtraTreesClassifier(**SMALL, bootstrap=True),
    GradientBoostingClassifier(**SMALL, learning_rate=0.3),
    HistGradientBoostingClassifier(max_iter=6, min_samples_leaf=3, random_state=0),
)
BOOSTING = (GradientBoostingClassifier, HistGradientBoostingClassifier)
FORESTS = (
    DecisionTreeClassifier(random_state=0),
    RandomForestClassifier(**SMALL),
    ExtraTreesClassifier(**SMALL),
)
by_name = partial(pytest.mark.parametrize, ids=lambda model: type(model).__name__)


def reached(trees, rows):
    """``(n_outputs, n_rows)`` outputs by the leaves that the rows reach."""
    cells = rows.astype(np.float32).astype(float) if trees.single_precision else rows
    sums = np.zeros((len(rows), trees.values.shape[1]))
    for row, found in zip(cells, sums):
        for root in trees.roots:
            node = root
            while trees.left[node] >= 0:
                cell = row[trees.feature[node]]
                left = trees.missing_left[node] if np.isnan(cell) else cell <= trees.threshold[node]
                node = trees.left[node] if left else trees.right[node]
            found += trees.values[node]
    return trees.mix @ sums.T + trees.offset[:, None]


def outputs(model, rows):
    """``(n_outputs, n_rows)`` expected outputs."""
    own = adapt_model(model, row=rows[:1])
    scale = "decision function" if isinstance(model, BOOSTING) else "probability"
    if own.classes is None:
        scale = "average path length" if isinstance(model, IsolationForest) else "prediction"
    return own.output(scale)(rows).reshape(len(rows), -1).T


def assert_same(model, rows):
    trees = trees_of(model)
    np.testing.assert_allclose(reached(trees, rows), outputs(model, rows), rtol=1e-9, atol=1e-12)


@by_name("model", REGRESSORS)
def test_leaves_give_the_predictions_of_a_regression(model):
    X, y = load_diabetes(return_X_y=True)
    assert_same(model.fit(X, y), X[:60])


@by_name("model", CLASSIFIERS)
@pytest.mark.parametrize("load", [load_breast_cancer, load_wine], ids=["two", "three"])
def test_leaves_give_the_output_of_each_class(model, load):
    X, y = load(return_X_y=True)
    assert_same(model.fit(X, y), X[::7])


@by_name("model", [*REGRESSORS[:4], REGRESSORS[6], *CLASSIFIERS[:4], CLASSIFIERS[5]])
def test_missing_cells_go_to_the_side_of_the_model(model):
    X, y = load_wine(return_X_y=True)
    assert_same(model.fit(with_gaps(X), y), with_gaps(X)[::5])
    assert_same(model.fit(X, y), with_gaps(X)[::5])  # no gap was seen in training


@by_name("model", REGRESSORS[:4])
def test_leaves_give_the_prediction_of_each_target(model):
    X, y = load_diabetes(return_X_y=True)
    assert_same(model.fit(X, np.column_stack([y, np.sin(y), -y])), X[:60])


@by_name("model", FORESTS)
def test_leaves_give_the_classes_of_each_target(model):
    X, y = load_wine(return_X_y=True)
    assert_same(model.fit(X, np.column_stack([y % 2, y, np.zeros_like(y)])), X[::7])


@pytest.mark.parametrize("options", [{}, {"max_features": 0.4}, {"max_samples": 2}], ids=str)
def test_leaves_give_the_mean_depth_of_an_isolation_forest(options):
    X, _ = load_wine(return_X_y=True)
    assert_same(IsolationForest(n_estimators=20, random_state=0, **options).fit(X), X[::7])


def test_cells_are_rounded_as_the_model_rounds_them():
    X = np.array([[0.1], [0.1 + 1e-9], [0.3], [0.4]])  # two are the same number in 32 bits
    model = DecisionTreeRegressor().fit(X, [0, 1, 2, 3])
    assert_same(model, X)
    assert_same(HistGradientBoostingRegressor(min_samples_leaf=1).fit(X, [0, 1, 2, 3]), X)


@by_name("model", [RandomForestClassifier(**SMALL), GradientBoostingClassifier(**SMALL)])
def test_pruned_trees_are_smaller_and_give_the_same_sum(model):
    X, y = load_wine(return_X_y=True)
    trees = trees_of(model.fit(X, y))
    sums = np.array([reached(trees.of_sum(k), X[::7])[0] for k in range(trees.values.shape[1])])
    whole = reached(trees, X[::7])
    np.testing.assert_allclose(
        trees.mix @ sums + trees.offset[:, None], whole, rtol=1e-9, atol=1e-12
    )
    assert all(len(trees.of_sum(k).left) < len(trees.left) for k in range(len(sums)))


def test_constant_sum_is_a_single_leaf():
    X, y = load_wine(return_X_y=True)
    trees = trees_of(DecisionTreeRegressor().fit(X, np.column_stack([y, 0 * y])))
    assert len(trees.left) > len(trees.of_sum(0).left) - 1 > 2
    assert len(trees.of_sum(1).left) == 1


def test_init_estimator_is_refused():
    X, y = load_diabetes(return_X_y=True)
    model = GradientBoostingRegressor(**SMALL, init=DummyRegressor()).fit(X, y)
    with pytest.raises(CannotExplainError, match="init estimator adds values that are in no tree"):
        trees_of(model)


def test_splits_on_categories_compare_0_and_1():
    X = np.array([0, 1, 2, 3] * 20)[:, None]
    model = HistGradientBoostingRegressor(categorical_features=[0], min_samples_leaf=2, max_iter=1)
    trees = trees_of(model.fit(X, (X[:, 0] % 2) * 1.0))
    cells = trees.comparisons(trees.roots).cells(np.array([[0.0, 1.0, 2.0, 3.0, np.nan]]))
    assert trees.threshold[trees.roots] == [0.5]
    left = trees.values[trees.left[trees.roots]] < 0  # the even categories have the smaller values
    np.testing.assert_array_equal(cells, [[0, 1, 0, 1, np.nan] if left else [1, 0, 1, 0, np.nan]])


def test_rows_that_the_encoder_of_categories_refuses():
    rows = pd.DataFrame({"kind": pd.Categorical(list("abab")), "size": [1.0, 2.0, 3.0, 4.0]})
    model = HistGradientBoostingRegressor(max_iter=1).fit(rows, [1.0, 2.0, 3.0, 4.0])
    other = rows.rename(columns={"kind": "name"})
    with pytest.raises(CannotExplainError, match="encoder of categories failed"):
        tree_cells(model, as_batch(other, list(other), other))


def test_other_models_have_no_trees():
    model = LinearRegression().fit([[0], [1]], [0, 1])
    with pytest.raises(CannotExplainError, match="LinearRegression is not a tree ensemble"):
        trees_of(model)


class TestPrivateAttributes:
    """The attributes of scikit-learn's models that are read."""

    X, y = load_diabetes(return_X_y=True)

    def test_a_tree_has_arrays_of_nodes(self):
        tree = DecisionTreeRegressor(max_depth=3).fit(self.X, self.y).tree_
        n = tree.node_count
        for name in (
            "children_left",
            "children_right",
            "feature",
            "missing_go_to_left",
            "n_node_samples",
            "threshold",
            "weighted_n_node_samples",
        ):
            assert getattr(tree, name).shape == (n,), name
        assert tree.value.shape == (n, 1, 1)
        assert tree.children_left.min() == -1

    def test_gradient_boosting_predicts_its_start(self):
        model = GradientBoostingRegressor(**SMALL).fit(self.X, self.y)
        assert model.estimators_.shape == (6, 1)
        start = model._raw_predict_init(np.zeros((1, 10), np.float32))
        np.testing.assert_allclose(start, [[self.y.mean()]])

    def test_histogram_boosting_has_nodes_with_fields(self):
        model = HistGradientBoostingRegressor(max_iter=4).fit(self.X, self.y)
        assert [len(stage) for stage in model._predictors] == [1] * 4
        assert model.n_trees_per_iteration_ == 1
        np.testing.assert_allclose(np.ravel(model._baseline_prediction), [self.y.mean()])
        fields = set(model._predictors[0][0].nodes.dtype.names)
        assert fields >= {
            "count",
            "feature_idx",
            "bitset_idx",
            "is_categorical",
            "is_leaf",
            "left",
            "missing_go_to_left",
            "num_threshold",
            "right",
            "value",
        }

    def test_histogram_boosting_keeps_categories_that_go_left_as_bits(self):
        X = np.array([0, 1, 40] * 20)[:, None]
        model = HistGradientBoostingRegressor(categorical_features=[0], max_iter=1)
        tree = model.fit(X, (X[:, 0] == 40) * 1.0)._predictors[0][0]
        assert tree.raw_left_cat_bitsets.shape[1:] == (8,)
        left = {int(bits[0]) for bits in tree.raw_left_cat_bitsets}
        assert left <= {0b011, 0b100, 0b001, 0b010, 0b101, 0b110}

    def test_an_isolation_forest_may_use_some_columns_in_each_tree(self):
        model = IsolationForest(**SMALL, max_features=0.5).fit(self.X)
        assert [len(features) for features in model.estimators_features_] == [5] * 6
        np.testing.assert_allclose(sklearn_trees._average_path_length(np.array([1, 2])), [0, 1])

    @pytest.mark.parametrize("model", [*REGRESSORS, *CLASSIFIERS, IsolationForest()], ids=repr)
    def test_base_classes_cover_all_tree_ensembles(self, model):
        assert sklearn_trees.is_tree_ensemble(model)

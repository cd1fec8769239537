"""TabularExplainer takes the place of interpret-community's: same arguments, same answers."""

from __future__ import annotations

from importlib import metadata

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_iris
from sklearn.discriminant_analysis import QuadraticDiscriminantAnalysis
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.tree import DecisionTreeClassifier

import mlflow_interpret
from mlflow_interpret import OptionError, TabularExplainer, interpret_community

X, y = load_iris(return_X_y=True, as_frame=True)
SPECIES = ["setosa", "versicolor", "virginica"]
needs_interpret_community = pytest.mark.skipif(
    not interpret_community.is_available(),
    reason='needs: pip install "mlflow-interpret[interpret]"',
)


@pytest.fixture(scope="module")
def tree():
    return DecisionTreeClassifier(max_depth=3, random_state=0).fit(X.to_numpy(), y)


@needs_interpret_community
def test_values_are_those_of_the_original(tree):
    from interpret_community import TabularExplainer as Original

    arguments = {"features": list(X), "classes": SPECIES}
    ours = TabularExplainer(tree, X.to_numpy(), **arguments)
    original = Original(tree, X.to_numpy(), **arguments)
    rows = X.to_numpy()[::10]
    mine, expected = ours.explain_global(rows), original.explain_global(rows)
    assert mine.get_ranked_global_names() == expected.get_ranked_global_names()
    assert mine.classes == expected.classes == SPECIES
    np.testing.assert_allclose(mine.local_importance_values, expected.local_importance_values)
    np.testing.assert_allclose(mine.per_class_values, expected.per_class_values)
    local, expected_local = ours.explain_local(rows[:2]), original.explain_local(rows[:2])
    assert local.get_ranked_local_names(top_k=2) == expected_local.get_ranked_local_names(top_k=2)
    np.testing.assert_allclose(
        local.local_importance_values, expected_local.local_importance_values
    )
    assert not hasattr(local, "get_feature_importance_dict")


def test_every_row_is_explained_and_true_labels_are_kept(tree):
    explanation = TabularExplainer(tree, X.to_numpy()).explain_global(X.to_numpy(), y)
    assert explanation.num_examples == len(X)
    record = interpret_community.to_record(explanation)
    assert record.true_labels.tolist() == y.tolist()


def test_local_values_are_left_out_on_request(tree):
    explainer = TabularExplainer(tree, X.to_numpy(), features=list(X))
    bare = explainer.explain_global(X.to_numpy()[:9], include_local=False)
    assert not hasattr(bare, "local_importance_values")
    full = explainer.explain_global(X.to_numpy()[:9])
    assert bare.get_feature_importance_dict() == full.get_feature_importance_dict()


def test_a_single_row_is_explained(tree):
    local = TabularExplainer(tree, X.to_numpy()).explain_local(X.to_numpy()[7])
    assert np.shape(local.local_importance_values) == (3, 1, 4)


PENGUINS = X.assign(size=np.where(X["petal width (cm)"] > 1, "large", "small"))


def transformations(kind):
    numbers, words = list(X), ["size"]
    scaler = StandardScaler().fit(PENGUINS[numbers])
    encoder = OneHotEncoder(sparse_output=False).fit(PENGUINS[words])
    if kind == "list":
        return [(numbers, scaler), (words, encoder)]
    return ColumnTransformer([("numbers", scaler, numbers), ("words", encoder, words)]).fit(
        PENGUINS
    )


@pytest.mark.parametrize("kind", ["list", "ColumnTransformer"])
def test_the_features_are_those_before_the_transformations(kind):
    steps = ColumnTransformer(
        [("n", StandardScaler(), list(X)), ("w", OneHotEncoder(sparse_output=False), ["size"])]
    )
    model = LogisticRegression(max_iter=1000).fit(steps.fit_transform(PENGUINS), y)
    explainer = TabularExplainer(model, PENGUINS, transformations=transformations(kind))
    explanation = explainer.explain_global(PENGUINS[::5])
    assert explanation.features == list(PENGUINS)
    assert explanation.is_raw
    assert explanation.get_feature_importance_dict()["size"] > 0


def test_columns_without_a_transformer_stay_unchanged():
    model = LinearRegression().fit(X[["petal width (cm)", "sepal width (cm)"]].to_numpy(), y)
    chosen = [("petal width (cm)", None), (["sepal width (cm)"], None)]
    explanation = TabularExplainer(model, X, transformations=chosen).explain_global(X[:20])
    importances = explanation.get_feature_importance_dict()
    assert importances["sepal length (cm)"] == 0
    assert importances["petal width (cm)"] > 0


def test_a_subset_of_the_features_is_given(tree):
    whole = TabularExplainer(tree, X.to_numpy(), features=list(X)).explain_global(X.to_numpy())
    part = TabularExplainer(
        tree, X.to_numpy(), explain_subset=[3, 0], features=list(X)
    ).explain_global(X.to_numpy())
    assert part.features == ["petal width (cm)", "sepal length (cm)"]
    importances = whole.get_feature_importance_dict()
    assert part.get_feature_importance_dict() == {n: importances[n] for n in part.features}


def test_interactions_are_those_of_explain_and_of_the_subset():
    model = QuadraticDiscriminantAnalysis().fit(X, y)
    whole = TabularExplainer(model, X, interactions=4).explain_global(X).get_interactions()
    expected = mlflow_interpret.explain(
        model, X, max_rows=len(X), interactions=4, silent=True
    ).get_interactions()
    pd.testing.assert_frame_equal(whole, expected)
    subset = TabularExplainer(model, X, explain_subset=[3, 0, 2], interactions=4)
    part = subset.explain_global(X).get_interactions()
    names = list(X.columns[[0, 2, 3]])
    chosen = whole[whole["feature_1"].isin(names) & whole["feature_2"].isin(names)]
    assert len(part) == 3
    columns = ["feature_1", "feature_2", "interaction", "standard_error"]
    pd.testing.assert_frame_equal(part[columns], chosen[columns].reset_index(drop=True))


def test_a_subset_without_pairs_of_leading_features_says_so(tree):
    leading = TabularExplainer(tree, X.to_numpy(), explain_subset=[0, 3], interactions=2)
    record = interpret_community.to_record(leading.explain_global(X.to_numpy()[:9]))
    assert record.interactions is None
    assert "fewer than two features of explain_subset" in str(record.details.notes[-1])


def test_an_explanation_is_logged_and_loaded(tree, store):
    explanation = TabularExplainer(tree, X.to_numpy(), features=list(X)).explain_global(
        X.to_numpy()
    )
    run_id = mlflow_interpret.log_explanation(explanation)
    loaded = mlflow_interpret.load_explanation(run_id)
    assert loaded.get_feature_importance_dict() == explanation.get_feature_importance_dict()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"initialization_examples": None}, "^initialization_examples must be .* got None"),
        ({"model_task": "ranking"}, "^model_task must be 'classification', .* got 'ranking'"),
        ({"interactions": 31}, "^interactions must be .* got 31"),
        ({"features": 3}, "^features must be .* got 3"),
        ({"transformations": "scale"}, "^transformations must be a fitted .* got 'scale'"),
        ({"transformations": [3]}, "^transformations must be .* got 3 in the list"),
        (
            {"transformations": StandardScaler(), "explain_subset": [1]},
            "^explain_subset must be None .* leave one of them out",
        ),
    ],
)
def test_wrong_arguments_are_named(tree, arguments, message):
    with pytest.raises(OptionError, match=message):
        TabularExplainer(**{"model": tree, "initialization_examples": X, **arguments})


def test_a_subset_that_does_not_exist_is_named(tree):
    explainer = TabularExplainer(tree, X.to_numpy(), explain_subset=[9])
    with pytest.raises(OptionError, match="^explain_subset must be positions .* from 0 to 3, got"):
        explainer.explain_global(X.to_numpy())
    with pytest.raises(OptionError, match="^evaluation_examples must be a table"):
        explainer.explain_global(None)


def test_interpret_finds_the_explainer():
    (entry,) = [
        point
        for point in metadata.entry_points(group="interpret_ext_blackbox")
        if point.value.startswith("mlflow_interpret.")
    ]
    assert entry.name == "MlflowInterpretTabularExplainer"
    assert entry.load() is TabularExplainer


@needs_interpret_community
def test_interpret_lists_the_explainer_under_its_own_name():
    from interpret.ext import blackbox

    assert blackbox.MlflowInterpretTabularExplainer is TabularExplainer

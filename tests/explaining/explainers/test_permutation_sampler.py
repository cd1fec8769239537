"""Sampled Shapley values, compared with enumeration, and properties of each draw."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from sklearn.datasets import load_breast_cancer, load_diabetes, load_wine
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from explaining.exact import shapley as exact
from mlflow_interpret.explaining.explainers import permutation_sampler
from mlflow_interpret.explaining.explainers.permutation_sampler import sample_shapley


def real(load, columns, n=60):
    X, y = load(return_X_y=True)
    picked = np.random.default_rng(0).permutation(len(X))[:n]
    return StandardScaler().fit_transform(X[picked][:, columns]), y[picked]


def column(output):
    return lambda rows: output(rows).reshape(len(rows), -1)


def assert_sums(found):
    """Equal samples of a row have no variance by which a difference could be distributed."""
    sums = found.values.sum(axis=-1) + found.expected[:, None]
    varied = found.errors.sum(axis=-1) > 0
    np.testing.assert_allclose(sums[varied], found.outputs.T[varied], atol=1e-9)


@pytest.fixture(scope="module")
def network():
    X, y = real(load_diabetes, [2, 3, 6, 8, 9])
    model = MLPRegressor(hidden_layer_sizes=(12,), max_iter=3000, random_state=0).fit(X, y / 100)
    return column(model.predict), X


def test_values_add_up_to_the_outputs(network):
    output, X = network
    found = sample_shapley(output, X[:20], X, 2, 0)
    sums = found.values.sum(axis=-1) + found.expected[:, None]
    np.testing.assert_allclose(sums, found.outputs.T, atol=1e-9)


def exact_values(output, rows, background):
    values, expected = exact(
        lambda table: output(table.to_numpy()), pd.DataFrame(rows), pd.DataFrame(background)
    )
    return values, expected


def test_many_permutations_converge_to_exact_values(network):
    output, X = network
    found = sample_shapley(output, X[:4], X, 3000, 0)
    values, expected = exact_values(output, X[:4], X)
    np.testing.assert_allclose(found.expected, expected)
    assert np.abs(found.values - values).max() < 0.015 * np.abs(values).max()


def test_many_permutations_converge_for_each_class():
    X, y = real(load_wine, [0, 6, 9, 12])
    output = KNeighborsClassifier(7).fit(X, y).predict_proba
    found = sample_shapley(output, X[:3], X, 3000, 1)
    values, _ = exact_values(output, X[:3], X)
    assert found.values.shape == values.shape == (3, 3, 4)
    assert np.abs(found.values - values).max() < 0.015 * np.abs(values).max()
    np.testing.assert_allclose(found.values.sum(axis=0), 0, atol=1e-9)


def test_standard_errors_match_the_actual_errors(network):
    output, X = network
    values, _ = exact_values(output, X[:6], X)
    deviations = []
    for seed in range(30):
        found = sample_shapley(output, X[:6], X, 20, seed)
        deviations.append((found.values - values) / found.errors)
    # Each of the 30 x 30 deviations would be one error in size; drawing background rows without
    # repetition makes them smaller, the estimate of the error from 20 samples somewhat larger.
    assert 0.5 < np.sqrt(np.mean(np.square(deviations))) < 1.3


@pytest.mark.parametrize(
    "model", [SVC(kernel="poly"), KNeighborsClassifier(), MLPClassifier(max_iter=500, random_state=0)],
    ids=lambda model: type(model).__name__,
)  # fmt: skip
def test_standard_errors_match_the_actual_errors_of_classifiers(model):
    X, y = real(load_breast_cancer, [0, 1, 4, 21, 22, 24], 200)
    model.fit(X, y)
    own = model.decision_function if isinstance(model, SVC) else model.predict_proba
    output = column(own)
    rows = X[:6]
    values, _ = exact_values(output, rows, X)
    deviations = []
    for seed in range(15):
        found = sample_shapley(output, rows, X, 40, seed)
        assert (found.errors > 0).all()
        deviations.append((found.values - values) / found.errors)
    # 0.78 to 1.05 with these columns and two other choices
    assert 0.6 < np.sqrt(np.mean(np.square(deviations))) < 1.3


def test_effects_in_no_sample_have_an_error():
    rows, background = np.zeros((1, 3)), np.ones((50, 3))
    background[:, 2] = np.arange(50) == 7  # in one of fifty the third column differs
    found = sample_shapley(column(lambda X: X[:, 0] * X[:, 1] + X[:, 2]), rows, background, 5, 0)
    assert (found.errors > 0).all()


def test_four_times_the_permutations_halve_the_error(network):
    output, X = network
    values, _ = exact_values(output, X[:6], X)

    def error(n):
        found = [sample_shapley(output, X[:6], X, n, seed).values for seed in range(20)]
        return np.sqrt(np.mean(np.square(np.array(found) - values)))

    assert error(80) < 0.6 * error(20)


def test_additive_functions_are_exact_if_every_background_row_is_used():
    rows, background = np.random.default_rng(0).normal(size=(2, 12, 4))
    weights = np.array([3.0, -1.0, 0.0, 0.5])
    found = sample_shapley(column(lambda rows: rows @ weights), rows, background, 12, 0)
    np.testing.assert_allclose(
        found.values[0], weights * (rows - background.mean(axis=0)), atol=1e-12
    )


def test_linear_functions_are_exact_with_few_background_rows():
    X = StandardScaler().fit_transform(load_breast_cancer(return_X_y=True)[0])[:, :6]
    X = X * 10.0 ** np.arange(-150, 150, 50)  # in any units
    weights = np.array([1.0, -2.0, 0.5, 0.0, 3.0, 1.0]) / X.std(axis=0)
    found = sample_shapley(lambda rows: (rows @ weights)[:, None], X[:10], X, 30, 0)
    expected = (X[:10] - X.mean(axis=0)) * weights
    np.testing.assert_allclose(found.values[0], expected, atol=1e-6)
    assert found.errors.max() < 1e-6


def test_missing_background_cells_are_ignored_by_control_variates():
    X = StandardScaler().fit_transform(load_wine(return_X_y=True)[0])[:, :4]
    X[::3, 1] = np.nan
    weights = np.array([1.0, 2.0, 3.0, 4.0])
    found = sample_shapley(
        lambda rows: (np.nan_to_num(rows, nan=5.0) @ weights)[:, None], X[:6], X, 60, 0
    )
    filled = np.nan_to_num(X, nan=5.0)
    assert_sums(found)
    exact_of_rest = ((filled[:6] - filled.mean(axis=0)) * weights)[:, [0, 2, 3]]
    np.testing.assert_allclose(found.values[0][:, [0, 2, 3]], exact_of_rest, atol=0.3)


def test_model_calls_are_few_and_of_bounded_size(network, monkeypatch):
    output, X = network
    sizes = []

    def counted(rows):
        sizes.append(rows.size)
        return output(rows)

    sample_shapley(counted, X, X, 10, 0, background_outputs=output(X))
    assert len(sizes) == 2
    plain = sample_shapley(output, X, X, 10, 0)
    monkeypatch.setattr(permutation_sampler, "_CELLS", 1000)
    sizes.clear()
    again = sample_shapley(counted, X, X, 10, 0)
    assert max(sizes) <= 1000
    np.testing.assert_allclose(again.values, plain.values, atol=1e-12)


def test_equal_cells_cost_no_evaluation():
    seen = []

    def output(rows):
        seen.append(len(rows))
        return rows[:, :1]

    rows, background = np.zeros((1, 500)), np.zeros((3, 500))
    rows[0, :2] = 1
    sample_shapley(output, rows, background, 6, 0)
    assert sum(seen) == 4 + 6 * 2


def test_rare_cells_with_large_effects_are_sampled():
    draw = np.random.default_rng(0)
    background = np.column_stack([draw.random(1000) < 0.01, draw.normal(size=1000)]).astype(float)
    rows = background[background[:, 0] == 0][:30]
    found = sample_shapley(column(lambda X: 10 * X[:, 0] + 0.2 * X[:, 1]), rows, background, 40, 0)
    exact = np.array([10.0, 0.2]) * (rows - background.mean(axis=0))
    np.testing.assert_allclose(found.values[0], exact, atol=0.02)


def test_correlated_columns_do_not_reduce_the_errors():
    draw = np.random.default_rng(0)
    base = draw.normal(size=(400, 2))
    X = np.column_stack([base[:, 0], base[:, 0] + 0.05 * draw.normal(size=400), base[:, 1]])
    weights = np.array([5.0, -5.0, 1.0])
    # Squares: linear functions are exact.
    exact = weights * (X[:20] ** 2 - (X**2).mean(axis=0))
    deviations = []
    for seed in range(20):
        found = sample_shapley(column(lambda X: X**2 @ weights), X[:20], X, 40, seed)
        deviations.append((found.values[0] - exact) / found.errors[0])
    assert 0.6 < np.sqrt(np.mean(np.square(deviations))) < 1.2


@settings(deadline=None, max_examples=40)
@given(
    st.integers(1, 5).flatmap(
        lambda width: st.tuples(
            arrays.arrays(float, (3, width), elements=st.integers(-3, 3)),
            arrays.arrays(float, (6, width), elements=st.integers(-3, 3)),
            st.permutations(range(width)),
        )
    ),
    st.integers(2, 9),
)
def test_values_add_up_and_follow_reordered_columns(tables, n):
    rows, background, order = tables
    width = rows.shape[1]

    def output(table, order=tuple(range(width))):
        columns = dict(zip(order, table.T))
        product = np.prod([1 + columns[i] for i in range(width)], axis=0)
        return np.column_stack([product, columns[0] ** 2])

    found = sample_shapley(output, rows, background, n, 0)
    assert_sums(found)
    assert (np.abs(found.values[1, :, 1:]) == 0).all()  # the second output uses one column
    moved = sample_shapley(
        lambda table: output(table, order), rows[:, order], background[:, order], n, 0
    )
    distinct = len(np.unique(np.vstack([rows, background]), axis=1).T) == width
    if distinct:
        np.testing.assert_allclose(moved.values, found.values[:, :, order], atol=1e-9)
    assert_sums(moved)

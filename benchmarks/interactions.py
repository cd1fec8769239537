"""Interactions of pairs of features, compared with shap's ``shap_interaction_values``.

Both sides get the same rows in turns. Ours are those of the ten leading features, shap's those of
all features. Sampled interactions are compared with the enumeration of all coalitions.

    python -m benchmarks.interactions

prints Markdown.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from itertools import combinations
from math import factorial
from typing import Any

import numpy as np
import pandas as pd
import shap
from sklearn.datasets import load_diabetes, make_classification, make_regression
from sklearn.ensemble import (
    GradientBoostingRegressor,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVR

from mlflow_interpret.explaining.batch import as_batch
from mlflow_interpret.explaining.explainers.base import ExplainRequest, exact_explainer
from mlflow_interpret.explaining.explainers.interaction_sampler import sample_interactions
from mlflow_interpret.explaining.model_adapter import adapt_model

QUICK = "BENCHMARKS_QUICK" in os.environ
ROUNDS = 1 if QUICK else 3
LEADING = np.arange(10)
Array = np.ndarray[Any, np.dtype[np.float64]]


def tree_problems() -> Iterator[tuple[str, Any, pd.DataFrame, int]]:
    """Names, fitted models, tables, and the number of rows to explain."""
    wide, y = make_regression(3_000 if QUICK else 10_000, 40, n_informative=15, random_state=0)
    wide = pd.DataFrame(wide)
    forest = RandomForestRegressor(10 if QUICK else 100, n_jobs=-1, random_state=0)
    yield "RandomForestRegressor, 100 trees, 10,000 x 40", forest.fit(wide, y), wide, 2
    shallow = RandomForestRegressor(100, max_depth=8, n_jobs=-1, random_state=0)
    yield "the same, max_depth=8", shallow.fit(wide, y), wide, 10
    X, labels = make_classification(5_000, 20, n_informative=8, n_classes=3, random_state=0)
    X = pd.DataFrame(X)
    classifier = RandomForestClassifier(100, max_depth=10, n_jobs=-1, random_state=0)
    yield "RandomForestClassifier, 3 classes, max_depth=10", classifier.fit(X, labels), X, 5
    boosted = GradientBoostingRegressor(random_state=0).fit(wide, y)
    yield "GradientBoostingRegressor", boosted, wide, 100
    hist = HistGradientBoostingRegressor(random_state=0).fit(wide, y)
    yield "HistGradientBoostingRegressor", hist, wide, 50


def measured(function: Callable[[], Any]) -> tuple[float, Any]:
    """The seconds of a call, and its result."""
    start = time.perf_counter()
    result = function()
    return time.perf_counter() - start, result


def compare_trees(name: str, model: Any, table: pd.DataFrame, n_rows: int) -> str:
    """A row of the table: both sides in turns, medians."""
    rows = table.iloc[:n_rows]
    request = ExplainRequest(adapt_model(model, row=rows[:1]), as_batch(table, list(table), table))
    explainer = exact_explainer(request)
    batch = as_batch(rows, list(table), table)
    explainer.interactions(batch.subset(slice(1)), LEADING)  # prepares the trees
    reference = shap.TreeExplainer(model)
    ours, theirs = [], []
    for _ in range(ROUNDS):
        seconds, values = measured(lambda: explainer.interactions(batch, LEADING))
        ours.append(seconds)
        seconds, raw = measured(lambda: reference.shap_interaction_values(rows.to_numpy()))
        theirs.append(seconds)
    expected = np.asarray(raw)
    expected = np.moveaxis(expected, -1, 0) if expected.ndim == 4 else expected[None]
    expected = expected[..., LEADING[:, None], LEADING].copy()
    expected[..., LEADING, LEADING] = 0.0
    error = np.abs(values - expected).max() / np.abs(expected).max()
    own, other = np.median(ours) / n_rows, np.median(theirs) / n_rows
    return (
        f"| {name} | {n_rows} | {1e3 * own:.3g} ms | {1e3 * other:.3g} ms | {other / own:.0f} | "
        f"{error:.0e} |"
    )


def enumerated(output: Callable[[Array], Array], rows: Array, background: Array) -> Array:
    """``(n_rows, n, n)`` interactions from the worth of all coalitions."""
    width = rows.shape[1]
    worth = {}
    for size in range(width + 1):
        for known in combinations(range(width), size):
            mixed = np.broadcast_to(background, (len(rows), *background.shape)).copy()
            mixed[:, :, list(known)] = rows[:, None, list(known)]
            outputs = output(mixed.reshape(-1, width))
            worth[frozenset(known)] = outputs.reshape(len(rows), -1).mean(axis=1)
    pairs = np.zeros((len(rows), width, width))
    for i, j in combinations(range(width), 2):
        for known, alone in worth.items():
            if known & {i, j}:
                continue
            size = len(known)
            weight = factorial(size) * factorial(width - size - 2) / factorial(width - 1)
            change = worth[known | {i, j}] - worth[known | {i}] - worth[known | {j}] + alone
            pairs[:, i, j] += 0.5 * weight * change
            pairs[:, j, i] = pairs[:, i, j]
    return pairs


def compare_sampled(name: str, model: Any) -> str:
    """A row of the table of sampled interactions."""
    X, y = load_diabetes(return_X_y=True)
    model.fit(X, y)
    background, rows = X[:50], X[100 : 102 if QUICK else 105]

    def output(cells: Array) -> Array:
        return np.asarray(model.predict(cells))[:, None]

    exact = enumerated(output, rows, background)
    seeds = [(0, number) for number in range(len(rows))]
    seconds, (values, errors) = measured(
        lambda: sample_interactions(output, rows, background, LEADING, 35, seeds)
    )
    first, second = np.triu_indices(10, k=1)
    difference = (values[0] - exact)[:, first, second]
    size = np.sqrt((exact[:, first, second] ** 2).mean())
    covered = (np.abs(difference) <= 1.96 * errors[0][:, first, second]).mean()
    return (
        f"| {name} | {1e3 * seconds / len(rows):.3g} ms | "
        f"{np.sqrt((difference**2).mean()) / size:.2f} | {covered:.0%} |"
    )


def main() -> None:
    """Print both tables."""
    print("## Interactions of ten features, compared with shap's `shap_interaction_values`\n")
    print("| model | rows | a row, ours | a row, shap | ratio | difference |")
    print("|---|---|---|---|---|---|")
    for problem in tree_problems():
        print(compare_trees(*problem), flush=True)
    print("\n## Sampled interactions of ten features, compared with enumeration\n")
    print("| model | a row | error, relative to their size | exact within 1.96 standard errors |")
    print("|---|---|---|---|")
    svr = make_pipeline(StandardScaler(), SVR(C=100))
    print(compare_sampled("SVR, diabetes", svr))
    mlp = make_pipeline(
        StandardScaler(), MLPRegressor(hidden_layer_sizes=(20,), max_iter=300, random_state=0)
    )
    print(compare_sampled("MLPRegressor, diabetes", mlp))


if __name__ == "__main__":
    main()

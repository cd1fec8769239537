"""Explanations of every shape, for tests of writers, uploads and readers."""

from __future__ import annotations

import uuid
from dataclasses import replace

import numpy as np
import pandas as pd

from mlflow_interpret.core.explanation import Explanation

random = np.random.default_rng(0)
MISSING = "missing predictions"


def made(rows=7, features=4, classes=("no", "yes"), **changes) -> Explanation:
    n = len(classes)
    # Few digits: the files are many megabytes otherwise.
    local = random.normal(size=(n, rows, features)).round(2)
    per_class = np.abs(local).mean(axis=1)
    probabilities = random.dirichlet(np.ones(n), rows)
    explanation = Explanation(
        method="shap_tree",
        task="classification",
        model_class="sklearn.ensemble.RandomForestClassifier",
        features=tuple(f"column {i}" for i in range(features)),
        global_values=per_class.mean(axis=0),
        classes=tuple(classes),
        per_class_values=per_class,
        local_values=local,
        expected_values=random.normal(size=n),
        evaluation_rows=pd.DataFrame(random.normal(size=(rows, features)).round(2)).set_axis(
            [f"column {i}" for i in range(features)], axis=1
        ),
        predicted=np.asarray(classes)[probabilities.argmax(axis=1)],
        predicted_probabilities=probabilities,
        true_labels=np.asarray(classes)[random.integers(0, n, rows)],
    )
    return replace(explanation, **changes)


def regression(rows=7, features=4, **changes) -> Explanation:
    base = made(rows, features)
    local = random.normal(size=(rows, features)).round(2)
    return replace(
        base,
        task="regression",
        method="shap_linear",
        classes=None,
        per_class_values=None,
        local_values=local,
        global_values=np.abs(local).mean(axis=0),
        expected_values=np.array(3.5),
        predicted=random.normal(size=rows),
        predicted_probabilities=None,
        true_labels=random.normal(size=rows),
        **changes,
    )


def mixed_rows() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "column 0": [1.5, np.nan, np.inf],
            "column 1": ['a "quoted" <word>', None, "größer ≥ 1\n"],
            "column 2": pd.to_datetime(["2020-01-01", None, "2021-02-03"]),
            "column 3": [True, False, True],
        }
    )


CASES = {
    "binary": made(),
    "three classes": made(classes=("a", "b", "c")),
    "integer classes": made(classes=(10, 20, 30)),
    "boolean classes": made(classes=(False, True)),
    "labels of no class": made(true_labels=np.array([5, 6, 7, 5, 6, 7, 5])),
    "regression": regression(),
    "regression of one expected value": replace(regression(), expected_values=np.array([1.0])),
    "nothing expected": made(expected_values=None),
    "no labels": made(true_labels=None),
    "no predictions": made(predicted=None, predicted_probabilities=None),
    "aggregates": made().without_rows(),
    "aggregates of a regression": regression().without_rows(),
    "no local values": made(local_values=None),
    "local values alone": replace(made().without_rows(), local_values=made().local_values),
    "one row": made(rows=1),
    "100 features": made(features=100),
    "101 features": made(features=101),
    "200 features": regression(features=200),
    "250 features": made(features=250),
    "more rows than are shown": made(rows=5003, features=2),
    "more rows than are shown, regression": regression(rows=5003, features=2),
    "more rows than are shown, no local values": replace(
        regression(rows=5003, features=2), local_values=None
    ),
    "more local values than are shown": made(rows=300, features=260, classes=("a", "b", "c")),
    "several targets": replace(
        made(classes=("up", "down")), task="regression", classes=None, targets=("up", "down")
    ),
    "several targets with classes": replace(
        made(classes=("t: 0", "t: 1", "u: 0")), targets=("t", "u")
    ),
    "cells of every kind": made(rows=3, evaluation_rows=mixed_rows()),
    "missing numbers": made(
        rows=2, evaluation_rows=pd.DataFrame([[np.nan, 1, 2, 3], [1, np.inf, 2, 3]])
    ),
    "missing labels": replace(regression(rows=3), true_labels=np.array([1.0, np.nan, np.inf])),
    "importances that are no numbers": replace(
        made(rows=2), local_values=np.array([[[np.nan, 1, 2, np.inf]] * 2, [[1.0, 2, 3, 4]] * 2])
    ),
    MISSING: replace(regression(rows=3), predicted=np.array([1.0, np.nan, np.inf])),
    "unusual names": made(features=2, classes=('"quoted"', "größer ≥")),
    "raw": made(is_raw=True, engineered=made(features=6, is_engineered=True)),
    "unusual features": replace(made(features=2), features=('a "b" <c>', "größer ≥ 1\\n")),
    "model unknown": made(model_class=None),
}


def named(name: str, explanation: Explanation) -> Explanation:
    """The same id in every process, so that workers can share an upload."""
    engineered = explanation.engineered
    if engineered is not None:
        engineered = named(f"{name}, engineered", engineered)
    own = str(uuid.uuid5(uuid.NAMESPACE_OID, name))
    return replace(explanation, id=own, engineered=engineered)


CASES = {name: named(name, explanation) for name, explanation in CASES.items()}


def _texts(values):
    return None if values is None else tuple(map(str, values))


def check_equal(found, explanation):
    """Check that all values of a record that the asset holds are read back exactly."""
    assert (found.id, found.method) == (explanation.id, explanation.method)
    assert found.features == explanation.features
    assert _texts(found.classes) == _texts(explanation.output_names)
    assert found.model_class == explanation.model_class
    assert (found.is_raw, found.is_engineered) == (explanation.is_raw, explanation.is_engineered)
    np.testing.assert_array_equal(found.global_values, explanation.global_values)
    for name in ("per_class_values", "local_values", "expected_values"):
        theirs, ours = getattr(explanation, name), getattr(found, name)
        if theirs is None:
            assert ours is None
        else:
            finite = np.where(np.isfinite(theirs), theirs, 0.0)
            np.testing.assert_array_equal(ours, np.atleast_1d(finite))

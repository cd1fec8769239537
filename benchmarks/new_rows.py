"""Contributions of new rows by a logged model, compared with shap's tree explainer.

    python -m benchmarks.new_rows

prints Markdown. Ours is ``predict`` of a model that `log_explainable_model` has logged, as
``mlflow models serve`` calls it; theirs are ``predict`` of the model and ``shap_values`` of an
explainer that was made before. Both return predictions and contributions of the same rows.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy is there: one core

import logging
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import shap
from benchmarks.engines import median_seconds, table
from sklearn.datasets import make_classification, make_regression
from sklearn.ensemble import (
    GradientBoostingRegressor,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)

import mlflow_interpret

QUICK = bool(os.environ.get("BENCHMARKS_QUICK"))
ROWS = 300 if QUICK else 1_000
FEATURES = 20


def main() -> None:
    """Print the table."""
    warnings.simplefilter("ignore")
    logging.getLogger("mlflow").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory() as folder:
        mlflow.set_tracking_uri(f"sqlite:///{folder}/mlflow.db")
        mlflow.create_experiment("new rows", (Path(folder) / "artifacts").as_uri())
        mlflow.set_experiment("new rows")
        title = f"New rows by a logged model, compared with shap.TreeExplainer ({FEATURES} columns)"
        heads = ("model", "rows", "logged model", "shap and predict", "ratio", "largest difference")
        print(table(title, heads, lines()))
        mlflow_interpret.flush()


def lines() -> Iterator[tuple[Any, ...]]:
    """A line for each model and number of rows."""
    for name, model, X, y in cases():
        model.fit(X[:2_000], y[:2_000])
        info = mlflow_interpret.log_explainable_model(
            model, X[:2_000], pip_requirements=["mlflow"], silent=True
        )
        logged = mlflow.pyfunc.load_model(info.model_uri)
        explainer = shap.TreeExplainer(model)
        new = X[2_000:]
        for n in (1, ROWS):
            yield (name, n, *compared(logged, model, explainer, new.head(n)))


def cases() -> Iterator[tuple[str, Any, pd.DataFrame, Any]]:
    """The models with their rows, of which the last are new."""
    numbers = {"n_samples": 2_000 + ROWS, "n_features": FEATURES, "random_state": 0}
    classes = frame(*make_classification(n_informative=8, **numbers))
    values = frame(*make_regression(n_informative=8, **numbers))
    yield "RandomForestClassifier", RandomForestClassifier(random_state=0), *classes
    yield (
        "RandomForestRegressor, depth 8",
        RandomForestRegressor(max_depth=8, random_state=0),
        *values,
    )
    yield "GradientBoostingRegressor", GradientBoostingRegressor(random_state=0), *values
    yield "HistGradientBoostingRegressor", HistGradientBoostingRegressor(random_state=0), *values


def frame(X: Any, y: Any) -> tuple[pd.DataFrame, Any]:
    """Rows with names of columns."""
    return pd.DataFrame(X, columns=[f"column {i}" for i in range(X.shape[1])]), y


def compared(logged: Any, model: Any, explainer: Any, rows: pd.DataFrame) -> tuple[str, ...]:
    """Both times, their ratio, and the difference relative to the largest contribution."""

    def theirs() -> Any:
        model.predict(rows)
        return explainer.shap_values(rows, check_additivity=False)

    ours = logged.predict(rows).filter(like="contribution/").to_numpy()
    peer = np.asarray(theirs())
    peer = peer[..., 1] if peer.ndim == 3 else peer
    error = np.abs(ours - peer).max() / np.abs(peer).max()
    own_seconds, peer_seconds = median_seconds(lambda: logged.predict(rows), theirs)
    return (
        f"{1000 * own_seconds:.0f} ms",
        f"{1000 * peer_seconds:.0f} ms",
        f"{peer_seconds / own_seconds:.1f}",
        f"{error:.1g}",
    )


if __name__ == "__main__":
    main()

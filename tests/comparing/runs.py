"""Runs to compare, made from numbers."""

from __future__ import annotations

import numpy as np

from mlflow_interpret.records import Importances


def run(name, values, errors=None, features=None, **changes):
    """The importances of a run; features are called a, b, c, ..."""
    values = np.asarray(values, dtype=float)
    features = tuple(features or "abcdefghijklmnopqrstuvwxyz"[: len(values)])
    facts = {
        "run_id": name,
        "run_name": f"run {name}",
        "explanation_id": f"id of {name}",
        "method": "shap_tree",
        "model_class": "RandomForestRegressor",
        "scale": "prediction",
        "features": features,
        "values": values,
        "errors": None if errors is None else np.asarray(errors, dtype=float),
        "rows": {"source": "training rows", "explained": 50, "available": 100},
        "row_digests": dict.fromkeys(features, "same"),
    }
    return Importances(**{**facts, **changes})

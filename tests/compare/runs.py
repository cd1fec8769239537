"""Importances of runs for tests of comparisons."""

from __future__ import annotations

import numpy as np

from explanations import HOSTILE
from mlflow_interpret.core.details import RowCounts
from mlflow_interpret.core.explanation import Importances


def run(name, values, errors=None, features=None, **changes):
    """Importances of one run; the default feature names are a, b, c, ..."""
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
    together = {**facts, **changes}
    return Importances(**{**together, "rows": RowCounts(**together["rows"])})


def hostile_runs(n_runs):
    """Runs whose names and facts contain markup."""
    generator = np.random.default_rng(0)
    names = [name for name in HOSTILE if "\ud800" not in name]
    rows = {"explained": 5, "available": 9, "source": HOSTILE[0]}
    return tuple(
        run(f"{i:032d}", generator.exponential(size=len(names)), np.full(len(names), 0.01), names,
            run_name=names[i % len(names)], method=names[-i % len(names)], model_class=names[0],
            metrics={name: float(i) for name in (*names, "score")},
            params={name: f"{i}{name}" for name in names},
            scale=HOSTILE[2], rows=rows)
        for i in range(n_runs)
    )  # fmt: skip

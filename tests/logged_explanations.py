"""Explanations for tests, and their way into a run."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from mlflow_interpret.core.explanation import Explanation
from mlflow_interpret.stores import mlflow as mlflow_store
from mlflow_interpret.stores.record import write_record


def explanation(n_features=3, n_classes=2, **changes):
    generator = np.random.default_rng(0)
    local = generator.normal(size=(n_classes, 5, n_features))
    per_class = np.abs(local).mean(axis=1)
    values = {
        "method": "shap_tree",
        "task": "classification",
        "model_class": "sklearn.tree.DecisionTreeClassifier",
        "features": tuple(f"feature {i}" for i in range(n_features)),
        "global_values": per_class.mean(axis=0),
        "classes": tuple(range(n_classes)),
        "per_class_values": per_class,
        "local_values": local,
        "expected_values": np.full(n_classes, 1 / n_classes),
    }
    return Explanation(**{**values, **changes})


def log(record, run_id, store, *, figures=False, report=True, comment=None, top_k=20, **options):
    """Log an explanation to a run, without a baseline and without other stores."""
    with tempfile.TemporaryDirectory() as folder:
        written = write_record(
            record, Path(folder), figures=figures, report=report, run_id=run_id, comment=comment
        )
        return mlflow_store.log(written, run_id, store, top_k=top_k, comment=comment, **options)

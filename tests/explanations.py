"""Artificial explanations for tests of figures and pages, and untrusted names."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from mlflow_interpret.core.details import Details
from mlflow_interpret.core.explanation import Explanation
from mlflow_interpret.core.group_views import with_groups

HOSTILE = [
    "<script>alert(1)</script>",
    "</script><script>alert(1)</script>",
    "\"'><img src=x onerror=alert(1)>",
    "<!--<script>",
    "{{ 7*7 }}{% raw %}",
    "&lt;b&gt;&amp;",
    "\u2028\u2029\x00\x1b",
    "\u202egnp.exe",
    "\ud800",
    "javascript:alert(1)",
    "n" * 10_000,
]


def explanation(n_features=6, n_rows=40, n_classes=None, rows=None, seed=0):
    """Contributions are the rows' values, times a number for each feature and class."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n_rows, n_features))
    values = X * rng.exponential(size=n_features)
    if n_classes:
        values = values[None] * rng.normal(size=(n_classes, 1, 1))
    sizes = np.abs(values).mean(axis=-2)
    names = tuple(f"f{i}" for i in range(n_features))
    return Explanation(
        "m", "classification" if n_classes else "regression", None, names,
        sizes.mean(axis=0) if n_classes else sizes,
        classes=tuple(f"c{i}" for i in range(n_classes)) if n_classes else None,
        per_class_values=sizes if n_classes else None, local_values=values,
        evaluation_rows=pd.DataFrame(X, columns=list(names)) if rows is None else rows,
    )  # fmt: skip


def hostile():
    """Names, classes, values, scale and notes that try to become markup."""
    # Newer pandas has no columns whose names are no UTF-8.
    usable = [name for name in HOSTILE if "\ud800" not in name]
    names = tuple(f"{name}{i}" for i, name in enumerate(usable))
    cells = {i: pd.Series([name, *names[:4]], dtype=object) for i, name in enumerate(names)}
    rows = pd.DataFrame(cells).set_axis(pd.Index(names, dtype=object), axis=1)
    record = replace(
        explanation(len(names), 5, 3), features=names, classes=names[:3], evaluation_rows=rows,
        model_class=HOSTILE[0], expected_values=np.array([0.25, 0.5, 0.25]),
        predicted=np.array(names[:3] + names[:2], dtype=object),
        true_labels=np.array(names[:5], dtype=object),
        details=Details.from_json({"output_scale": HOSTILE[1], "notes": [HOSTILE[2]], HOSTILE[0]: HOSTILE[1]}),
    )  # fmt: skip
    return with_groups(
        record, {name: names[2 * i : 2 * i + 2] for i, name in enumerate(usable[:4])}
    )
